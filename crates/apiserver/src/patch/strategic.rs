//! Strategic merge patch: a merge patch that knows which lists merge, and by what key.
//!
//! The keys come from the schema (`x-kubernetes-patch-strategy`, `-merge-key`), so it is
//! for built-in kinds only. Directives: `$patch: delete|replace`, `$retainKeys`,
//! `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.

use std::mem::discriminant;

use serde_json::{Map, Value};

use super::PatchError;
use super::strategic_lists::{delete_from, list, merge_in_order, merge_slice};
use crate::json::strict_json::go_map;
use crate::schema::{Schema, TypeRef};

pub(super) const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
pub(super) const SET_ORDER: &str = "$setElementOrder";

pub(super) type Object = Map<String, Value>;

/// Applies a strategic merge patch to a copy of the object.
///
/// # Errors
/// `BadRequest` for malformed directives, `Internal` for directives that there are not and
/// for list items without their merge key.
pub fn strategic_merge_patch(
    object: &Value,
    patch: &Value,
    schema: &Schema,
) -> Result<Value, PatchError> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(bad("invalid JSON document"));
    };
    let mut merged = object.clone();
    merge_map(&mut merged, patch, Some(schema.root()))?;
    Ok(Value::Object(merged))
}

fn bad(why: impl Into<String>) -> PatchError {
    PatchError::BadRequest(why.into())
}

pub(super) fn failed(why: String) -> PatchError {
    PatchError::Internal(why)
}

/// Whether a field of a patch is about the list of that name.
fn list_named<'p>(name: &'p str, prefix: &str, what: &str) -> Result<&'p str, PatchError> {
    name.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| bad(format!("invalid patch format of {what}")))
}

pub(super) fn merge_map(
    original: &mut Object,
    patch: &Object,
    typed: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    if let Some(directive) = patch.get(PATCH) {
        match directive.as_str() {
            Some("replace") => {
                *original = patch.clone();
                original.remove(PATCH);
            }
            Some("delete") => original.clear(),
            _ => {
                return Err(failed(format!(
                    "unknown patch type: {} in map: {}",
                    go_map(directive),
                    go_map(&Value::Object(patch.clone()))
                )));
            }
        }
        return Ok(());
    }
    retain_keys(original, patch)?;
    let member = |name: &str| typed.map(|typed| typed.member(name));
    // A list whose order is said is merged together with its order, before all else.
    let mut ordered: Vec<&str> = Vec::new();
    for (name, order) in patch.iter().filter(|(name, _)| name.starts_with(SET_ORDER)) {
        let order = list(order)?;
        let name = list_named(name, SET_ORDER, "setElementOrder list")?;
        merge_in_order(original, name, patch.get(name), order, member(name))?;
        ordered.push(name);
    }
    for (name, value) in patch {
        if name.starts_with(DELETE_FROM) {
            let name = list_named(name, DELETE_FROM, "primitive list")?;
            delete_from(original, name, value)?;
        } else if !is_merged_before(name) && !ordered.contains(&name.as_str()) {
            merge_field(original, name, value, member(name))?;
        }
    }
    Ok(())
}

fn is_merged_before(name: &str) -> bool {
    name == RETAIN_KEYS || name.starts_with(SET_ORDER)
}

fn retain_keys(original: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let Some(keys) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let wrong = || bad("invalid patch format of retainKeys");
    let keys: Vec<&str> = keys
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for (name, value) in patch {
        let is_about_keys = is_merged_before(name) || name.starts_with(DELETE_FROM);
        if !is_about_keys && !value.is_null() && !keys.contains(&name.as_str()) {
            return Err(wrong());
        }
    }
    original.retain(|name, _| keys.contains(&name.as_str()));
    Ok(())
}

fn merge_field(
    original: &mut Object,
    name: &str,
    patch: &Value,
    typed: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    if patch.is_null() {
        original.remove(name);
        return Ok(());
    }
    let present = original
        .get_mut(name)
        .filter(|present| discriminant(*present) == discriminant(patch));
    let rule = typed.and_then(|typed| typed.node().patch.as_deref());
    match (present, patch) {
        (Some(Value::Object(present)), Value::Object(patch)) => {
            if rule.is_some_and(|rule| rule.replace) {
                present.clone_from(patch);
                return Ok(());
            }
            merge_map(present, patch, typed)
        }
        (Some(Value::Array(present)), Value::Array(patch)) => merge_slice(present, patch, typed),
        _ => {
            match plain(patch) {
                Some(value) => original.insert(name.to_owned(), value),
                None => original.remove(name),
            };
            Ok(())
        }
    }
}

