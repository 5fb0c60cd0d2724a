//! Typed merge: what an applied object makes of the live one. Nothing is removed here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::PathElement;
use super::typed::{Shape, elements, is_atomic, shape};
use crate::schema::TypeRef;

/// Merges the applied value into the live one: leaves are the applied one's; maps and
/// keyed lists are joined. Items stand as in the applied list, with live-only items
/// where they stood.
pub(super) fn merge(typed: TypeRef<'_>, live: &Value, applied: &Value) -> Value {
    let shape = shape(typed, applied);
    if is_atomic(typed, shape) {
        return applied.clone();
    }
    match shape {
        Shape::Map => {
            let left = live.as_object().filter(|fields| !fields.is_empty());
            let right = applied.as_object().filter(|fields| !fields.is_empty());
            match (left, right) {
                (Some(left), Some(right)) => Value::Object(merge_maps(typed, left, right)),
                // An empty map or a null says nothing about what is in there.
                (Some(_), None) => live.clone(),
                _ => applied.clone(),
            }
        }
        _ => {
            let left = live.as_array().filter(|items| !items.is_empty());
            let right = applied.as_array().filter(|items| !items.is_empty());
            match (left, right) {
                (Some(left), Some(right)) => {
                    merge_lists(typed, left, right).map_or_else(|| applied.clone(), Value::Array)
                }
                (Some(_), None) => live.clone(),
                _ => applied.clone(),
            }
        }
    }
}

fn merge_maps(
    typed: TypeRef<'_>,
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = Map::new();
    for (name, value) in live {
        let value = match applied.get(name) {
            Some(other) => merge(typed.member(name), value, other),
            None => value.clone(),
        };
        merged.insert(name.clone(), value);
    }
    for (name, value) in applied {
        if !live.contains_key(name) {
            merged.insert(name.clone(), value.clone());
        }
    }
    merged
}

/// `None` where items cannot be told apart.
fn merge_lists(typed: TypeRef<'_>, live: &[Value], applied: &[Value]) -> Option<Vec<Value>> {
    let live_elements = elements(typed, live)?;
    let applied_elements = elements(typed, applied)?;
    let in_applied: BTreeSet<&PathElement> = applied_elements.iter().collect();

    // A live item that is there twice has no one value to merge with: the applied
    // item takes the place of both.
    let mut in_live: BTreeMap<&PathElement, Option<&Value>> = BTreeMap::new();
    for (element, item) in live_elements.iter().zip(live) {
        in_live
            .entry(element)
            .and_modify(|found| *found = None)
            .or_insert(Some(item));
    }
    let joined = |element: &PathElement, item: &Value| match in_live.get(element) {
        Some(Some(live)) => merge(typed.item(), live, item),
        _ => item.clone(),
    };

    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let mut done: BTreeSet<&PathElement> = BTreeSet::new();
    let mut shared = applied_elements
        .iter()
        .filter(|element| in_live.contains_key(element))
        .peekable();
    let mut left = live_elements.iter().zip(live).peekable();
    let mut right = applied_elements.iter().zip(applied).peekable();
    loop {
        let (next_left, next_right) = (left.peek().copied(), right.peek().copied());
        match (next_left, next_right) {
            (None, None) => break,
            (Some((one, _)), Some((another, item))) if one == another => {
                merged.push(joined(another, item));
                done.insert(another);
                left.next();
                right.next();
                shared.next();
            }
            // A shared item that is not the next one of the applied order: it will
            // come when its turn is there.
            (Some((one, _)), Some(_))
                if in_applied.contains(one)
                    && shared.peek().is_some_and(|expected| *expected != one) =>
            {
                left.next();
            }
            (Some((one, item)), _) if !in_applied.contains(one) => {
                merged.push(item.clone());
                left.next();
            }
            (left_over, from_right) => {
                if left_over.is_some_and(|(one, _)| done.contains(one)) {
                    left.next();
                }
                if let Some((element, item)) = from_right {
                    merged.push(joined(element, item));
                    done.insert(element);
                    right.next();
                    if shared.peek().is_some_and(|expected| *expected == element) {
                        shared.next();
                    }
                } else if left_over.is_some_and(|(one, _)| !done.contains(one)) {
                    // Every applied item has been merged, so this cannot be; do not spin.
                    left.next();
                }
            }
        }
    }
    Some(merged)
}
