//! Rules for the volumes of a template.

use serde_json::Value;

use super::field_error::FieldErrors;
use super::{dns_names, list, only, quantity, text};

/// The volumes that containers may mount.
pub struct Volumes<'a>(&'a [Value]);

/// Kinds of volume that work; others are features that are off by default.
const SOURCES: &[&str] = &["secret", "configMap", "projected", "emptyDir"];

/// What Kubernetes allows and Knative has switched off, with its word for it.
const SWITCHED_OFF: &[(&str, &str, &str)] = &[
    ("image", "Image", "Image volume"),
    ("hostPath", "HostPath", "HostPath volume"),
    ("csi", "CSI", "CSI volume"),
    ("ephemeral", "Ephemeral", "Ephemeral volume"),
];

impl<'a> Volumes<'a> {
    /// The volumes of a template.
    pub fn of(spec: &'a Value) -> Self {
        Self(list(spec, "volumes"))
    }

    fn find(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|volume| text(volume, "name") == name)
    }

    /// Whether there is a volume of that name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether a container may write to it.
    pub fn is_writable(&self, name: &str) -> bool {
        self.find(name).is_some_and(|volume| {
            ["emptyDir", "persistentVolumeClaim", "ephemeral"]
                .iter()
                .any(|kind| volume.get(kind).is_some())
        })
    }

    /// Everything wrong with them (paths from the spec). `mounted` are the names that
    /// containers mount.
    pub fn check(&self, mounted: &[&str]) -> FieldErrors {
        let mut errors = FieldErrors::none();
        let mut seen = Vec::new();
        for (index, volume) in self.0.iter().enumerate() {
            let name = text(volume, "name");
            let mut wrong = FieldErrors::none();
            if seen.contains(&name) {
                wrong.add(FieldErrors::at(
                    format!("duplicate volume name {name:?}"),
                    "name",
                ));
            }
            if !mounted.contains(&name) {
                wrong.add(FieldErrors::at(
                    format!("volume with name {name:?} not mounted"),
                    "name",
                ));
            }
            seen.push(name);
            errors.add(wrong.also(check(volume)).via_index(index));
        }
        errors.via("volumes")
    }
}

fn check(volume: &Value) -> FieldErrors {
    let name = text(volume, "name");
    let mut errors = if name.is_empty() {
        FieldErrors::missing("name")
    } else if dns_names::is_dns_1123_label(name) {
        FieldErrors::none()
    } else {
        FieldErrors::invalid(name, "name")
    };
    let mut off = Vec::new();
    for (field, word, kind) in SWITCHED_OFF {
        if volume.get(field).is_some() {
            off.push(*field);
            errors.add(FieldErrors::pathless(format!(
                "{word} volume support is disabled, but found {kind} {name}"
            )));
        }
    }
    if let Some(claim) = volume.get("persistentVolumeClaim") {
        off.push("persistentVolumeClaim");
        let claim = text(claim, "claimName");
        errors.add(FieldErrors::pathless(format!(
            "Persistent volume claim support is disabled, but found persistent volume claim {claim}"
        )));
    }
    let mut allowed = vec!["name"];
    allowed.extend(SOURCES);
    errors.add(only(volume, &allowed));
    let given: Vec<_> = SOURCES
        .iter()
        .copied()
        .filter(|source| volume.get(source).is_some())
        .chain(off)
        .collect();
    match given.len() {
        0 => errors.add(FieldErrors::missing_one_of(SOURCES.iter().copied())),
        1 => {}
        _ => errors.add(FieldErrors::multiple_one_of(given)),
    }
    for source in ["secret", "configMap"] {
        if let Some(body) = volume.get(source) {
            errors.add(items(body));
        }
    }
    if let Some(projected) = volume.get("projected") {
        for (index, source) in list(projected, "sources").iter().enumerate() {
            errors.add(projection(source).via_field_index("projected", index));
        }
    }
    if let Some(dir) = volume.get("emptyDir") {
        errors.add(empty_dir(dir).via("emptyDir"));
    }
    errors
}

fn items(body: &Value) -> FieldErrors {
    let mut errors = FieldErrors::none();
    for (index, item) in list(body, "items").iter().enumerate() {
        let mut wrong = only(item, &["key", "mode", "path"]);
        for field in ["key", "path"] {
            if text(item, field).is_empty() {
                wrong.add(FieldErrors::missing(field));
            }
        }
        errors.add(wrong.via_field_index("items", index));
    }
    errors
}

fn projection(source: &Value) -> FieldErrors {
    const KINDS: &[&str] = &["secret", "configMap", "serviceAccountToken", "downwardAPI"];
    let mut errors = only(source, KINDS);
    let given: Vec<_> = KINDS
        .iter()
        .copied()
        .filter(|kind| source.get(kind).is_some())
        .collect();
    for kind in &given {
        let Some(body) = source.get(kind) else {
            continue;
        };
        let wrong = match *kind {
            "secret" | "configMap" => {
                let mut wrong = only(body, &["items", "name", "optional"]).also(items(body));
                if text(body, "name").is_empty() {
                    wrong.add(FieldErrors::missing("name"));
                }
                wrong
            }
            "serviceAccountToken" if text(body, "path").is_empty() => FieldErrors::missing("path"),
            _ => FieldErrors::none(),
        };
        errors.add(wrong.via(kind));
    }
    match given.len() {
        0 => errors.add(FieldErrors::missing_one_of(KINDS.iter().copied())),
        1 => {}
        _ => errors.add(FieldErrors::multiple_one_of(given)),
    }
    errors
}

fn empty_dir(dir: &Value) -> FieldErrors {
    let mut errors = FieldErrors::none();
    match text(dir, "medium") {
        "" | "Memory" => {}
        other => errors.add(FieldErrors::invalid(other, "medium")),
    }
    let limit = text(dir, "sizeLimit");
    if quantity::is_negative(limit) {
        errors.add(FieldErrors::invalid(limit, "sizeLimit"));
    }
    errors
}
