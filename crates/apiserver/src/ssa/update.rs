//! Who owns what after a write that is no apply.

use std::mem;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::compare::{Comparison, compare};
use super::managers::{Entry, Managed, ManagerId, Operation, stamp};
use super::reconcile::reconcile_all;
use super::reset::{ResetFields, identity};
use super::set::Set;
use crate::schema::{Schema, TypeRef};

/// How many updaters an object remembers apart (`DefaultMaxUpdateManagers`).
const MAX_UPDATERS: usize = 10;

/// The request that an update comes with.
#[derive(Debug, Clone, Copy)]
pub struct UpdateOptions<'a> {
    /// The field manager; the user agent's name where the request names none.
    pub manager: &'a str,
    /// The subresource written through, if any.
    pub subresource: Option<&'a str>,
    /// What the endpoint resets.
    pub reset: ResetFields,
    /// When.
    pub now: Timestamp,
}

/// Gives every field that the write changed to its manager, and takes it from all others.
///
/// `new` is the object to be stored, defaulted, before admission. Its managed fields are
/// computed; everything else stays as it is. An object that was created when nobody kept
/// managed fields (it has a uid and none) goes on without.
#[must_use]
pub fn update(
    live: Option<&Value>,
    mut new: Value,
    schema: &Schema,
    options: &UpdateOptions<'_>,
) -> Value {
    let given = new
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .and_then(|metadata| metadata.remove("managedFields"));
    let managed = base(live, given, options.subresource.is_some());

    let has_uid = live
        .and_then(|live| live.pointer("/metadata/uid"))
        .and_then(Value::as_str)
        .is_some_and(|uid| !uid.is_empty());
    if managed.entries.is_empty() && has_uid {
        return new;
    }

    let empty = Value::Object(Map::new());
    let live = live.unwrap_or(&empty);
    managed_after_update(live, &new, managed, schema.root(), options).encode_into(&mut new);
    new
}

/// The entries to go on from: those of the request where it brings some (a client may
/// edit them, or reset them with an empty list), else the live object's. A subresource
/// has no say.
fn base(live: Option<&Value>, given: Option<Value>, is_subresource: bool) -> Managed {
    let of_live = || {
        live.and_then(|live| Managed::decode(live).ok())
            .unwrap_or_default()
    };
    if is_subresource {
        return of_live();
    }
    let Some(Value::Array(entries)) = given else {
        return of_live();
    };
    let is_reset = match entries.as_slice() {
        [] => true,
        [only] => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    };
    if is_reset {
        return Managed::default();
    }
    let object = serde_json::json!({"metadata": {"managedFields": entries}});
    match Managed::decode(&object) {
        Ok(managed) if !managed.entries.is_empty() => managed,
        _ => of_live(),
    }
}

/// The entries after a write from `live` to `new`.
pub(super) fn managed_after_update(
    live: &Value,
    new: &Value,
    mut managed: Managed,
    root: TypeRef<'_>,
    options: &UpdateOptions<'_>,
) -> Managed {
    reconcile_all(root, &mut managed);
    let changes = changes(root, options.reset, live, new);
    for entry in &mut managed.entries {
        give_up(&mut entry.set, &changes);
    }
    managed.drop_empty();

    let own = changes
        .modified
        .union(&changes.added)
        .difference(identity());
    if !own.is_empty() {
        let api_version = new.get("apiVersion").and_then(Value::as_str).unwrap_or("");
        let id = ManagerId::new(
            options.manager,
            Operation::Update,
            api_version,
            options.subresource,
        );
        let before = managed.take(&id).map(|entry| entry.set).unwrap_or_default();
        managed.put(Entry {
            id,
            api_version: api_version.to_owned(),
            time: Some(stamp(options.now)),
            set: own.union(&before),
        });
    }
    managed.cap_updaters(MAX_UPDATERS);
    managed
}

/// Takes from a manager what someone else has changed or removed.
pub(super) fn give_up(set: &mut Set, changes: &Comparison) {
    let changed = changes.modified.union(&changes.added);
    let before = mem::take(set);
    *set = before.difference(&changed).difference(&changes.removed);
}

/// What differs between two objects, as far as a request could write it. Managed fields themselves are
/// never part of it.
pub(super) fn changes(
    root: TypeRef<'_>,
    reset: ResetFields,
    live: &Value,
    new: &Value,
) -> Comparison {
    compare(root, live, new).without(reset.set())
}
