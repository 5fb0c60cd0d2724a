//! Server-side apply.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::compare::compare;
use super::conflict::{Conflict, Conflicts};
use super::managers::{Entry, Managed, ManagerId, Operation, stamp};
use super::merge::merge;
use super::path::same;
use super::prune::prune;
use super::reconcile::reconcile_all;
use super::reset::{ResetFields, identity};
use super::set::Set;
use super::typed::{check, field_set, is_duplicate, told};
use super::update::{UpdateOptions, changes, give_up, managed_after_update};
use crate::schema::{Schema, TypeRef};

/// Who owns what an object had before its first apply, where nobody kept account.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Where kubectl keeps what it applied client-side.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The request that an apply comes with.
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions<'a> {
    /// The field manager; required of every apply.
    pub manager: &'a str,
    /// Take fields from others instead of failing.
    pub force: bool,
    /// The subresource applied to, if any.
    pub subresource: Option<&'a str>,
    /// What the endpoint resets.
    pub reset: ResetFields,
    /// When.
    pub now: Timestamp,
    /// Whether the live object has to be held against the schema, too.
    pub may_not_fit: bool,
}

/// Why an apply fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields that it would change (409 `Conflict`).
    #[error("{0}")]
    Conflict(Conflicts),
    /// The applied object is not one that can be applied (400 `BadRequest`).
    #[error("{0}")]
    BadRequest(String),
    /// The applied object does not fit the schema (500 `InternalError`, as Kubernetes
    /// has it).
    #[error("{0}")]
    Typed(String),
}

/// Merges the applied object into the live one, removes what its manager has stopped
/// applying and nobody else owns, and records who owns what.
///
/// The result is the object before defaulting and admission. Where the apply changes
/// nothing it is the live object, managed fields included.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    schema: &Schema,
    options: &ApplyOptions<'_>,
) -> Result<Value, ApplyError> {
    let root = schema.root();
    let misfit = live
        .filter(|_| options.may_not_fit)
        .and_then(|live| misfit(root, live));
    let managed = managed_before(live, misfit.as_deref(), root, options)?;
    check_applied(root, applied)?;
    if let (Some(live), Some(misfit)) = (live, misfit) {
        return Err(ApplyError::Typed(format!(
            "failed to create typed live object ({}): {misfit}",
            which(live)
        )));
    }

    let mut request = Request {
        root,
        live,
        applied,
        options,
    };
    let result = match request.run(&managed, options.force) {
        Err(ApplyError::Conflict(conflicts)) if request.may_upgrade(&conflicts) => {
            request.run(&managed, true)
        }
        other => other,
    };
    let (mut object, managed) = result?;
    request.sync_last_applied(&mut object);
    managed.encode_into(&mut object);
    Ok(object)
}

/// Why a live object does not fit its kind; items that it holds twice do not count.
fn misfit(root: TypeRef<'_>, live: &Value) -> Option<String> {
    let mut faults = check(root, live);
    faults.retain(|fault| !is_duplicate(fault));
    (!faults.is_empty()).then(|| told(&faults))
}

/// Who owned what before the apply; where nobody kept account,
/// [`BEFORE_FIRST_APPLY`] owns all there is.
fn managed_before(
    live: Option<&Value>,
    misfit: Option<&str>,
    root: TypeRef<'_>,
    options: &ApplyOptions<'_>,
) -> Result<Managed, ApplyError> {
    let Some(live) = live else {
        return Ok(Managed::default());
    };
    let managed = Managed::decode(live)
        .map_err(|why| ApplyError::Typed(format!("failed to decode managed fields: {why}")))?;
    if !managed.entries.is_empty() {
        return Ok(managed);
    }
    let managed = match misfit {
        Some(misfit) => Err(format!(
            "failed to convert new object ({}) to smd typed: {misfit}",
            which(live)
        )),
        None => Ok(before_first_apply(live, root, options)),
    };
    managed.map_err(|why| {
        ApplyError::Typed(format!(
            "failed to create manager for existing fields: {why}"
        ))
    })
}

/// Refuses what cannot be applied, whatever is there.
fn check_applied(root: TypeRef<'_>, applied: &Value) -> Result<(), ApplyError> {
    let managed_fields = applied.pointer("/metadata/managedFields");
    // What is no list of objects is none of managed fields: its type is told.
    let is_given = |entries: &Value| {
        let entries = entries.as_array();
        entries.is_some_and(|entries| entries.iter().all(Value::is_object))
    };
    if managed_fields.is_some_and(is_given) {
        return Err(ApplyError::BadRequest(
            "metadata.managedFields must be nil".to_owned(),
        ));
    }
    let faults = check(root, applied);
    if !faults.is_empty() {
        return Err(ApplyError::Typed(format!(
            "failed to create typed patch object ({}): {}",
            which(applied),
            told(&faults)
        )));
    }
    Ok(())
}

