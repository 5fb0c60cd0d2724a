//! What an applied object has in its metadata that is empty: it is stored, and nobody is shown it.

use serde_json::Value;

use crate::json::object;

/// What may be there and empty, or null, in the metadata of an object that was applied: it is stored
/// so, and read without it, so that the next write finds a change.
const EMPTIES: &[&str] = &["labels", "annotations", "finalizers", "ownerReferences"];

/// Takes out what is empty; tells what it was.
pub fn take_empties(object: &mut Value) -> Vec<&'static str> {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    let is_empty = |value: &Value| {
        value.is_null()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    };
    let mut taken = Vec::new();
    for key in EMPTIES {
        if metadata.get(*key).is_some_and(is_empty) {
            metadata.remove(*key);
            taken.push(*key);
        }
    }
    taken
}

/// Puts back what was taken out.
pub fn put_empties(object: &mut Value, keys: &[&'static str]) {
    for key in keys {
        let nothing = match *key {
            "labels" | "annotations" => Value::Object(serde_json::Map::new()),
            _ => Value::Array(Vec::new()),
        };
        object::set_meta(object, key, nothing);
    }
}
