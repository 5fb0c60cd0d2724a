//! Rules for the volumes of a template.

use serde_json::Value;

use super::field_error::FieldErrors;
use super::{list, only, text};
use crate::api::{dns_names, quantity};

/// The volumes that containers may mount.
pub struct Volumes<'a>(&'a [Value]);

/// Kinds of volume that work; others are features that are off by default.
const SOURCES: &[&str] = &["secret", "configMap", "projected", "emptyDir"];
/// Kinds that are not, but that are counted.
const COUNTED: &[&str] = &["persistentVolumeClaim", "hostPath", "csi", "image"];

impl<'a> Volumes<'a> {
    /// The volumes of a template.
    pub fn of(spec: &'a Value) -> Self {
        Self(list(spec, "volumes"))
    }

    /// The volume of that name; of several the last one counts.
    pub fn find(&self, name: &str) -> Option<&'a Value> {
        let mut all = self.0.iter().rev();
        all.find(|volume| text(volume, "name") == name)
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
    // What is wrong with the name hides that the kind of volume is switched off.
    let mut errors = if name.is_empty() {
        FieldErrors::missing("name")
    } else if dns_names::is_dns_1123_label(name) {
        switched_off(volume)
    } else {
        FieldErrors::invalid(name, "name")
    };
    let mut allowed = vec!["name"];
    allowed.extend(SOURCES);
    errors.add(only(volume, &allowed));
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
    if let Some(image) = volume.get("image") {
        errors.add(of_image(image).via("image"));
    }
    let given: Vec<_> = SOURCES
        .iter()
        .chain(COUNTED)
        .copied()
        .filter(|source| volume.get(source).is_some())
        .collect();
    match given.len() {
        0 => errors.add(FieldErrors::missing_one_of(SOURCES.iter().copied())),
        1 => {}
        _ => errors.add(FieldErrors::multiple_one_of(given)),
    }
    errors
}

/// What Kubernetes allows and Knative has switched off.
fn switched_off(volume: &Value) -> FieldErrors {
    let mut errors = FieldErrors::none();
    if let Some(claim) = volume.get("persistentVolumeClaim") {
        let claimed = text(claim, "claimName");
        errors.add(FieldErrors::pathless(format!(
            "Persistent volume claim support is disabled, but found persistent volume claim {claimed}"
        )));
        if claim.get("readOnly").is_none() {
            errors.add(FieldErrors::pathless(format!(
                "Persistent volume write support is disabled, but found persistent volume claim {claimed} that is not read-only"
            )));
        }
    }
    for (field, word) in [("image", "Image"), ("hostPath", "HostPath"), ("csi", "CSI")] {
        if volume.get(field).is_some() {
            errors.add(FieldErrors::pathless(format!(
                "{word} volume support is disabled, but found {word} volume {}",
                text(volume, "name")
            )));
        }
    }
    errors
}

fn items(body: &Value) -> FieldErrors {
    let mut errors = FieldErrors::none();
    for (index, item) in list(body, "items").iter().enumerate() {
        let mut wrong = FieldErrors::none();
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
                let mut wrong = items(body);
                if text(body, "name").is_empty() {
                    wrong.add(FieldErrors::missing("name"));
                }
                wrong
            }
            "downwardAPI" => downward(body),
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

fn downward(body: &Value) -> FieldErrors {
    const REFERENCES: [&str; 2] = ["fieldRef", "resourceFieldRef"];
    let mut errors = FieldErrors::none();
    for (index, item) in list(body, "items").iter().enumerate() {
        let given = REFERENCES.map(|reference| item.get(reference).is_some());
        let mut wrong = match given {
            [false, false] => FieldErrors::missing_one_of(REFERENCES),
            [true, true] => FieldErrors::new("Within a single item, cannot set both", REFERENCES),
            _ => FieldErrors::none(),
        };
        if text(item, "path").is_empty() {
            wrong.add(FieldErrors::missing("path"));
        }
        errors.add(wrong.via_field_index("items", index));
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

fn of_image(image: &Value) -> FieldErrors {
    let mut errors = FieldErrors::none();
    if text(image, "reference").is_empty() {
        errors.add(FieldErrors::missing("reference"));
    }
    match text(image, "pullPolicy") {
        "" | "IfNotPresent" | "Always" | "Never" => {}
        other => errors.add(FieldErrors::invalid(other, "pullPolicy")),
    }
    errors
}
