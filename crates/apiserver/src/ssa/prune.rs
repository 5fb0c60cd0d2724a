//! What an applier stops to apply goes, unless someone else owns it.

use serde_json::Value;

use super::managers::Managed;
use super::remove::remove;
use super::set::Set;
use super::typed::field_set;
use crate::schema::TypeRef;

/// Removes from the merged object what the manager applied last time, does not apply now, and nobody
/// else owns.
pub(super) fn prune(
    root: TypeRef<'_>,
    merged: &mut Value,
    last: &Set,
    now: &Set,
    others: &Managed,
) {
    if last.is_empty() || last.is_subset(now) {
        return;
    }
    let last = last.with_named_parents(root);
    let all = field_set(root, merged).with_named_parents(root);

    // Take out all that was applied last time; restore what anyone owns ...
    let mut pruned = merged.clone();
    remove(root, &mut pruned, &last);
    let left = field_set(root, &pruned).with_named_parents(root);
    let of_others = others.entries.iter().map(|entry| &entry.set);
    let owned = of_others.fold(now.clone(), |owned, set| owned.union(set));
    let unowned = all.difference(&left.union(&owned.with_named_parents(root)));
    let mut pruned = merged.clone();
    remove(root, &mut pruned, &unowned);

    // ... and what was never this manager's to remove.
    let left = field_set(root, &pruned).with_named_parents(root);
    let abandoned = all.difference(&left).intersection(&last);
    remove(root, merged, &abandoned);
}
