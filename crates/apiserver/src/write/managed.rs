//! Who set which field: `metadata.managedFields`, and apply, which goes by them.

use std::borrow::Cow;

use serde_json::Value;

use super::write_request::WriteRequest;
use crate::builtin;
use crate::model::status::{ApiError, Cause};
use crate::model::strategy::Strategy;
use crate::schema::Schema;
use crate::ssa::{self, ApplyError, ApplyOptions, Conflict, ResetFields, UpdateOptions};

/// Records that the caller set what differs from the live object.
pub fn update(call: &WriteRequest<'_>, old: Option<&Value>, object: &mut Value) {
    let options = UpdateOptions {
        manager: call.manager(),
        subresource: call.subresource,
        reset: reset(call),
        now: call.core.now(),
    };
    // Who owns what of an object that does not fit its kind, or did not, cannot be said. Most of those
    // are refused later, but not a null in a list that a webhook makes something of.
    let misfits = |object: &Value| !ssa::fits(call.resource.schema(), object);
    if !call.resource.is_kubernetes_own() && (misfits(object) || old.is_some_and(misfits)) {
        crate::json::object::remove_meta(object, "managedFields");
        return;
    }
    *object = ssa::update(old, object.take(), call.resource.schema(), &options);
}

/// Records that the caller set what differs from the Scale of the live object.
pub fn update_scale(call: &WriteRequest<'_>, live: &Value, scale: &mut Value) {
    let options = UpdateOptions {
        manager: call.manager(),
        subresource: call.subresource,
        reset: ResetFields::None,
        now: call.core.now(),
    };
    crate::json::object::set(scale, "apiVersion", SCALE.0);
    // Go leaves a zero out: it is nobody's.
    let spec = crate::json::object::child_mut(scale, "spec");
    if spec.get("replicas").and_then(Value::as_i64) == Some(0) {
        spec.remove("replicas");
    }
    let schema = scale_schema();
    *scale = ssa::update(Some(live), scale.take(), &schema, &options);
}

/// The kind of a Scale.
const SCALE: (&str, &str) = ("autoscaling/v1", "Scale");

fn scale_schema() -> Schema {
    builtin::schema("autoscaling", "v1", "Scale").unwrap_or_else(Schema::untyped)
}

/// What the request cannot write, by the kind's own rule.
fn reset(call: &WriteRequest<'_>) -> ResetFields {
    match (call.subresource, call.resource.strategy) {
        (Some("status"), Strategy::CustomResourceDefinition) => ResetFields::AllButStatus,
        (Some("status"), Strategy::Deployment) => ResetFields::SpecAndLabels,
        (Some("status"), Strategy::Pod) => ResetFields::SpecAndOwners,
        (Some("status"), _) => ResetFields::Spec,
        (subresource, _) => ResetFields::of(call.resource.status, subresource),
    }
}

/// Server-side apply: merges what the caller applies into the live object.
pub fn apply(
    call: &WriteRequest<'_>,
    live: Option<&Value>,
    applied: &Value,
) -> Result<Value, ApiError> {
    let api_version = call.resource.api_version();
    check_type(applied, (&api_version, &call.resource.kind))?;
    let mut options = apply_options(call, reset(call));
    // The schema of a custom kind may have changed meanwhile.
    options.may_not_fit = !call.resource.is_kubernetes_own();
    let mut applied = Cow::Borrowed(applied);
    if !call.resource.is_kubernetes_own() {
        crate::json::object::whole_numbers(applied.to_mut());
    }
    ssa::apply(live, &applied, call.resource.schema(), &options).map_err(refusal)
}

/// Server-side apply of a Scale.
pub fn apply_scale(
    call: &WriteRequest<'_>,
    live: &Value,
    applied: &Value,
) -> Result<Value, ApiError> {
    check_type(applied, SCALE)?;
    let options = apply_options(call, ResetFields::None);
    let schema = scale_schema();
    ssa::apply(Some(live), applied, &schema, &options).map_err(refusal)
}

fn check_type(applied: &Value, wanted: (&str, &str)) -> Result<(), ApiError> {
    let text = |key: &str| applied.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if (api_version, kind) == wanted {
        return Ok(());
    }
    let of_core = if api_version.contains('/') { "" } else { "/" };
    Err(ApiError::bad_request(format!(
        "invalid object type: {of_core}{api_version}, Kind={kind}"
    )))
}

fn apply_options<'a>(call: &'a WriteRequest<'_>, reset: ResetFields) -> ApplyOptions<'a> {
    ApplyOptions {
        manager: call.manager(),
        force: call.options.force,
        subresource: call.subresource,
        reset,
        now: call.core.now(),
        may_not_fit: false,
    }
}

fn refusal(error: ApplyError) -> ApiError {
    match error {
        ApplyError::Conflict(conflicts) => {
            let mut answer = ApiError::new(409, "Conflict", conflicts.to_string());
            answer.details.causes = conflicts
                .0
                .iter()
                .map(|conflict| Cause {
                    reason: Conflict::REASON,
                    message: conflict.message(),
                    field: conflict.field.clone(),
                })
                .collect();
            answer
        }
        ApplyError::BadRequest(why) => ApiError::bad_request(why),
        ApplyError::Typed(why) => ApiError::plain(500, why),
    }
}
