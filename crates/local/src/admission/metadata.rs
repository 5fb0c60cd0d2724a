//! Rules for `metadata`: names, owners' labels, and the annotations that are Knative's.

use serde_json::Value;

use super::defaults::same;
use super::field_error::{CURRENT, FieldErrors};
use super::{annotation, autoscaling, go_duration::GoDuration, go_number};
use super::{list, spec_of, text, text_map};
use crate::api::{dns_names, quantity};

/// Annotations as pairs.
pub type Annotations<'a> = [(&'a str, &'a str)];

/// The first of several spellings of an annotation that is there: its key and value.
pub fn find<'a>(annotations: &Annotations<'a>, keys: &[&'a str]) -> Option<(&'a str, &'a str)> {
    keys.iter().find_map(|key| {
        annotations
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| (*key, *value))
    })
}

/// A list as Go prints one.
pub fn go_list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

/// Name, and whether autoscaling annotations belong here (paths from `metadata`).
pub fn object(metadata: &Value, takes_autoscaling: bool) -> FieldErrors {
    let annotations = text_map(metadata, "annotations");
    let scaling = if takes_autoscaling {
        autoscaling::annotations(&annotations)
    } else {
        no_autoscaling(&annotations)
    };
    name(metadata).also(scaling.via("annotations"))
}

fn name(metadata: &Value) -> FieldErrors {
    let (name, prefix) = (text(metadata, "name"), text(metadata, "generateName"));
    if !prefix.is_empty() {
        let wrong = dns_names::dns_1035_prefix(prefix);
        if !wrong.is_empty() {
            return FieldErrors::at(
                format!("not a DNS 1035 label prefix: {}", go_list(&wrong)),
                "generateName",
            );
        }
    }
    if !name.is_empty() {
        let wrong = dns_names::dns_1035_label(name);
        if !wrong.is_empty() {
            return FieldErrors::at(format!("not a DNS 1035 label: {}", go_list(&wrong)), "name");
        }
    }
    if name.is_empty() && prefix.is_empty() {
        return FieldErrors::at("name or generateName is required", "name");
    }
    FieldErrors::none()
}

fn no_autoscaling(annotations: &Annotations<'_>) -> FieldErrors {
    let mut errors = FieldErrors::none();
    for (key, _) in annotations {
        if key.starts_with(autoscaling::GROUP) {
            errors.add(FieldErrors::invalid_key(key, CURRENT).details(
                "autoscaling annotations must be put under \
                 \"spec.template.metadata.annotations\" to work",
            ));
        }
    }
    errors
}

/// `serving.knative.dev/rollout-duration`: whole seconds, not negative.
pub fn rollout_duration(metadata: &Value) -> FieldErrors {
    const KEYS: &[&str] = &[
        "serving.knative.dev/rollout-duration",
        "serving.knative.dev/rolloutDuration",
    ];
    duration("rollout-duration", KEYS, &text_map(metadata, "annotations"))
}

/// `serving.knative.dev/progress-deadline`: whole seconds, not negative.
pub fn progress_deadline(annotations: &Annotations<'_>) -> FieldErrors {
    const KEYS: &[&str] = &["serving.knative.dev/progress-deadline"];
    duration("progress-deadline", KEYS, annotations)
}

