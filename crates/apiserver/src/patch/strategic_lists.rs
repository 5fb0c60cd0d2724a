//! The lists of a strategic merge patch: which are merged, by what key, and in which order.

use serde_json::Value;

use super::PatchError;
use super::element_order::{Order, is_in_order, is_sought};
use super::strategic::{Object, PATCH, failed, merge_map};
use crate::json::go_words;
use crate::json::strict_json::go_map;
use crate::schema::TypeRef;

pub(super) fn merge_slice(
    original: &mut Vec<Value>,
    patch: &[Value],
    typed: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    let rule = typed.and_then(|typed| typed.node().patch.as_deref());
    if !rule.is_some_and(|rule| rule.merge) {
        *original = patch.to_vec();
        return Ok(());
    }
    let key = rule.and_then(|rule| rule.merge_key.as_deref());
    merge_list(original, patch, key, typed)
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
    if !is_of_objects(original, patch)? {
        let server = std::mem::take(original);
        let mut each: Vec<Value> = Vec::with_capacity(server.len() + patch.len());
        for value in server.iter().chain(patch) {
            if !each.contains(value) {
                each.push(value.clone());
            }
        }
        *original = Order::of(None).arrange(each, patch, &server);
        return Ok(());
    }
    let Some(key) = key else {
        return Err(failed("cannot merge lists without merge key".to_owned()));
    };
    let mut additions: Vec<Value> = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(PATCH).map(|directive| directive.as_str()) {
            None => additions.push(item.clone()),
            Some(Some("replace")) => replace = true,
            Some(Some("delete")) => {
                let value = item.get(key).ok_or_else(|| no_merge_key(item, key))?;
                original.retain(|item| item.get(key) != Some(value));
            }
            Some(Some("merge")) => {
                return Err(failed(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            Some(_) => {
                let directive = item.get(PATCH).map(go_map).unwrap_or_default();
                let item = go_map(item);
                return Err(failed(format!(
                    "unknown patch type: {directive} in map: {item}"
                )));
            }
        }
    }
    if replace {
        *original = additions;
        additions = Vec::new();
    }
    let server = original.clone();
    for item in &additions {
        let value = item.get(key).ok_or_else(|| no_merge_key(item, key))?;
        let found = original
            .iter_mut()
            .find(|known| known.get(key) == Some(value));
        match (found, item) {
            (Some(Value::Object(known)), Value::Object(item)) => {
                merge_map(known, item, typed.map(TypeRef::item))?;
            }
            _ => original.push(item.clone()),
        }
    }
    have_key(original, key)?;
    *original = Order::of(Some(key)).arrange(std::mem::take(original), &additions, &server);
    Ok(())
}

/// Whether lists are of objects: all their elements have to be of one type.
fn is_of_objects(original: &[Value], patch: &[Value]) -> Result<bool, PatchError> {
    let mut all = original.iter().chain(patch);
    let Some(first) = all.next() else {
        return Err(failed("no elements in any of the given slices".to_owned()));
    };
    if first.is_array() {
        return Err(PatchError::Unprocessable(
            "lists of lists are not supported".to_owned(),
        ));
    }
    if all.any(|other| go_type(other) != go_type(first)) {
        let slices = [original, patch].map(|slice| go_map(&Value::Array(slice.to_vec())));
        return Err(failed(format!(
            "list element types are not identical: [{}]",
            slices.join(" ")
        )));
    }
    Ok(first.is_object())
}

/// Every item of a list that is merged by a key has to have it.
pub(super) fn have_key(items: &[Value], key: &str) -> Result<(), PatchError> {
    for item in items {
        if !item.is_object() {
            return Err(wrong_type("map[string]interface {}", item));
        }
        if item.get(key).is_none() {
            return Err(no_merge_key(item, key));
        }
    }
    Ok(())
}

fn no_merge_key(item: &Value, key: &str) -> PatchError {
    failed(format!(
        "map: {} does not contain declared merge key: {key}",
        go_map(item)
    ))
}

/// A value where something of another type has to be.
pub(super) fn wrong_type(wanted: &str, found: &Value) -> PatchError {
    let found = go_type(found);
    failed(format!("expected a {wanted}, but received a {found}"))
}

pub(super) fn list(value: &Value) -> Result<&[Value], PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong_type("[]interface {}", other)),
    }
}

/// The type of a value as Go prints it: of nothing, `%s` has none to print.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        other => go_words::type_of(other),
    }
}

pub(super) fn delete_from(
    original: &mut Object,
    name: &str,
    gone: &Value,
) -> Result<(), PatchError> {
    if gone.is_null() {
        original.remove(name);
    }
    if let (Some(Value::Array(items)), Value::Array(gone)) = (original.get_mut(name), gone)
        && !(items.is_empty() && gone.is_empty())
    {
        if is_of_objects(items, gone)? {
            return Err(failed("cannot merge lists without merge key".to_owned()));
        }
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// Merges a list and puts its items in the order that the patch asks for; what only the
/// server knows keeps its place among them as well as may be.
pub(super) fn merge_in_order(
    original: &mut Object,
    name: &str,
    patch: Option<&Value>,
    order: &[Value],
    typed: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    let key = typed
        .and_then(|typed| typed.node().patch.as_deref())
        .and_then(|rule| rule.merge_key.as_deref());
    let server = original
        .get(name)
        .map(list)
        .transpose()?
        .map(<[Value]>::to_vec);
    let patch = patch.map(list).transpose()?;
    is_in_order(patch.unwrap_or_default(), order, key)?;
    let mut merged = match (&server, patch) {
        (Some(server), None) => server.clone(),
        (None, Some(patch)) => patch.iter().filter_map(directed).collect(),
        (Some(server), Some(patch)) => {
            let mut merged = server.clone();
            merge_slice(&mut merged, patch, typed)?;
            merged
        }
        (None, None) => return Ok(()),
    };
    let server = server.unwrap_or_default();
    if let Some(key) = key {
        for item in &merged {
            have_key(std::slice::from_ref(item), key)?;
            is_sought(order, item, key)?;
        }
    }
    if is_of_objects(&server, patch.unwrap_or_default())?
        && let Some(key) = key
    {
        have_key(order, key)?;
        have_key(&server, key)?;
    }
    merged = Order::of(key).arrange(merged, order, &server);
    original.insert(name.to_owned(), Value::Array(merged));
    Ok(())
}

/// An item that is new, nulls and all; nothing where it is there to be deleted.
fn directed(item: &Value) -> Option<Value> {
    match item {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => Some(Value::Object(
            fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), directed(value)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(directed).collect())),
        scalar => Some(scalar.clone()),
    }
}
