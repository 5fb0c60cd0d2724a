//! JSON merge patch (RFC 7386): null deletes, objects merge, everything else replaces.

use serde_json::{Map, Value};

use super::PatchError;
use crate::json::go_words;

/// Applies a merge patch to a copy of the object.
///
/// # Errors
/// A patch that is no JSON object would replace the whole object and is refused.
pub fn merge_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::BadRequest(if patch.is_null() {
            "Invalid JSON Patch".to_owned()
        } else {
            let found = go_words::kind(patch);
            format!(
                "error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )
        }));
    }
    let mut merged = object.clone();
    if let (Value::Object(fields), Value::Object(patch)) = (&mut merged, patch) {
        merge(fields, patch);
    }
    Ok(merged)
}

fn merge(fields: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match (fields.get_mut(name), change) {
            (_, Value::Null) => {
                fields.remove(name);
            }
            (Some(Value::Object(fields)), Value::Object(patch)) => merge(fields, patch),
            // A list in an object's place stays as it is, as the library that Kubernetes uses has it.
            (Some(place @ Value::Object(_)), change) => *place = change.clone(),
            (_, change) => {
                let mut value = change.clone();
                drop_nulls(&mut value);
                fields.insert(name.clone(), value);
            }
        }
    }
}

/// Fields of what is new that are null are not there, in lists neither.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_deletes_objects_merge_and_lists_are_replaced() {
        let object = json!({"spec": {"a": 1, "b": {"x": 1, "y": 2}, "list": [1, 2]}});
        let patch = json!({"spec": {"a": null, "b": {"y": 3}, "list": [9], "new": {"n": null}}});
        assert_eq!(
            merge_patch(&object, &patch).unwrap(),
            json!({"spec": {"b": {"x": 1, "y": 3}, "list": [9], "new": {}}})
        );
    }

    /// Seen on a Kubernetes 1.34.
    #[test]
    fn nulls_in_a_list_are_dropped_unless_an_object_was_there() {
        let patch = json!({"a": [{"n": null}, null], "b": [{"n": null}]});
        assert_eq!(
            merge_patch(&json!({"b": {}}), &patch).unwrap(),
            json!({"a": [{}, null], "b": [{"n": null}]})
        );
    }

    #[test]
    fn a_patch_that_is_no_object_is_refused() {
        assert!(matches!(
            merge_patch(&json!({}), &json!([1])),
            Err(PatchError::BadRequest(_))
        ));
    }
}
