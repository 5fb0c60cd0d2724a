//! JSON patch (RFC 6902), with the limits and the words of the API server.

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::PatchError;

/// How many operations one patch may have (`maxJSONPatchOperations` of the API server).
const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch to a copy of the object; all of it or nothing.
///
/// # Errors
/// `BadRequest` where the patch is no list, `Unprocessable` where an operation is none or
/// does not fit the object (a failed `test`, a path that is not there).
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        let found = super::super::strict_json::go_kind(patch);
        return Err(PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let operations = operations
        .iter()
        .map(|operation| {
            serde_json::from_value::<PatchOperation>(operation.clone())
                .map_err(|error| PatchError::Unprocessable(error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &operations).map_err(|error| {
        let path = error.path.to_string();
        let operation = operations.get(error.operation);
        PatchError::Unprocessable(words(operation, &path, &error.kind))
    })?;
    Ok(patched)
}

/// What `evanphx/json-patch`, which the API server uses, says of the same fault.
fn words(operation: Option<&PatchOperation>, path: &str, kind: &PatchErrorKind) -> String {
    let verb = match operation {
        Some(PatchOperation::Add(_)) => "add",
        Some(PatchOperation::Remove(_)) => "remove",
        Some(PatchOperation::Replace(_)) => "replace",
        Some(PatchOperation::Move(_)) => "move",
        Some(PatchOperation::Copy(_)) => "copy",
        Some(PatchOperation::Test(_)) | None => "test",
    };
    match (kind, verb) {
        (PatchErrorKind::TestFailed, _) => format!("testing value {path} failed: test failed"),
        (_, "test") => format!("testing path {path} failed: missing value"),
        (_, "remove") => {
            format!(
                "remove operation does not apply: doc is missing path: \"{path}\": missing value"
            )
        }
        (_, "replace") => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        (_, verb) => {
            format!(
                "{verb} operation does not apply: doc is missing path: \"{path}\": missing value"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_apply_in_order_or_not_at_all() {
        let object = json!({"metadata": {"labels": {"a": "1"}}});
        let patch = json!([
            {"op": "test", "path": "/metadata/labels/a", "value": "1"},
            {"op": "add", "path": "/metadata/labels/b~1c", "value": "2"},
            {"op": "remove", "path": "/metadata/labels/a"},
        ]);
        assert_eq!(
            json_patch(&object, &patch).unwrap(),
            json!({"metadata": {"labels": {"b/c": "2"}}})
        );
    }

    #[test]
    fn a_failed_test_is_unprocessable_and_says_where() {
        let patch = json!([{"op": "test", "path": "/spec/replicas", "value": 2}]);
        assert_eq!(
            json_patch(&json!({"spec": {"replicas": 1}}), &patch),
            Err(PatchError::Unprocessable(
                "testing value /spec/replicas failed: test failed".to_owned()
            ))
        );
    }

    #[test]
    fn what_does_not_fit_is_unprocessable_and_no_list_is_a_bad_request() {
        let patch = json!([{"op": "remove", "path": "/spec/gone"}]);
        let error = json_patch(&json!({"spec": {}}), &patch).unwrap_err();
        assert!(
            error.to_string().contains("missing path: \"/spec/gone\""),
            "{error}"
        );
        assert!(matches!(
            json_patch(&json!({}), &json!({"op": "add"})),
            Err(PatchError::BadRequest(_))
        ));
        assert!(matches!(
            json_patch(&json!({}), &json!([{"op": "frobnicate", "path": "/a"}])),
            Err(PatchError::Unprocessable(_))
        ));
    }
}
