//! Carries out requests that write (create, replace, patch, delete), through one pipeline.
//!
//! decode → prune → default → managed fields → mutate (admission) → generation →
//! validate → compare-and-swap → notify. Apply finds its owners first, so that what
//! admission fills in belongs to nobody. Everything here is synchronous; the caller waits for
//! the disk before it answers. Dry-run stops before the store.

mod addresses;
mod complete;
pub mod decode;
pub mod deletion;
mod fit;
mod lifecycle;
mod managed;
mod metadata;
mod patching;
mod prepare;
mod rules;
pub mod scale;
mod status_isolation;
pub mod write_request;
pub mod written;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use self::fit::Source;
use self::write_request::{By, WriteRequest};
use self::written::Written;
use crate::json::object;
use crate::json::strict_json::Sent;
use crate::model::resource::{Origin, Resource};
use crate::model::schemas;
use crate::model::status::{ApiError, Cause};
use crate::model::strategy::Strategy;
use crate::ssa;
use crate::store::Stored;
use crate::wire::patch_type::{Patch, PatchType};
use crate::wire::query::FieldValidation;
use crate::wire::view;

/// How often a write that races with others is tried again before the client is told.
const TRIES: usize = 16;

/// Creates an object.
pub fn create(call: &WriteRequest<'_>, sent: Sent) -> Result<Written, ApiError> {
    let (mut object, _) = incoming(call, sent.value, Source::Body, &sent.duplicates)?;
    metadata::one_of_each_owner(call, &mut object, metadata::When::Sent);
    lifecycle::admit_into_namespace(call, object::name(&object))?;
    let version = object::meta_str(&object, "resourceVersion").to_owned();
    // What is no version is none here, where it is refused in an update.
    let is_versioned = metadata::version(&object).is_ok_and(|version| version != 0);
    let generated = metadata::wants_generated_name(&object);
    let by_prefix = !object::meta_str(&object, "generateName").is_empty();
    for _ in 0..TRIES {
        let mut object = object.clone();
        metadata::begin(&mut object, &call.namespace, call.resource, call.core.now());
        let name = object::name(&object).to_owned();
        let object = prepare::prepare(call, object, None, By::Update, Vec::new())?;
        let key = call.key(&name);
        if call.options.dry_run {
            return match call.core.store.get(&key) {
                Some(there) => Err(taken(call, &there, by_prefix)),
                None => Ok(call.not_created(object, version)),
            };
        }
        if is_versioned {
            return Err(ApiError::plain(
                500,
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let object = view::to_stored(call.resource, object);
        match call
            .core
            .store
            .write(&call.resource.selectable, key, None, object)
        {
            Ok(stored) => {
                lifecycle::after_write(call.core, call.resource);
                return Ok(call.stored(&stored, true));
            }
            Err(_) if generated => {}
            Err(_) => {
                return Err(match call.live(&name) {
                    Ok(there) => taken(call, &there, by_prefix),
                    Err(_) => ApiError::already_exists(call.resource, &name),
                });
            }
        }
    }
    let mut error =
        ApiError::already_exists(call.resource, object::meta_str(&object, "generateName"));
    error.details.retry_after = Some(1);
    Err(error)
}

/// The name is taken, maybe not for long.
fn taken(call: &WriteRequest<'_>, there: &Stored, by_prefix: bool) -> ApiError {
    let mut error = ApiError::already_exists(call.resource, &there.key.name);
    if by_prefix {
        error
            .message
            .push_str(", the server was not able to generate a unique name for the object");
        error.details.retry_after = Some(1);
    }
    if there.terminating {
        error.message = format!("object is being deleted: {}", error.message);
    }
    error
}

/// Replaces an object, or its status, or its scale.
pub fn replace(call: &WriteRequest<'_>, name: &str, sent: Sent) -> Result<Written, ApiError> {
    let is_scale = call.subresource == Some("scale");
    let (sent, empties) = if is_scale {
        (scale::read(call, sent.value, name)?.into(), Vec::new())
    } else {
        let (mut object, empties) = incoming(call, sent.value, Source::Body, &sent.duplicates)?;
        metadata::check_name(&object, name)?;
        metadata::one_of_each_owner(call, &mut object, metadata::When::Sent);
        (Sent::from(object), empties)
    };
    for _ in 0..TRIES {
        let live = match call.live(name) {
            Ok(live) => live,
            Err(_) if !is_scale && may_create_by_update(call.resource) => {
                let mut object = sent.value;
                let uid = object::uid(&object);
                if !uid.is_empty() {
                    return Err(other_uid(call, name, "", uid));
                }
                metadata::version(&object)?;
                view::from_storage(call.resource, &mut object);
                // The version of what is not there is nothing to hold on to; a dry-run tells it.
                if !call.options.dry_run {
                    object::remove_meta(&mut object, "resourceVersion");
                }
                return create(call, object.into());
            }
            Err(missing) => return Err(missing),
        };
        let uid = object::uid(&sent.value);
        if !uid.is_empty() && uid != live.uid {
            return Err(other_uid(call, name, &live.uid, uid));
        }
        let old = view::live(call.resource, &live);
        let (object, by) = if is_scale {
            (scale::replace(call, &old, &sent.value)?, By::Known)
        } else {
            (sent.value.clone(), By::Update)
        };
        let is_versioned = metadata::version(&object).is_ok_and(|version| version != 0);
        if let Some(written) = update(call, &live, &old, object, by, &empties)? {
            return Ok(written);
        }
        if is_versioned {
            return Err(ApiError::stale(call.resource, name));
        }
    }
    Err(ApiError::stale(call.resource, name))
}

/// The object that is meant is another one of that name; worded as the store of a cluster
/// words it, its own key included.
fn other_uid(call: &WriteRequest<'_>, name: &str, had: &str, wanted: &str) -> ApiError {
    let resource = call.resource;
    // A dry-run asks before the store puts its own name before the key.
    let registry = if call.options.dry_run {
        ""
    } else {
        "/registry"
    };
    let kind_store = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "services") => "services/specs".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "nodes") => "minions".to_owned(),
        (_, plural) if resource.is_kubernetes_own() => plural.to_owned(),
        (group, plural) => format!("{group}/{plural}"),
    };
    let place = if resource.namespaced {
        format!("{}/{name}", call.namespace)
    } else {
        name.to_owned()
    };
    ApiError::conflict(
        resource,
        name,
        &format!(
            "StorageError: invalid object, Code: 4, Key: {registry}/{kind_store}/{place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {had}"
        ),
    )
}

