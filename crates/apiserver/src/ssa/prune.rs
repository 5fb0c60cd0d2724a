//! What an applier stops to apply goes, unless someone else owns it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::managers::{Entry, Managed};
use super::remove::remove;
use super::set::Set;
use super::typed::field_set;
use super::versions::Versions;

/// Removes from the merged object what the manager applied last time, does not apply now, and nobody
/// else owns; each owner's fields are read in the version that it wrote in.
pub(super) fn prune(
    versions: &Versions<'_>,
    merged: &mut Value,
    last: &Entry,
    now: &Set,
    others: &Managed,
) -> Result<(), String> {
    let own = versions.own();
    let is_alike = |entry: &Entry| versions.is_own(&entry.api_version);
    let are_alike = is_alike(last) && others.entries.iter().all(is_alike);
    if last.set.is_empty() || (are_alike && last.set.is_subset(now)) {
        return Ok(());
    }
    let version = last.api_version.as_str();
    versions
        .convert(merged, own, version)
        .map_err(|why| format!("failed to convert merged object to last applied version: {why}"))?;
    let root = versions.root_of(version)?;
    let last = last.set.with_named_parents(root);

    // Take out all that was applied last time; put back what anyone owns ...
    let mut pruned = merged.clone();
    remove(root, &mut pruned, &last);
    let mut at = version;
    for (version, owned) in owned(versions, version, now, others) {
        put_back(versions, merged, &mut pruned, (at, version), &owned)
            .map_err(|why| format!("failed add back owned items: {why}"))?;
        at = version;
    }
    // ... and what was never this manager's to remove.
    versions.convert(&pruned, at, version).map_err(|why| {
        format!(
            "failed add back dangling items: failed to convert pruned object to last applied version: {why}"
        )
    })?;
    let all = field_set(root, merged).with_named_parents(root);
    let left = field_set(root, &pruned).with_named_parents(root);
    let abandoned = all.difference(&left).intersection(&last);
    remove(root, merged, &abandoned);
    versions.convert(merged, version, own)
}

/// What is owned by anyone, version by version; that of the last apply comes first.
fn owned<'m>(
    versions: &Versions<'m>,
    first: &'m str,
    now: &Set,
    others: &'m Managed,
) -> Vec<(&'m str, Set)> {
    let mut owned: BTreeMap<&str, Set> = BTreeMap::new();
    owned.insert(versions.own(), now.clone());
    for entry in &others.entries {
        let version = if versions.is_own(&entry.api_version) {
            versions.own()
        } else {
            entry.api_version.as_str()
        };
        let set = owned.entry(version).or_default();
        *set = set.union(&entry.set);
    }
    let mut owned: Vec<_> = owned.into_iter().collect();
    owned.sort_by_key(|(version, _)| *version != first);
    owned
}

/// Puts back what is owned in a version.
fn put_back(
    versions: &Versions<'_>,
    merged: &Value,
    pruned: &mut Value,
    (from, to): (&str, &str),
    owned: &Set,
) -> Result<(), String> {
    for (value, which) in [(merged, "merged"), (&*pruned, "pruned")] {
        versions
            .convert(value, from, to)
            .map_err(|why| format!("failed to convert {which} object at version {to}: {why}"))?;
    }
    let root = versions.root_of(to)?;
    let owned = owned.with_named_parents(root);
    let all = field_set(root, merged).with_named_parents(root);
    let left = field_set(root, pruned).with_named_parents(root);
    let unowned = all.difference(&left.union(&owned));
    *pruned = merged.clone();
    remove(root, pruned, &unowned);
    Ok(())
}