/// A patch value where there is nothing to merge it with: without its nulls, and without what
/// is there to be deleted; `None` where it is a directive and nothing else.
fn plain(patch: &Value) -> Option<Value> {
    match patch {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => Some(Value::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(plain).collect())),
        scalar => Some(scalar.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::builtin;

    #[track_caller]
    fn check(object: Value, patch: Value, expected: Value) {
        let schema = builtin::schema("", "v1", "Pod").unwrap();
        assert_eq!(
            strategic_merge_patch(&object, &patch, &schema),
            Ok(expected)
        );
    }

    #[track_caller]
    fn refuse(object: Value, patch: Value, why: &str) {
        let schema = builtin::schema("", "v1", "Pod").unwrap();
        let error = strategic_merge_patch(&object, &patch, &schema).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    fn containers(items: Value) -> Value {
        json!({"spec": {"containers": items}})
    }

    #[test]
    fn containers_merge_by_name_and_their_lists_by_their_own_keys() {
        check(
            containers(json!([
                {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}], "args": ["x"]},
                {"name": "b", "image": "b:1"},
            ])),
            containers(json!([{"name": "a", "image": "a:2", "args": ["y"],
                "env": [{"name": "Y", "value": "2"}]}])),
            containers(json!([
                {"name": "a", "image": "a:2", "args": ["y"],
                    "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]},
                {"name": "b", "image": "b:1"},
            ])),
        );
    }

    #[test]
    fn an_item_is_deleted_by_its_key_and_a_field_by_null() {
        check(
            containers(json!([{"name": "a", "image": "a", "tty": true}, {"name": "b"}])),
            containers(json!([{"name": "a", "tty": null}, {"name": "b", "$patch": "delete"}])),
            containers(json!([{"name": "a", "image": "a"}])),
        );
        check(
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3", "d": null}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        );
    }

    #[test]
    fn a_list_or_a_map_is_replaced_where_the_patch_says_so() {
        check(
            containers(json!([{"name": "a"}, {"name": "b"}])),
            containers(json!([{"$patch": "replace"}, {"name": "c"}])),
            containers(json!([{"name": "c"}])),
        );
        check(
            json!({"metadata": {"labels": {"a": "1"}}}),
            json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}}}),
            json!({"metadata": {"labels": {"b": "2"}}}),
        );
        check(
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        );
    }

    #[test]
    fn scalars_are_added_once_and_deleted_by_directive() {
        check(
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["c", "b"]}}),
        );
        check(
            json!({"metadata": {"finalizers": ["b", "a", "b"]}}),
            json!({"metadata": {"finalizers": ["c"]}}),
            json!({"metadata": {"finalizers": ["c", "b", "a"]}}),
        );
    }

    #[test]
    fn the_order_of_the_patch_is_kept_with_what_the_server_added() {
        check(
            containers(json!([{"name": "sidecar"}, {"name": "a"}, {"name": "b"}])),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "b:2"}],
            }}),
            containers(json!([
                {"name": "sidecar"}, {"name": "b", "image": "b:2"}, {"name": "a"},
            ])),
        );
        refuse(
            containers(json!([{"name": "a"}])),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"name": "z"}],
            }}),
            "doesn't match $setElementOrder",
        );
        refuse(
            containers(json!([{"name": "a"}])),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"name": "a"}, {"name": "b", "$patch": "merge"}],
            }}),
            "doesn't match $setElementOrder",
        );
    }

    #[test]
    fn retained_keys_drop_all_others() {
        check(
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"],
                "configMap": {"name": "c"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}}),
        );
        refuse(
            json!({"spec": {"volumes": [{"name": "v"}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name"], "secret": {}}]}}),
            "invalid patch format of retainKeys",
        );
    }

    #[test]
    fn what_is_new_comes_without_nulls_and_directives() {
        check(
            json!({}),
            json!({"spec": {"nodeSelector": {"a": null, "b": "c"}, "hostname": "h",
                "containers": [{"name": "a"}, {"name": "b", "$patch": "delete"}]}}),
            json!({"spec": {"nodeSelector": {"b": "c"}, "hostname": "h", "containers": [{"name": "a"}]}}),
        );
    }

    #[test]
    fn an_item_without_its_key_or_with_an_odd_directive_is_refused() {
        refuse(
            containers(json!([{"name": "a"}])),
            containers(json!([{"image": "x"}])),
            "does not contain declared merge key: name",
        );
        refuse(
            json!({"spec": {"securityContext": {}}}),
            json!({"spec": {"securityContext": {"$patch": "frobnicate"}}}),
            "unknown patch type",
        );
    }
}