/// Changes an object by a patch; apply makes it where it is missing.
pub fn patch(
    call: &WriteRequest<'_>,
    name: &str,
    form: PatchType,
    sent: &[u8],
) -> Result<Written, ApiError> {
    let may_create = form == PatchType::Apply
        && (call.subresource.is_none() || may_create_by_update(call.resource));
    if !may_create {
        call.live(name)?;
    }
    let (patch, duplicates) = patching::read(form, sent)?;
    let (patch, duplicates) = (&patch, duplicates.as_slice());
    let source = match patch {
        Patch::Apply(applied) => Source::Applied(applied),
        _ => Source::Patched(patch),
    };
    for _ in 0..TRIES {
        let live = match call.live(name) {
            Ok(live) => live,
            Err(missing) => {
                if !may_create {
                    return Err(missing);
                }
                match create_by_apply(call, name, patch, source, duplicates)? {
                    Some(written) => return Ok(written),
                    None => continue,
                }
            }
        };
        let old = view::live(call.resource, &live);
        let mut seen = old.clone();
        view::from_storage(call.resource, &mut seen);
        let (object, by, empties) = if call.subresource == Some("scale") {
            (scale::patch(call, &old, patch)?, By::Known, Vec::new())
        } else {
            let patched = patching::apply_to(call, &seen, patch)?;
            let (mut object, empties) = incoming(call, patched.object, source, duplicates)?;
            metadata::check_name(&object, name)?;
            metadata::one_of_each_owner(call, &mut object, metadata::When::Patched);
            (object, patched.by, empties)
        };
        if let Some(written) = update(call, &live, &old, object, by, &empties)? {
            return Ok(written);
        }
    }
    Err(ApiError::stale(call.resource, name))
}

