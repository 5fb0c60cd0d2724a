//! The last word before the store: is there a change at all?

use serde_json::Value;

use super::path::same;

/// Puts the live object's managed fields back where a write changed nothing but the
/// times in them, so that it compares equal and no new resource version is spent.
///
/// Called after admission and defaulting. `drops` says that the write asked for more than what is
/// left of it: then its time counts. Returns whether the object differs from the live one.
pub fn noop(live: &Value, new: &mut Value, drops: bool) -> bool {
    if drops {
        return !same(live, new);
    }
    if !same_but_times(live, new) {
        return true;
    }
    let entries = live.pointer("/metadata/managedFields");
    if let (Some(entries), Some(place)) = (entries, new.pointer_mut("/metadata/managedFields")) {
        *place = entries.clone();
    }
    !same(live, new)
}

fn same_but_times(live: &Value, new: &Value) -> bool {
    let (Value::Object(live), Value::Object(new)) = (live, new) else {
        return false;
    };
    live.len() == new.len()
        && live.iter().all(|(name, value)| match new.get(name) {
            None => false,
            Some(other) if name == "metadata" => same_metadata(value, other),
            Some(other) => same(value, other),
        })
}

fn same_metadata(live: &Value, new: &Value) -> bool {
    let (Value::Object(live), Value::Object(new)) = (live, new) else {
        return same(live, new);
    };
    live.len() == new.len()
        && live.iter().all(|(name, value)| match new.get(name) {
            None => false,
            Some(other) if name == "managedFields" => same_entries(value, other),
            Some(other) => same(value, other),
        })
}

/// Entries are compared as a bag: their order hangs on the times.
fn same_entries(live: &Value, new: &Value) -> bool {
    let (Value::Array(live), Value::Array(new)) = (live, new) else {
        return same(live, new);
    };
    let same_entry = |one: &Value, another: &Value| {
        [
            "manager",
            "operation",
            "apiVersion",
            "subresource",
            "fieldsV1",
        ]
        .iter()
        .all(|name| one.get(name) == another.get(name))
    };
    live.len() == new.len()
        && live
            .iter()
            .all(|one| new.iter().any(|another| same_entry(one, another)))
}
