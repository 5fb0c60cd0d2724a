//! JSON patch with the limits, the leniency and the words of the API server, which uses
//! `evanphx/json-patch` 4: null and absent are one, indices may count from the end.

use serde_json::{Map, Value};

use super::PatchError;
use crate::json::go_words;

/// How many operations one patch may have (`maxJSONPatchOperations` of the API server).
const MAX_OPERATIONS: usize = 10_000;

/// Why an operation is none, or does not fit the object.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("operation, missing {0} field")]
    NoField(&'static str),
    #[error("Unexpected kind: {0}")]
    UnknownVerb(String),
    #[error("doc is missing path: \"{0}\": missing value")]
    NoPath(String),
    #[error("testing value {0} failed: test failed")]
    OtherValue(String),
    #[error("Unable to access invalid index: {0}")]
    NoIndex(String),
}

/// Applies a JSON patch to a copy of the object; all of it or nothing.
///
/// # Errors
/// `BadRequest` where the patch is no list, `Unprocessable` where an operation is none or
/// does not fit the object (a failed `test`, a path that is not there).
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let not_a_list = |found: &Value, wanted: &str| {
        let found = go_words::kind(found);
        PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"
        ))
    };
    let Value::Array(operations) = patch else {
        return Err(not_a_list(patch, "[]handlers.jsonPatchOp"));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let mut patched = object.clone();
    for operation in operations {
        let Value::Object(operation) = operation else {
            return Err(not_a_list(operation, "handlers.jsonPatchOp"));
        };
        carry_out(&mut patched, operation)
            .map_err(|unfit| PatchError::Unprocessable(unfit.to_string()))?;
    }
    Ok(patched)
}

fn carry_out(object: &mut Value, operation: &Map<String, Value>) -> Result<(), Unfit> {
    let text = |key: &'static str| {
        let text = operation.get(key).and_then(Value::as_str);
        text.ok_or(Unfit::NoField(key))
    };
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let verb = text("op")?;
    let path = match verb {
        "add" | "remove" | "replace" | "test" | "move" | "copy" => text("path")?,
        _ => return Err(Unfit::UnknownVerb(verb.to_owned())),
    };
    match verb {
        "replace" if path.is_empty() => {
            let value = value();
            if value.is_object() || value.is_array() {
                *object = value;
            }
            Ok(())
        }
        "test" if path.is_empty() => tested(Some(object), &value(), path),
        "add" => add(object, path, value()),
        "remove" => take(object, path).map(|_| ()),
        "replace" => {
            let (holder, key) = holder(object, path)?;
            match holder {
                Value::Object(members) => {
                    members.insert(key, value());
                }
                Value::Array(items) => {
                    let at = index(&key, items.len())?;
                    if let Some(place) = items.get_mut(at) {
                        *place = value();
                    }
                }
                _ => return Err(missing(path)),
            }
            Ok(())
        }
        "test" => tested(get(object, path)?.as_ref(), &value(), path),
        "move" => {
            let moved = take(object, text("from")?)?;
            add(object, path, moved)
        }
        _ => {
            let copied = get(object, text("from")?)?.unwrap_or(Value::Null);
            add(object, path, copied)
        }
    }
}

fn missing(path: &str) -> Unfit {
    Unfit::NoPath(path.to_owned())
}

fn tested(found: Option<&Value>, wanted: &Value, path: &str) -> Result<(), Unfit> {
    if found.unwrap_or(&Value::Null) == wanted {
        return Ok(());
    }
    Err(Unfit::OtherValue(path.to_owned()))
}

/// The map or list that the last step of a path leads out of, and that step.
fn holder<'o>(object: &'o mut Value, path: &str) -> Result<(&'o mut Value, String), Unfit> {
    let mut steps: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    let last = steps.pop().ok_or_else(|| missing(path))?;
    let mut at = object;
    for step in steps {
        at = match at {
            Value::Object(members) => members.get_mut(&step),
            Value::Array(items) => {
                let index = index(&step, items.len())?;
                items.get_mut(index)
            }
            _ => None,
        }
        .ok_or_else(|| missing(path))?;
    }
    match at {
        Value::Object(_) | Value::Array(_) => Ok((at, last)),
        _ => Err(missing(path)),
    }
}

/// An index below `length`; from the end where it is negative.
fn index(text: &str, length: usize) -> Result<usize, Unfit> {
    let wrong = || Unfit::NoIndex(text.to_owned());
    let number: i64 = text.parse().map_err(|_| wrong())?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if number < 0 { number + length } else { number };
    let at = usize::try_from(at).map_err(|_| wrong())?;
    (number < length).then_some(at).ok_or_else(wrong)
}

fn get(object: &mut Value, path: &str) -> Result<Option<Value>, Unfit> {
    let (holder, key) = holder(object, path)?;
    match holder {
        Value::Object(members) => Ok(members.get(&key).cloned()),
        Value::Array(items) => Ok(items.get(index(&key, items.len())?).cloned()),
        _ => Err(missing(path)),
    }
}

fn take(object: &mut Value, path: &str) -> Result<Value, Unfit> {
    let (holder, key) = holder(object, path)?;
    match holder {
        Value::Object(members) => members.remove(&key).ok_or_else(|| missing(path)),
        Value::Array(items) => {
            let at = index(&key, items.len())?;
            Ok(items.remove(at))
        }
        _ => Err(missing(path)),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Unfit> {
    let (holder, key) = holder(object, path)?;
    match holder {
        Value::Object(members) => {
            members.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(&key, items.len() + 1)?;
            items.insert(at, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
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

    /// All of this was seen on a Kubernetes 1.34, or is what its library's code says.
    #[test]
    fn what_is_absent_is_null_and_indices_count_from_the_end() {
        let object = json!({"list": [1, 2], "text": "x", "none": null});
        for (operation, becomes) in [
            (
                json!({"op": "replace", "path": "/new", "value": 1}),
                Some(json!({"list": [1, 2], "text": "x", "none": null, "new": 1})),
            ),
            (
                json!({"op": "test", "path": "/new", "value": null}),
                Some(object.clone()),
            ),
            (
                json!({"op": "copy", "from": "/new", "path": "/text"}),
                Some(json!({"list": [1, 2], "text": null, "none": null})),
            ),
            (
                json!({"op": "add", "path": "/list/-1", "value": 3}),
                Some(json!({"list": [1, 2, 3], "text": "x", "none": null})),
            ),
            (
                json!({"op": "remove", "path": "/list/-2"}),
                Some(json!({"list": [2], "text": "x", "none": null})),
            ),
            (
                json!({"op": "replace", "path": "/list/01", "value": 3}),
                Some(json!({"list": [1, 3], "text": "x", "none": null})),
            ),
            (
                json!({"op": "replace", "path": "", "value": {}}),
                Some(json!({})),
            ),
            (
                json!({"op": "replace", "path": "", "value": 1}),
                Some(object.clone()),
            ),
            (json!({"op": "add", "path": "", "value": {}}), None),
            (json!({"op": "remove", "path": "/new"}), None),
            (json!({"op": "move", "from": "/new", "path": "/a"}), None),
            (
                json!({"op": "move", "from": "/list", "path": "/list/0"}),
                None,
            ),
            (json!({"op": "add", "path": "/none/a", "value": 1}), None),
            (json!({"op": "add", "path": "/list/3", "value": 1}), None),
            (
                json!({"op": "replace", "path": "/list/-", "value": 1}),
                None,
            ),
        ] {
            let patched = json_patch(&object, &json!([operation])).ok();
            assert_eq!(patched, becomes, "{operation}");
        }
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
