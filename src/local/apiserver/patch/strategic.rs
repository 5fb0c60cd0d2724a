//! Strategic merge patch: a merge patch that knows which lists merge, and by what key.
//!
//! The keys come from the schema (`x-kubernetes-patch-strategy`, `-merge-key`), so it is
//! for built-in kinds only. Directives: `$patch: delete|replace`, `$retainKeys`,
//! `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.

use std::mem::discriminant;

use serde_json::{Map, Value};

use super::super::schema::{Schema, TypeRef};
use super::super::strict_json::go_map;
use super::PatchError;
use super::element_order::{Order, same_element};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

type Object = Map<String, Value>;

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

fn failed(why: String) -> PatchError {
    PatchError::Internal(why)
}

/// What a patch says of a field of the object, beside a plain value.
enum Field<'p> {
    Value(&'p str),
    DeleteFrom(&'p str),
    SetOrder(&'p str),
    RetainKeys,
}

fn field(name: &str) -> Result<Field<'_>, PatchError> {
    let after = |prefix: &str, why: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| bad(format!("invalid patch format of {why}")))
    };
    Ok(if name == RETAIN_KEYS {
        Field::RetainKeys
    } else if name.starts_with(DELETE_FROM) {
        Field::DeleteFrom(after(DELETE_FROM, "primitive list")?)
    } else if name.starts_with(SET_ORDER) {
        Field::SetOrder(after(SET_ORDER, "setElementOrder list")?)
    } else {
        Field::Value(name)
    })
}

fn merge_map(
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
    for (name, value) in patch {
        match field(name)? {
            Field::RetainKeys | Field::SetOrder(_) => {}
            Field::DeleteFrom(name) => delete_from(original, name, value)?,
            Field::Value(name) => {
                let member = typed.map(|typed| typed.member(name));
                merge_field(original, name, value, member)?;
            }
        }
    }
    for (name, value) in patch {
        if let Field::SetOrder(name) = field(name)? {
            let member = typed.map(|typed| typed.member(name));
            set_order(original, patch, name, value, member)?;
        }
    }
    Ok(())
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
        if let Field::Value(name) = field(name)?
            && !value.is_null()
            && !keys.contains(&name)
        {
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
        (Some(Value::Array(present)), Value::Array(patch)) => {
            if !rule.is_some_and(|rule| rule.merge) {
                present.clone_from(patch);
                return Ok(());
            }
            let key = rule.and_then(|rule| rule.merge_key.as_deref());
            merge_list(present, patch, key, typed)
        }
        _ => {
            match plain(patch) {
                Some(value) => original.insert(name.to_owned(), value),
                None => original.remove(name),
            };
            Ok(())
        }
    }
}

/// A patch value where there is nothing to merge it with: without its nulls and
/// directives; `None` where it is a directive and nothing else.
fn plain(patch: &Value) -> Option<Value> {
    match patch {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => Some(Value::Object(
            fields
                .iter()
                .filter(|(name, value)| !value.is_null() && !is_directive(name))
                .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(plain).collect())),
        scalar => Some(scalar.clone()),
    }
}

fn is_directive(name: &str) -> bool {
    name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER)
}

fn merge_list(
    original: &mut Vec<Value>,
    patch: &[Value],
    key: Option<&str>,
    typed: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(());
    }
    let mut all = original.iter().chain(patch);
    if all.clone().any(Value::is_array) {
        return Err(PatchError::Unprocessable(
            "lists of lists are not supported".to_owned(),
        ));
    }
    if !all.any(Value::is_object) {
        let server = original.clone();
        for value in patch {
            if !original.contains(value) {
                original.push(value.clone());
            }
        }
        *original = Order::of(None).arrange(std::mem::take(original), patch, &server);
        return Ok(());
    }
    let Some(key) = key else {
        return Err(bad("cannot merge lists without merge key"));
    };
    let mut additions: Vec<Value> = Vec::new();
    let mut replace = false;
    for item in patch {
        let value = merge_key(item, key)?;
        match item.get(PATCH).map(|directive| directive.as_str()) {
            None => additions.push(item.clone()),
            Some(Some("replace")) => replace = true,
            Some(Some("delete")) => {
                let value = value.ok_or_else(|| no_merge_key(item, key))?;
                original.retain(|item| item.get(key) != Some(value));
            }
            Some(Some("merge")) => {
                return Err(bad("merging lists cannot yet be specified in the patch"));
            }
            Some(_) => {
                let item = go_map(item);
                return Err(failed(format!("unknown patch type in map: {item}")));
            }
        }
    }
    if replace {
        *original = additions;
        return Ok(());
    }
    let server = original.clone();
    for item in &additions {
        let value = merge_key(item, key)?.ok_or_else(|| no_merge_key(item, key))?;
        let found = original
            .iter_mut()
            .find(|known| known.get(key) == Some(value));
        match (found, item) {
            (Some(Value::Object(known)), Value::Object(item)) => {
                merge_map(known, item, typed.map(TypeRef::item))?;
            }
            // What is new is taken as it comes, without what only a merge understands.
            _ => original.extend(plain(item)),
        }
    }
    *original = Order::of(Some(key)).arrange(std::mem::take(original), &additions, &server);
    Ok(())
}

fn merge_key<'i>(item: &'i Value, key: &str) -> Result<Option<&'i Value>, PatchError> {
    match item {
        Value::Object(fields) => Ok(fields.get(key)),
        _ => Err(bad(format!("value for key {key} is not a map"))),
    }
}

fn no_merge_key(item: &Value, key: &str) -> PatchError {
    failed(format!(
        "map: {} does not contain declared merge key: {key}",
        go_map(item)
    ))
}

fn delete_from(original: &mut Object, name: &str, gone: &Value) -> Result<(), PatchError> {
    let Value::Array(gone) = gone else {
        return Err(bad("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(items)) = original.get_mut(name) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// Puts the items of a merged list in the order that the patch asks for; what only the
/// server knows keeps its place among them as well as may be.
fn set_order(
    original: &mut Object,
    patch: &Object,
    name: &str,
    order: &Value,
    typed: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    let Value::Array(order) = order else {
        return Err(bad("invalid patch format of setElementOrder list"));
    };
    let rule = typed.and_then(|typed| typed.node().patch.as_deref());
    let key = rule.and_then(|rule| rule.merge_key.as_deref());
    if let Some(Value::Array(items)) = patch.get(name) {
        let mut wanted = order.iter();
        for item in items.iter().filter(|item| item.get(PATCH).is_none()) {
            if !order.is_empty() && !wanted.any(|wanted| same_element(wanted, item, key)) {
                return Err(bad(format!(
                    "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
                    Value::Array(items.clone()),
                    Value::Array(order.clone())
                )));
            }
        }
    }
    if let Some(Value::Array(items)) = original.get_mut(name) {
        let server = items.clone();
        *items = Order::of(key).arrange(std::mem::take(items), order, &server);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::builtin;
    use super::*;

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
                "$setElementOrder/containers": [{"name": "a"}],
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
