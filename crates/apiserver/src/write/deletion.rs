//! Deletes: at once, with grace, or once finalizers allow it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::lifecycle;
use super::write_request::WriteRequest;
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::model::strategy::Strategy;
use crate::state::admission::Operation;
use crate::state::core::key;
use crate::state::definitions;
use crate::store::Stored;
use crate::wire::query::{self, Params};
use crate::wire::view;

/// The finalizer of a foreground deletion: the owner waits for its dependents.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an orphaning deletion: the dependents are let go first.
pub const ORPHAN: &str = "orphan";
/// How long a Pod gets when neither it nor the request says: Kubernetes' default.
const POD_GRACE: i64 = 30;
const TRIES: usize = 16;

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are collected after the owner.
    Background,
    /// They are collected before the owner.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// `metav1.DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// What becomes of the dependents.
    pub propagation: Option<Propagation>,
    /// Seconds that a Pod gets to end.
    pub grace: Option<i64>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resource version that the object must have.
    pub resource_version: Option<String>,
    /// Everything but the deletion.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads the options from the body and the query.
    pub fn of(body: &Value, params: &Params) -> Result<Self, ApiError> {
        let text = |path: &str| {
            object::at(body, path)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut causes = Vec::new();
        let orphan = body.get("orphanDependents").and_then(Value::as_bool);
        let policy = text("propagationPolicy");
        let policy = policy.as_deref().or(params.text("propagationPolicy"));
        let propagation = match (policy, orphan) {
            (None, None) => None,
            (None, Some(true)) => Some(Propagation::Orphan),
            (None, Some(false)) => Some(Propagation::Background),
            (Some(given), Some(_)) => {
                causes.push(Cause::invalid(
                    "propagationPolicy",
                    &given.into(),
                    "orphanDependents and deletionPropagation cannot be both set",
                ));
                None
            }
            (Some("Background"), None) => Some(Propagation::Background),
            (Some("Foreground"), None) => Some(Propagation::Foreground),
            (Some("Orphan"), None) => Some(Propagation::Orphan),
            (Some(other), None) => {
                causes.push(Cause::not_supported(
                    "propagationPolicy",
                    &other.into(),
                    &["Foreground", "Background", "Orphan", "nil"],
                ));
                None
            }
        };
        let mut dry_run = object::strings(body.get("dryRun"));
        dry_run.extend(params.text("dryRun"));
        causes.extend(query::dry_run_fault(&dry_run));
        query::refuse("DeleteOptions", causes)?;
        let grace = match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
            Some(grace) => Some(grace),
            None => params.number("gracePeriodSeconds")?,
        };
        Ok(Self {
            propagation,
            grace: grace.map(|grace| grace.max(0)),
            uid: text("preconditions.uid"),
            resource_version: text("preconditions.resourceVersion"),
            dry_run: !dry_run.is_empty(),
        })
    }
}

/// What a delete came to.
#[derive(Debug)]
pub struct Deleted {
    /// The object in its last state, or as it waits for its end.
    pub object: Value,
    /// Whether it is gone.
    pub gone: bool,
    /// The revision to wait for, if anything was written.
    pub revision: Option<u64>,
}

impl Deleted {
    /// What the client is answered: the waiting object, or a `Status` of success.
    pub fn answer(&self, call: &WriteRequest<'_>) -> Value {
        if !self.gone || gives_itself_back(call.resource) {
            return self.object.clone();
        }
        let mut details = json!({
            "name": object::name(&self.object),
            "kind": call.resource.plural,
            "uid": object::uid(&self.object),
        });
        if !call.resource.group.is_empty() {
            object::set(&mut details, "group", call.resource.group.as_str());
        }
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        })
    }
}

/// Kinds whose objects are the answer to their deletion; for the others it is a `Status`.
fn gives_itself_back(resource: &Resource) -> bool {
    resource.group.is_empty()
        && matches!(
            resource.plural.as_str(),
            "pods" | "services" | "serviceaccounts"
        )
}

/// Namespaces that a cluster cannot be without.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Deletes an object, or begins to.
pub fn delete(
    call: &WriteRequest<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    for _ in 0..TRIES {
        let live = call
            .core
            .store
            .get(&key(call.resource, &call.namespace, name))
            .ok_or_else(|| ApiError::not_found(call.resource, name))?;
        if let Some(deleted) = attempt(call, &live, options)? {
            return Ok(deleted);
        }
    }
    Err(ApiError::stale(call.resource, name))
}