fn create_by_apply(
    call: &WriteRequest<'_>,
    name: &str,
    patch: &Patch,
    source: Source<'_>,
    duplicates: &[String],
) -> Result<Option<Written>, ApiError> {
    let patched = patching::apply_to_nothing(call, name, patch)?;
    let (mut object, _) = incoming(call, patched.object, source, duplicates)?;
    let version = object::meta_str(&object, "resourceVersion").to_owned();
    let uid = object::uid(&object);
    if !uid.is_empty() {
        return Err(ApiError::conflict(
            call.resource,
            name,
            &format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            ),
        ));
    }
    metadata::check_name(&object, name)?;
    lifecycle::admit_into_namespace(call, name)?;
    let unread = metadata::version(&object).err();
    metadata::begin(&mut object, &call.namespace, call.resource, call.core.now());
    if let Some(unread) = unread {
        return Err(refused(call, object, None, unread));
    }
    let object = prepare::prepare(call, object, None, patched.by, Vec::new())?;
    if call.options.dry_run {
        return Ok(Some(call.not_created(object, version)));
    }
    let object = view::to_stored(call.resource, object);
    match call
        .core
        .store
        .write(&call.resource.selectable, call.key(name), None, object)
    {
        Ok(stored) => {
            lifecycle::after_write(call.core, call.resource);
            Ok(Some(call.stored(&stored, true)))
        }
        Err(_) => Ok(None),
    }
}

/// A refusal of what an object says of its version: who fills in was asked before, and may have
/// refused the object.
fn refused(
    call: &WriteRequest<'_>,
    mut object: Value,
    old: Option<&Value>,
    refusal: ApiError,
) -> ApiError {
    prepare::mutate(call, &mut object, old)
        .err()
        .unwrap_or(refusal)
}

/// Custom kinds are only changed from a known state.
fn unversioned(resource: &Resource, name: &str) -> ApiError {
    let cause = Cause::invalid(
        "metadata.resourceVersion",
        &Value::from(0),
        "must be specified for an update",
    );
    ApiError::invalid_as(&resource.group, &resource.plural, name, vec![cause])
}

