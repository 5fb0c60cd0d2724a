//! Owners recorded under an older schema: a map or list that has become atomic since
//! is owned as a whole by whoever owned something in it.

use super::managers::Managed;
use super::path::PathElement;
use super::set::Set;
use crate::schema::{Kind, ListType, TypeRef};

/// Reads all owners' fields under the schema of today.
pub(super) fn reconcile_all(root: TypeRef<'_>, managed: &mut Managed) {
    for entry in &mut managed.entries {
        if let Some(set) = reconcile(root, &entry.set) {
            entry.set = set;
        }
    }
}

/// The set as it reads under the schema of today; `None` where that changes nothing.
fn reconcile(typed: TypeRef<'_>, set: &Set) -> Option<Set> {
    let mut whole = Set::default();
    let mut changed: Vec<(PathElement, Set)> = Vec::new();
    for (element, below) in set.children() {
        let child = match (element, typed.node().kind) {
            (PathElement::Field(name), Kind::Object) => {
                match typed.field(name).or_else(|| typed.additional()) {
                    Some(child) => child,
                    None => continue,
                }
            }
            (PathElement::Key(_) | PathElement::Value(_), Kind::Array) => typed.item(),
            _ => continue,
        };
        let is_atomic = match child.node().kind {
            Kind::Object => child.node().atomic_map,
            Kind::Array => child.node().list == ListType::Atomic,
            _ => false,
        };
        if is_atomic {
            whole.add_member(element.clone());
        } else if let Some(below) = reconcile(child, below) {
            changed.push((element.clone(), below));
        }
    }
    if whole.is_empty() && changed.is_empty() {
        return None;
    }
    let mut gone = whole.clone();
    let mut replaced = whole;
    for (element, below) in changed {
        // Taken out with all that was below it, and restored as it reads now.
        gone.add_member(element.clone());
        if set.has_member(&element) {
            replaced.add_member(element.clone());
        }
        replaced.add_child(element, below);
    }
    Some(set.recursive_difference(&gone).union(&replaced))
}
