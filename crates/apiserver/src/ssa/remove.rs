//! Taking fields out of an object, and taking an object apart to the fields of one owner.

use serde_json::{Map, Value};

use super::managers::{Managed, Operation};
use super::set::Set;
use super::typed::{Shape, element, field_element, is_atomic, shape};
use crate::schema::{Schema, TypeRef};

/// Removes the paths of the set. A field of which nothing is left stays, as null: whoever owns it
/// is not forgotten. A decoder drops it later.
pub(super) fn remove(typed: TypeRef<'_>, value: &mut Value, items: &Set) {
    remove_below(typed, value, items);
}

/// True where something was taken and nothing is left.
fn remove_below(typed: TypeRef<'_>, value: &mut Value, items: &Set) -> bool {
    let shape = shape(typed, value);
    match value {
        Value::Object(fields) if shape == Shape::Map && !fields.is_empty() => {
            if is_atomic(typed, shape) {
                return true;
            }
            fields.retain(|name, member| {
                let element = field_element(typed, name);
                if items.has_member(&element) {
                    return false;
                }
                let below = items.child(&element);
                if below.is_some_and(|below| remove_below(typed.member(name), member, below)) {
                    *member = Value::Null;
                }
                true
            });
            fields.is_empty()
        }
        Value::Array(list) if shape == Shape::List && !list.is_empty() => {
            if is_atomic(typed, shape) {
                return true;
            }
            list.retain_mut(|item| {
                let Ok(element) = element(typed, item) else {
                    return true;
                };
                if items.has_member(&element) {
                    return false;
                }
                match items.child(&element) {
                    Some(below) => !remove_below(typed.item(), item, below),
                    None => true,
                }
            });
            list.is_empty()
        }
        _ => false,
    }
}

/// The part of a live object that a manager has applied: what it would apply again.
///
/// `None` where the manager has applied nothing (through this subresource).
#[must_use]
pub fn extract(
    object: &Value,
    schema: &Schema,
    manager: &str,
    subresource: Option<&str>,
) -> Option<Value> {
    let managed = Managed::decode(object).ok()?;
    let entry = managed.entries.iter().find(|entry| {
        entry.id.manager == manager
            && entry.id.operation == Operation::Apply
            && entry.id.subresource.as_deref() == subresource
    })?;
    let extracted = extract_below(schema.root(), object, &entry.set.leaves());
    let mut extracted = extracted.unwrap_or_else(|| Value::Object(Map::new()));
    // Identity is never owned, and always needed.
    if let Value::Object(fields) = &mut extracted {
        for name in ["apiVersion", "kind"] {
            if let Some(value) = object.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        let metadata = fields
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        for name in ["name", "namespace"] {
            if let (Value::Object(metadata), Some(value)) = (
                &mut *metadata,
                object
                    .get("metadata")
                    .and_then(|metadata| metadata.get(name)),
            ) {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
    }
    Some(extracted)
}

fn extract_below(typed: TypeRef<'_>, value: &Value, items: &Set) -> Option<Value> {
    let shape = shape(typed, value);
    if is_atomic(typed, shape) {
        return Some(value.clone());
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut kept = Map::new();
            for (name, member) in fields {
                let element = field_element(typed, name);
                let below = items
                    .child(&element)
                    .and_then(|below| extract_below(typed.member(name), member, below));
                let whole = || items.has_member(&element).then(|| member.clone());
                if let Some(member) = below.or_else(whole) {
                    kept.insert(name.clone(), member);
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(list) if !list.is_empty() => {
            let mut kept = Vec::new();
            for item in list {
                let Ok(element) = element(typed, item) else {
                    continue;
                };
                let below = items
                    .child(&element)
                    .and_then(|below| extract_below(typed.item(), item, below));
                let whole = || items.has_member(&element).then(|| item.clone());
                kept.extend(below.or_else(whole));
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other.clone()),
    }
}
