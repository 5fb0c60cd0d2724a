//! Typed comparison: which fields were removed, modified, added between two objects.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::path::{PathElement, same};
use super::set::Set;
use super::typed::{Shape, elements, field_element, is_atomic, shape};
use crate::schema::{Kind, TypeRef};

/// What differs. No path is in more than one of the sets.
#[derive(Debug, Clone, Default)]
pub(super) struct Comparison {
    pub removed: Set,
    pub modified: Set,
    pub added: Set,
}

impl Comparison {
    pub(super) fn without(&self, fields: &Set) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }

    fn attach(&mut self, element: PathElement, own: Own, below: Self) {
        match own {
            Own::Same => {}
            Own::Removed => self.removed.add_member(element.clone()),
            Own::Modified => self.modified.add_member(element.clone()),
            Own::Added => self.added.add_member(element.clone()),
        }
        if !below.removed.is_empty() {
            self.removed.add_child(element.clone(), below.removed);
        }
        if !below.modified.is_empty() {
            self.modified.add_child(element.clone(), below.modified);
        }
        self.added.add_child(element, below.added);
    }
}

/// What happened to a value itself, apart from what is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Same,
    Removed,
    Modified,
    Added,
}

pub(super) fn compare(typed: TypeRef<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    walk(typed, Some(old), Some(new), &mut comparison);
    comparison
}

fn walk(typed: TypeRef<'_>, old: Option<&Value>, new: Option<&Value>, out: &mut Comparison) -> Own {
    match (old, new) {
        (None, None) => Own::Same,
        (Some(value), None) => {
            step(typed, shape(typed, value), old, None, out);
            Own::Removed
        }
        (None, Some(value)) => {
            step(typed, shape(typed, value), None, new, out);
            Own::Added
        }
        (Some(before), Some(after)) => {
            let (was, is) = (shape(typed, before), shape(typed, after));
            let first = was != is && step(typed, was, old, new, out);
            let second = step(typed, is, old, new, out);
            if (first || second) && !same(before, after) {
                Own::Modified
            } else {
                Own::Same
            }
        }
    }
}

/// Compares as one shape, going down where there is something to go down to. True where
/// the value is a leaf.
fn step(
    typed: TypeRef<'_>,
    shape: Shape,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Comparison,
) -> bool {
    if is_atomic(typed, shape) {
        return true;
    }
    match shape {
        Shape::Scalar => true,
        Shape::Map => {
            // A Go struct within a struct that is there is there too, if empty.
            let both = old.is_some_and(Value::is_object) && new.is_some_and(Value::is_object);
            let (old, new) = (map(old), map(new));
            if old.is_none() && new.is_none() {
                return true;
            }
            walk_maps(typed, old, new, both, out);
            false
        }
        Shape::List => {
            let (old, new) = (list(old), list(new));
            old.is_empty() && new.is_empty() || walk_lists(typed, old, new, out).is_none()
        }
    }
}

fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value?.as_object().filter(|fields| !fields.is_empty())
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn walk_maps(
    typed: TypeRef<'_>,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    both: bool,
    out: &mut Comparison,
) {
    for (name, before) in old.into_iter().flatten() {
        let after = new.and_then(|new| new.get(name));
        walk_member(typed, name, (Some(before), after), both, out);
    }
    for (name, after) in new.into_iter().flatten() {
        if old.is_none_or(|old| !old.contains_key(name)) {
            walk_member(typed, name, (None, Some(after)), both, out);
        }
    }
}

fn walk_member(
    typed: TypeRef<'_>,
    name: &str,
    (mut old, mut new): (Option<&Value>, Option<&Value>),
    both: bool,
    out: &mut Comparison,
) {
    static NO_FIELDS: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
    static NO_ITEMS: Value = Value::Array(Vec::new());
    if let (Some(before), Some(after)) = (old, new)
        && before == after
    {
        return;
    }
    let member = typed.member(name);
    if both && member.node().always {
        let empty = match member.node().kind {
            Kind::Array => &NO_ITEMS,
            _ => &*NO_FIELDS,
        };
        old = old.or(Some(empty));
        new = new.or(Some(empty));
    }
    let mut below = Comparison::default();
    let own = walk(member, old, new, &mut below);
    out.attach(field_element(typed, name), own, below);
}

/// `None` where items cannot be told apart: the list is one leaf then.
fn walk_lists(
    typed: TypeRef<'_>,
    old: &[Value],
    new: &[Value],
    out: &mut Comparison,
) -> Option<()> {
    let old_elements = elements(typed, old)?;
    let new_elements = elements(typed, new)?;
    let mut sides: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for (element, item) in old_elements.into_iter().zip(old) {
        sides.entry(element).or_default().0.push(item);
    }
    for (element, item) in new_elements.into_iter().zip(new) {
        sides.entry(element).or_default().1.push(item);
    }
    let item_type = typed.item();
    for (element, (before, after)) in sides {
        let mut below = Comparison::default();
        let own = match (before.as_slice(), after.as_slice()) {
            ([] | [_], [] | [_]) => walk(
                item_type,
                before.first().copied(),
                after.first().copied(),
                &mut below,
            ),
            // Items that are there more than once are owned together, as one.
            ([_, _, ..], [_, _, ..]) => {
                let equal = before.len() == after.len()
                    && before.iter().zip(&after).all(|(l, r)| same(l, r));
                if equal { Own::Same } else { Own::Modified }
            }
            ([_, _, ..], _) => {
                if let Some(one) = after.first() {
                    walk(item_type, None, Some(one), &mut below);
                    out.added.add_member(element.clone());
                }
                Own::Removed
            }
            (_, [_, _, ..]) => {
                if let Some(one) = before.first() {
                    walk(item_type, Some(one), None, &mut below);
                    out.removed.add_member(element.clone());
                }
                Own::Added
            }
        };
        out.attach(element, own, below);
    }
    Some(())
}