fn before_first_apply(live: &Value, root: TypeRef<'_>, options: &ApplyOptions<'_>) -> Managed {
    let identity_only: Map<String, Value> = ["apiVersion", "kind"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), live.get(name)?.clone())))
        .collect();
    managed_after_update(
        &Value::Object(identity_only),
        live,
        Managed::default(),
        root,
        &UpdateOptions {
            manager: BEFORE_FIRST_APPLY,
            subresource: options.subresource,
            reset: options.reset,
            now: options.now,
        },
    )
}

struct Request<'a> {
    root: TypeRef<'a>,
    live: Option<&'a Value>,
    applied: &'a Value,
    options: &'a ApplyOptions<'a>,
}

impl Request<'_> {
    fn run(&self, managed: &Managed, force: bool) -> Result<(Value, Managed), ApplyError> {
        let mut managed = managed.clone();
        let root = self.root;
        let empty = Value::Object(Map::new());
        let live = self.live.unwrap_or(&empty);
        reconcile_all(root, &mut managed);
        let api_version = self.applied.get("apiVersion").and_then(Value::as_str);
        let id = ManagerId::new(
            self.options.manager,
            Operation::Apply,
            "",
            self.options.subresource,
        );

        let mut merged = merge(root, live, self.applied);
        let last = managed.take(&id);
        let set = field_set(root, self.applied).recursive_difference(self.options.reset.set());
        if let Some(last) = &last {
            prune(root, &mut merged, &last.set, &set, &managed);
        }

        let changes = changes(root, self.options.reset, live, &merged);
        let claimed = changes.modified.union(&changes.added);
        let mut owners: Vec<&mut Entry> = managed.entries.iter_mut().collect();
        owners.sort_by(|one, another| one.id.order().cmp(&another.id.order()));
        let mut conflicts = Vec::new();
        for owner in owners {
            let paths = owner.set.intersection(&claimed).paths();
            conflicts.extend(paths.iter().map(|path| Conflict::new(&owner.id, path)));
            give_up(&mut owner.set, &changes);
        }
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflict(Conflicts(conflicts)));
        }

        let set = set.difference(identity());
        // The time is that of the last change to the object: who only comes to share what is
        // there has none.
        let time = if self.live.is_some() && same(live, &merged) {
            last.and_then(|last| last.time)
        } else {
            Some(stamp(self.options.now))
        };
        managed.put(Entry {
            id,
            api_version: api_version.unwrap_or("").to_owned(),
            time,
            set,
        });
        managed.drop_empty();
        Ok((merged, managed))
    }

    /// kubectl's way from client-side to server-side apply: conflicts over fields that
    /// stand as the last client-side apply left them are no conflicts.
    fn may_upgrade(&mut self, conflicts: &Conflicts) -> bool {
        if self.options.manager != "kubectl" {
            return false;
        }
        let Some(allowed) = self.last_applied_set() else {
            return false;
        };
        let allowed: Vec<String> = allowed.paths().iter().map(ToString::to_string).collect();
        conflicts
            .0
            .iter()
            .all(|conflict| allowed.contains(&conflict.field))
    }

    fn last_applied_set(&self) -> Option<Set> {
        let live = self.live?;
        let text = annotations(live)?.get(LAST_APPLIED)?.as_str()?;
        let last: Value = serde_json::from_str(text).ok()?;
        if last.get("apiVersion") != live.get("apiVersion") {
            return None;
        }
        let root = self.root;
        let changes = compare(root, &last, live);
        let set = field_set(root, &last)
            .difference(&changes.modified)
            .difference(&changes.added)
            .difference(&changes.removed);
        Some(set)
    }

    /// An object that is applied both ways keeps its annotation true.
    fn sync_last_applied(&self, object: &mut Value) {
        if self.options.manager != "kubectl"
            || annotations(object).is_none_or(|all| !all.contains_key(LAST_APPLIED))
        {
            return;
        }
        let mut applied = self.applied.clone();
        if let Some(Value::Object(annotations)) = applied.pointer_mut("/metadata/annotations") {
            annotations.remove(LAST_APPLIED);
        }
        let mut text = applied.to_string();
        text.push('\n');
        if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
            annotations.insert(LAST_APPLIED.to_owned(), Value::String(text));
        }
    }
}

fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/annotations")?.as_object()
}

/// An object as errors name it: `default/web; apps/v1, Kind=Deployment`.
fn which(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let version = text("/apiVersion");
    let of_core = if version.contains('/') { "" } else { "/" };
    format!(
        "{}/{}; {of_core}{version}, Kind={}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        text("/kind"),
    )
}
