//! JSON merge patch (RFC 7386): null deletes, objects merge, everything else replaces.

use serde_json::Value;

use super::PatchError;
use crate::local::go_words;

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
    json_patch::merge(&mut merged, patch);
    Ok(merged)
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

    #[test]
    fn a_patch_that_is_no_object_is_refused() {
        assert!(matches!(
            merge_patch(&json!({}), &json!([1])),
            Err(PatchError::BadRequest(_))
        ));
    }
}
