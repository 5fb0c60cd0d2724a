//! The digest of what is applied, and its annotation.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::marks;

/// Digest of a value: the first eight bytes of the SHA-256 of its canonical JSON, in hex.
pub fn of(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes an object's digest (of all but an earlier digest) into its annotation, and returns it.
pub fn sign(object: &mut Value) -> String {
    let Some(fields) = object.as_object_mut() else {
        return String::new();
    };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(marks::DIGEST);
    }
    let digest = of(object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(marks::DIGEST.into(), digest.clone().into());
        }
    }
    digest
}
