//! The order of a merged list: what the patch names in the patch's order, what only the
//! server has in the server's, woven together.

use serde_json::Value;

use super::PatchError;
use super::strategic::{PATCH, SET_ORDER, failed};
use super::strategic_lists::{have_key, wrong_type};
use crate::json::strict_json::go_map;

/// How elements of a list are told apart.
#[derive(Clone, Copy)]
pub(super) struct Order<'k> {
    key: Option<&'k str>,
}

/// Whether two elements are the same one: by merge key, or, as scalars, by value.
fn same_element(one: &Value, another: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => one.get(key).is_some() && one.get(key) == another.get(key),
        None => one == another,
    }
}

impl<'k> Order<'k> {
    pub(super) fn of(key: Option<&'k str>) -> Self {
        Self { key }
    }

    /// Arranges merged items: those in `patch` come in its order; an item that only the
    /// server has goes before a patched one only where it stood before it in `server`.
    pub(super) fn arrange(
        self,
        merged: Vec<Value>,
        patch: &[Value],
        server: &[Value],
    ) -> Vec<Value> {
        let (mut patched, mut others): (Vec<_>, Vec<_>) = merged
            .into_iter()
            .partition(|item| self.place(patch, item).is_some());
        patched.sort_by_key(|item| self.place(patch, item));
        others.sort_by_key(|item| self.place(server, item));

        let mut arranged = Vec::with_capacity(patched.len() + others.len());
        let mut patched = patched.into_iter().peekable();
        let mut others = others.into_iter().peekable();
        while let (Some(other), Some(next)) = (others.peek(), patched.peek()) {
            let goes_first = match (self.place(server, other), self.place(server, next)) {
                (Some(other), Some(next)) => other < next,
                _ => false,
            };
            let item = if goes_first {
                others.next()
            } else {
                patched.next()
            };
            arranged.extend(item);
        }
        arranged.extend(patched);
        arranged.extend(others);
        arranged
    }

    fn place(self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter()
            .position(|one| same_element(one, item, self.key))
    }
}

/// What a patch says of a list has to come in the order that it asks for, whatever it says of it.
pub(super) fn is_in_order(
    patch: &[Value],
    order: &[Value],
    key: Option<&str>,
) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    if key.is_some()
        && let Some(other) = patch.iter().find(|item| !item.is_object())
    {
        return Err(wrong_type("map[string]interface {}", other));
    }
    let is_deleted = |item: &Value| key.is_some() && item.get(PATCH) == Some(&"delete".into());
    let mut items = patch.iter().filter(|item| !is_deleted(item)).peekable();
    let mut order_left = order.iter();
    while let Some(item) = items.peek() {
        if item.get(PATCH).is_some() {
            // Where there is order left, one with another directive has a place anywhere.
            if order_left.as_slice().is_empty() {
                break;
            }
            items.next();
            continue;
        }
        let Some(wanted) = order_left.next() else {
            break;
        };
        if let Some(key) = key {
            if !wanted.is_object() {
                return Err(wrong_type("map[string]interface {}", wanted));
            }
            have_key(&[(*item).clone(), wanted.clone()], key)?;
        }
        if same_element(wanted, item, key) {
            items.next();
        }
    }
    if items.peek().is_none() {
        return Ok(());
    }
    Err(failed(format!(
        "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
        go_map(&Value::Array(patch.to_vec())),
        go_map(&Value::Array(order.to_vec()))
    )))
}

/// Looks through a list for an item: nothing before it may be anything but an object.
pub(super) fn is_sought(list: &[Value], item: &Value, key: &str) -> Result<(), PatchError> {
    let end = list
        .iter()
        .position(|one| !one.is_object() || same_element(one, item, Some(key)));
    match end.and_then(|at| Some((at, list.get(at)?))) {
        Some((at, other)) if !other.is_object() => {
            Err(failed(format!("value for key {at} is not a map")))
        }
        _ => Ok(()),
    }
}