/// One try at an update; nothing when the write lost a race.
fn update(
    call: &WriteRequest<'_>,
    live: &Arc<Stored>,
    old: &Value,
    mut object: Value,
    by: By,
    empties: &[&'static str],
) -> Result<Option<Written>, ApiError> {
    if let Err(refusal) = check_version(call.resource, live, &object) {
        return Err(refused(call, object, Some(old), refusal));
    }
    // The metadata of a custom object is not written with its status, whatever it says.
    let is_written = call.subresource.is_none() || call.resource.is_kubernetes_own();
    let mut causes = if is_written {
        metadata::changed_by_client(&object, old)
    } else {
        Vec::new()
    };
    causes.extend(rules::emptied(call.resource, empties, old));
    metadata::carry_over(&mut object, old, false);
    let drops =
        by == By::Known && status_isolation::drops(call.resource, call.subresource, &object, old);
    let mut object = prepare::prepare(call, object, Some(old), by, causes)?;
    let mut old = Cow::Borrowed(old);
    if !live.empties.is_empty() {
        metadata::put_empties(old.to_mut(), &live.empties);
    }
    if !ssa::noop(&old, &mut object, drops) && !view::is_stored_anew(call.resource, live, &object) {
        return Ok(Some(call.stored(live, false)));
    }
    Ok(swap(call, live, object))
}

/// Holds the version that an object says against the live one's.
fn check_version(resource: &Resource, live: &Stored, object: &Value) -> Result<(), ApiError> {
    let name = live.key.name.as_str();
    match metadata::version(object)? {
        0 if !allows_unconditional_update(resource) => Err(unversioned(resource, name)),
        given if given != 0 && given != live.revision => Err(ApiError::stale(resource, name)),
        _ => Ok(()),
    }
}

/// Puts the object in the live one's place, or removes that where its last finalizer is gone;
/// nothing when the write lost a race.
fn swap(call: &WriteRequest<'_>, live: &Stored, object: Value) -> Option<Written> {
    let removes = lifecycle::may_go(call.resource, &object);
    if call.options.dry_run {
        return Some(if removes {
            call.never_read(object, false)
        } else {
            call.not_stored(object, false)
        });
    }
    let store = &call.core.store;
    if removes {
        let last = store.remove(&live.key, live.revision).ok()?;
        lifecycle::after_write(call.core, call.resource);
        // It was never stored as it is answered: watches see what was there before.
        return Some(Written {
            revision: Some(last.revision),
            ..call.never_read(object, false)
        });
    }
    let object = view::to_stored(call.resource, object);
    let selectable = &call.resource.selectable;
    let stored = store
        .write(selectable, live.key.clone(), Some(live.revision), object)
        .ok()?;
    lifecycle::after_write(call.core, call.resource);
    Some(call.stored(&stored, false))
}

/// Reads the client's object: it must be of the path's kind and namespace; then the stored
/// version, without what the kind does not know. Also which fields came empty.
fn incoming(
    call: &WriteRequest<'_>,
    mut object: Value,
    source: Source<'_>,
    duplicates: &[String],
) -> Result<(Value, Vec<&'static str>), ApiError> {
    let empties = rules::empties(call.resource, &object);
    fit::check(call, &mut object, source, duplicates)?;
    // How a number of a made-up kind is written is a matter until it is stored, unless it was applied.
    let is_made_up = call.resource.origin == Origin::Custom;
    if !call.resource.is_kubernetes_own() && (!is_made_up || matches!(source, Source::Applied(_))) {
        object::whole_numbers(&mut object);
    }
    view::to_storage(call.resource, &mut object);
    unknown_fields(call, source, &mut object, duplicates)?;
    if !matches!(source, Source::Applied(_)) {
        schemas::drop_nulls(call.resource, &mut object);
    }
    metadata::check_namespace(call, &mut object)?;
    Ok((object, empties))
}

/// Drops what the kind does not know, and says so as the client wishes.
fn unknown_fields(
    call: &WriteRequest<'_>,
    source: Source<'_>,
    object: &mut Value,
    duplicates: &[String],
) -> Result<(), ApiError> {
    let shown = match (source, call.options.field_validation) {
        (Source::Patched(_), FieldValidation::Strict) => object.clone(),
        _ => Value::Null,
    };
    // An apply of a custom object has refused what is not declared; what goes besides is not told of,
    // and goes when it is stored.
    let unknown = match source {
        Source::Applied(_) if !call.resource.is_kubernetes_own() => Vec::new(),
        _ => schemas::prune(call.resource, object),
    };
    fit::strictly(call, source, &shown, &unknown, duplicates)
}

/// Kinds that a replace may make, where they are not there.
fn may_create_by_update(resource: &Resource) -> bool {
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("", "services" | "endpoints" | "events")
            | ("coordination.k8s.io" | "rbac.authorization.k8s.io", _)
    )
}

/// Custom kinds must be replaced from a known state; most built-in ones need not.
fn allows_unconditional_update(resource: &Resource) -> bool {
    resource.is_kubernetes_own()
        && !matches!(
            resource.strategy,
            Strategy::CustomResourceDefinition | Strategy::Review
        )
        && resource.plural != "leases"
}

/// Changes an object as the server itself: no hooks, no new generation, no manager.
/// The edit says whether it changed anything.
pub fn amend(
    call: &WriteRequest<'_>,
    name: &str,
    edit: impl Fn(&mut Value) -> bool,
) -> Result<(), ApiError> {
    for _ in 0..TRIES {
        let live = call.live(name)?;
        let mut object = live.value();
        if !edit(&mut object) {
            return Ok(());
        }
        let store = &call.core.store;
        let done = if lifecycle::may_go(call.resource, &object) {
            store.remove(&live.key, live.revision).is_ok()
        } else {
            store
                .write(
                    &call.resource.selectable,
                    live.key.clone(),
                    Some(live.revision),
                    object,
                )
                .is_ok()
        };
        if done {
            lifecycle::after_write(call.core, call.resource);
            return Ok(());
        }
    }
    Err(ApiError::stale(call.resource, name))
}
