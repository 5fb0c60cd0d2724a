//! A write to `/scale`: it is one to the Scale, and what comes of that is written to the object.

use serde_json::Value;

use super::super::decode::unfit_patch;
use super::super::patching;
use super::super::write_request::WriteRequest;
use super::super::{managed, metadata};
use super::{decode, of};
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::ssa;
use crate::wire::patch_type::Patch;

/// The object with the number of a Scale that replaces its own.
pub fn replace(call: &WriteRequest<'_>, whole: &Value, sent: &Value) -> Result<Value, ApiError> {
    let (live, owners) = live(call, whole)?;
    let mut scale = sent.clone();
    managed::update_scale(call, &live, &mut scale);
    put(call, whole, &scale, &owners)
}

/// The object with the number that a patch makes of its Scale's.
pub fn patch(call: &WriteRequest<'_>, whole: &Value, patch: &Patch) -> Result<Value, ApiError> {
    let (live, owners) = live(call, whole)?;
    let mut scale = match patch {
        Patch::Apply(applied) => managed::apply_scale(call, &live, applied)?,
        _ => patching::apply_to(call, &live, patch)?.object,
    };
    decode(&mut scale).map_err(|why| unfit_patch(patch, &scale, &why.to_string()))?;
    if !matches!(patch, Patch::Apply(_)) {
        managed::update_scale(call, &live, &mut scale);
    }
    metadata::check_namespace(call, &mut scale)?;
    metadata::check_name(&scale, object::name(whole))?;
    put(call, whole, &scale, &owners)
}

/// What the Scales of a kind are called in errors.
fn scales(resource: &Resource) -> Resource {
    Resource {
        plural: format!("{}/scale", resource.plural),
        ..resource.clone()
    }
}

/// The Scale of an object with its owners, and the owners of the object.
fn live(call: &WriteRequest<'_>, whole: &Value) -> Result<(Value, ssa::Scale), ApiError> {
    let mut scale = of(whole);
    let owners = owners(call, whole).map_err(|why| ApiError::plain(500, why))?;
    owners.tell(&mut scale);
    Ok((scale, owners))
}

fn owners(call: &WriteRequest<'_>, whole: &Value) -> Result<ssa::Scale, String> {
    // Versions that are not served any more had the number in the same place.
    let versions = ["v1beta1", "v1beta2", "v1"];
    let versions = versions.map(|version| format!("{}/{version}", call.resource.group));
    ssa::Scale::of(whole, call.resource.api_version(), versions)
}

/// The object with the Scale's wanted number.
fn put(
    call: &WriteRequest<'_>,
    whole: &Value,
    scale: &Value,
    owners: &ssa::Scale,
) -> Result<Value, ApiError> {
    let mut changed = whole.clone();
    // The Scale carries the object's own version: a stale one is a conflict as ever.
    let given = object::meta_str(scale, "resourceVersion");
    if !given.is_empty() {
        object::set_meta(&mut changed, "resourceVersion", given);
    }
    let wanted = object::at(scale, "spec.replicas")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    valid(call, whole, scale, wanted)?;
    object::child_mut(&mut changed, "spec").insert("replicas".to_owned(), wanted.into());
    owners
        .take(scale, &mut changed)
        .map_err(|why| ApiError::plain(500, why))?;
    Ok(changed)
}

/// Holds a Scale against the rules.
fn valid(
    call: &WriteRequest<'_>,
    whole: &Value,
    scale: &Value,
    wanted: i64,
) -> Result<(), ApiError> {
    let name = object::name(whole);
    if wanted < 0 {
        let cause = Cause::invalid(
            "spec.replicas",
            &wanted.into(),
            "must be greater than or equal to 0",
        );
        return Err(ApiError::invalid_as(
            "autoscaling",
            "Scale",
            name,
            vec![cause],
        ));
    }
    let (given, had) = (object::uid(scale), object::uid(whole));
    if !given.is_empty() && given != had {
        return Err(ApiError::conflict(
            &scales(call.resource),
            name,
            &format!(
                "Precondition failed: UID in precondition: {given}, UID in object meta: {had}"
            ),
        ));
    }
    Ok(())
}