/// Deletes all objects that are meant; one that went by itself meanwhile is no error.
pub fn delete_all(
    call: &WriteRequest<'_>,
    objects: &[Arc<Stored>],
    options: &DeleteOptions,
) -> Result<Vec<Deleted>, ApiError> {
    let mut deleted = Vec::with_capacity(objects.len());
    for object in objects {
        let one = WriteRequest {
            namespace: object.key.namespace.clone(),
            options: call.options.clone(),
            agent: call.agent.clone(),
            warnings: std::cell::RefCell::default(),
            ..*call
        };
        match delete(&one, &object.key.name, options) {
            Ok(one) => deleted.push(one),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

fn attempt(
    call: &WriteRequest<'_>,
    live: &Arc<Stored>,
    options: &DeleteOptions,
) -> Result<Option<Deleted>, ApiError> {
    let name = live.key.name.as_str();
    if call.resource.strategy == Strategy::Namespace && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden(
            call.resource,
            name,
            "this namespace may not be deleted",
        ));
    }
    preconditions(call, live, options)?;
    let old = view::live(call.resource, live);
    let review = call.review(name, Operation::Delete, Some(&old));
    for hook in &call.core.hooks {
        hook.validate(&review, &old)?;
    }
    let object = marked(call, &old, options);
    let goes = lifecycle::may_go(call.resource, &object);
    let shown = |mut object: Value, gone: bool, revision: Option<u64>| {
        view::from_storage(call.resource, &mut object);
        // One that waits for its end is answered as it was written, and not as it would be read.
        if gone {
            view::hide(call.resource, &mut object);
        }
        Ok(Some(Deleted {
            object,
            gone,
            revision,
        }))
    };
    if options.dry_run && goes {
        return shown(old, goes, None);
    }
    // What was stored with something empty in it is not what is written without.
    let is_same = object == old && live.empties.is_empty();
    if options.dry_run || (!goes && is_same) {
        return shown(object, goes, None);
    }
    let store = &call.core.store;
    let written = if goes {
        store.remove(&live.key, live.revision)
    } else {
        let object = view::to_stored(call.resource, object);
        store.write(
            &call.resource.selectable,
            live.key.clone(),
            Some(live.revision),
            object,
        )
    };
    let Ok(written) = written else {
        return Ok(None);
    };
    lifecycle::after_write(call.core, call.resource);
    shown(written.value(), goes, Some(written.revision))
}

fn preconditions(
    call: &WriteRequest<'_>,
    live: &Stored,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let name = live.key.name.as_str();
    if let Some(uid) = options.uid.as_ref().filter(|uid| **uid != live.uid) {
        return Err(ApiError::conflict_of_kind(
            call.resource,
            name,
            &format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                live.uid
            ),
        ));
    }
    let revision = live.revision.to_string();
    if let Some(wanted) = options
        .resource_version
        .as_ref()
        .filter(|at| **at != revision)
    {
        return Err(ApiError::conflict_of_kind(
            call.resource,
            name,
            &format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
            ),
        ));
    }
    Ok(())
}

/// The object with the marks of its deletion.
fn marked(call: &WriteRequest<'_>, old: &Value, options: &DeleteOptions) -> Value {
    let mut object = old.clone();
    if let Some(propagation) = options.propagation {
        let mut finalizers: Vec<&str> = object::finalizers(old)
            .into_iter()
            .filter(|finalizer| !matches!(*finalizer, FOREGROUND | ORPHAN))
            .collect();
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => finalizers.push(FOREGROUND),
            Propagation::Orphan => finalizers.push(ORPHAN),
        }
        let before = object::finalizers(old);
        // One that is there twice is the same one.
        let set =
            |finalizers: &[&str]| BTreeSet::from_iter(finalizers.iter().map(|&one| one.to_owned()));
        if set(&before) == set(&finalizers) {
            finalizers = before;
        }
        if finalizers.is_empty() {
            object::remove_meta(&mut object, "finalizers");
        } else {
            object::set_meta(&mut object, "finalizers", json!(finalizers));
        }
    }
    if call.resource.strategy == Strategy::CustomResourceDefinition {
        let mut finalizers = object::finalizers(&object);
        if !finalizers.contains(&definitions::FINALIZER) && !object::is_terminating(old) {
            finalizers.push(definitions::FINALIZER);
        }
        let finalizers = json!(finalizers);
        object::set_meta(&mut object, "finalizers", finalizers);
    }
    let grace = grace(call, old, options);
    let was_terminating = object::is_terminating(old);
    // Namespaces and definitions go by a way of their own, with fewer marks.
    let is_plain = !matches!(
        call.resource.strategy,
        Strategy::Namespace | Strategy::CustomResourceDefinition
    );
    let had = object::meta(old, "deletionGracePeriodSeconds").and_then(Value::as_i64);
    if was_terminating && (!is_plain || had.is_some_and(|had| had <= grace)) {
        // A deletion may be hurried, never slowed down.
        return object;
    }
    let now = call.core.now();
    let end = now
        .checked_add(jiff::SignedDuration::from_secs(grace))
        .unwrap_or(now);
    object::set_meta(&mut object, "deletionTimestamp", object::time(end));
    if is_plain {
        object::set_meta(&mut object, "deletionGracePeriodSeconds", grace);
    }
    if !was_terminating {
        if is_plain
            && let Some(generation) = object::meta(old, "generation").and_then(Value::as_i64)
        {
            object::set_meta(&mut object, "generation", generation + 1);
        }
        if call.resource.strategy == Strategy::Namespace {
            object::child_mut(&mut object, "status")
                .insert("phase".to_owned(), "Terminating".into());
        }
    }
    object
}

/// Seconds until the object may go: only Pods on a node get any.
fn grace(call: &WriteRequest<'_>, object: &Value, options: &DeleteOptions) -> i64 {
    if call.resource.strategy != Strategy::Pod
        || object::text_at(object, "spec.nodeName").is_empty()
        || matches!(
            object::text_at(object, "status.phase").as_str(),
            "Succeeded" | "Failed"
        )
    {
        return 0;
    }
    options
        .grace
        .or_else(|| {
            object::at(object, "spec.terminationGracePeriodSeconds").and_then(Value::as_i64)
        })
        .unwrap_or(POD_GRACE)
        .max(0)
}
