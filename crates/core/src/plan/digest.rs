//! The digest of what is applied, and its annotation.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::serving::annotation;

use super::annotations;

/// Digest of a value: the first eight bytes of the SHA-256 of its canonical JSON, in hex.
pub fn of(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes an object's digest (of all but an earlier digest, and of a template's attempt
/// number) into its annotation, and returns it.
///
/// The attempt number is the rollout's, not Git's: with it and without it, the object
/// says the same of Git.
pub fn sign(object: &mut Value) -> String {
    if !object.is_object() {
        return String::new();
    }
    let mut plain = object.clone();
    without_annotation(&mut plain, annotations::DIGEST);
    if let Some(template) = plain.pointer_mut("/spec/template") {
        without_attempt(template);
    }
    let digest = of(&plain);
    if let Some(fields) = object.as_object_mut()
        && let Some(metadata) = entry(fields, "metadata")
        && let Some(annotations) = entry(metadata, "annotations")
    {
        annotations.insert(annotations::DIGEST.into(), digest.clone().into());
    }
    digest
}

/// Takes the rollout's attempt number out of a revision template.
pub(super) fn without_attempt(template: &mut Value) {
    without_annotation(template, annotation::ATTEMPT);
}

/// Takes an annotation out, and what is empty without it.
fn without_annotation(object: &mut Value, name: &str) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(name);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if metadata.is_empty() {
        fields.remove("metadata");
    }
}

fn entry<'a>(fields: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = fields.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_attempt_at_the_same_template_has_the_same_digest() {
        let mut first = json!({"kind": "Configuration", "spec": {"template": {"spec": {"a": 1}}}});
        let mut again = first.clone();
        again["spec"]["template"]["metadata"] = json!({"annotations": {"sluice.dev/attempt": "2"}});
        assert_eq!(sign(&mut first), sign(&mut again));
        assert_eq!(
            again["spec"]["template"]["metadata"]["annotations"]["sluice.dev/attempt"],
            "2"
        );
        let signed = first.clone();
        assert_eq!(
            sign(&mut first),
            signed["metadata"]["annotations"]["sluice.dev/digest"]
        );
        first["spec"]["template"]["spec"]["a"] = json!(2);
        assert_ne!(sign(&mut first), sign(&mut again));
    }
}