fn duration(word: &str, keys: &[&'static str], annotations: &Annotations<'_>) -> FieldErrors {
    let Some((key, value)) = find(annotations, keys).filter(|(_, value)| !value.is_empty()) else {
        return FieldErrors::none();
    };
    match GoDuration::parse(value) {
        None => FieldErrors::invalid(value, key),
        Some(span) if !span.is_whole_seconds() => {
            FieldErrors::at(format!("{word}={value} is not at second precision"), key)
        }
        Some(span) if span < GoDuration::from_secs(0) => {
            FieldErrors::at(format!("{word}={value} must be positive"), key)
        }
        Some(_) => FieldErrors::none(),
    }
}

/// Whether anything owns the object.
pub fn has_owner(metadata: &Value) -> bool {
    !list(metadata, "ownerReferences").is_empty()
}

/// A label that names an owner is refused where no such owner is (paths from `metadata`).
pub fn owned_label(metadata: &Value, label: &str, kind: &str) -> FieldErrors {
    let labels = text_map(metadata, "labels");
    let Some((_, owner)) = labels.iter().find(|(key, _)| *key == label) else {
        return FieldErrors::none();
    };
    let owned = list(metadata, "ownerReferences")
        .iter()
        .any(|reference| text(reference, "kind") == kind && text(reference, "name") == *owner);
    if owned {
        FieldErrors::none()
    } else {
        FieldErrors::missing(label).via("labels")
    }
}

/// The creator never changes; the last modifier changes only with the spec.
pub fn creator_and_modifier(old: &Value, new: &Value) -> FieldErrors {
    let value = |object: &Value, key: &str| -> String {
        object
            .pointer("/metadata/annotations")
            .map_or("", |annotations| text(annotations, key))
            .to_owned()
    };
    let mut errors = FieldErrors::none();
    if value(old, annotation::CREATOR) != value(new, annotation::CREATOR) {
        errors.add(FieldErrors::at(
            "annotation value is immutable",
            annotation::CREATOR,
        ));
    }
    let modifier = value(new, annotation::LAST_MODIFIER);
    if same(spec_of(old), spec_of(new)) && value(old, annotation::LAST_MODIFIER) != modifier {
        errors.add(FieldErrors::invalid(modifier, annotation::LAST_MODIFIER));
    }
    errors.via("metadata.annotations")
}

/// Only known keys of the networking group, which would otherwise do nothing, silently.
pub fn networking_annotations(annotations: &Annotations<'_>) -> FieldErrors {
    const KNOWN: &[&str] = &[
        "certificate-class",
        "certificate.class",
        "disable-auto-tls",
        "disable-external-domain-tls",
        "disableAutoTLS",
        "http-option",
        "http-protocol",
        "httpProtocol",
        "ingress-class",
        "ingress.class",
    ];
    let mut errors = FieldErrors::none();
    for (key, _) in annotations {
        let Some(rest) = key.strip_prefix("networking.knative.dev") else {
            continue;
        };
        let known = rest
            .strip_prefix('/')
            .is_some_and(|name| KNOWN.contains(&name));
        if !known {
            errors.add(FieldErrors::invalid_key(key, CURRENT));
        }
    }
    errors
}

/// Resources of the queue proxy: there is none here, but a bad value is bad everywhere.
pub fn queue_sidecar(annotations: &Annotations<'_>) -> FieldErrors {
    const PREFIX: &str = "queue.sidecar.serving.knative.dev/";
    const AMOUNTS: &[&str] = &[
        "cpu-resource-request",
        "cpu-resource-limit",
        "memory-resource-request",
        "memory-resource-limit",
        "ephemeral-storage-resource-request",
        "ephemeral-storage-resource-limit",
    ];
    let mut errors = FieldErrors::none();
    for (key, value) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else {
            continue;
        };
        let path = format!("[{key}]");
        if AMOUNTS.contains(&name) && quantity::canonical(value).is_none() {
            errors.add(FieldErrors::invalid(value, CURRENT).via(&path));
        }
        if matches!(name, "resource-percentage" | "resourcePercentage") {
            errors.add(
                FieldErrors::pathless(
                    "Queue proxy resource percentage annotation is deprecated. Please use the \
                     available annotations to explicitly set resource values per service",
                )
                .as_warning(),
            );
            errors.add(
                match go_number::float(value) {
                    None => FieldErrors::invalid(value, CURRENT),
                    // What is no number is out of no bounds.
                    Some(percent) if percent.is_nan() || (0.1..=100.0).contains(&percent) => {
                        FieldErrors::none()
                    }
                    Some(percent) => FieldErrors::out_of_bounds(percent, 0.1, 100, CURRENT),
                }
                .via(&path),
            );
        }
    }
    errors
}
