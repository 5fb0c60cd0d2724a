//! Who set which field: `metadata.managedFields`, and apply, which goes by them.

use std::borrow::Cow;

use serde_json::Value;

use super::behaviour::Behaviour;
use super::resource::Origin;
use super::ssa::{self, ApplyError, ApplyOptions, Conflict, ResetFields, UpdateOptions};
use super::status::{ApiError, Cause};
use super::write::Call;

/// Records that the caller set what differs from the live object.
pub fn update(call: &Call<'_>, old: Option<&Value>, object: &mut Value) {
    let options = UpdateOptions {
        manager: call.manager(),
        subresource: call.subresource,
        reset: reset(call),
        now: call.core.now(),
    };
    // Who owns what of an object that does not fit its kind, or did not, cannot be said. Most of those
    // are refused later, but not a null in a list that a webhook makes something of.
    let may_not_fit = call.subresource != Some("scale") && !call.resource.is_kubernetes_own();
    let schema = call.resource.schema();
    let fits = |object: &Value| ssa::fits(schema, object);
    if may_not_fit && !(fits(object) && old.is_none_or(fits)) {
        super::object::remove_meta(object, "managedFields");
        return;
    }
    *object = ssa::update(old, object.take(), call.resource.schema(), &options);
    if call.subresource == Some("scale") && call.resource.origin == Origin::Custom {
        timeless(object, old);
    }
}

/// Who writes a number of replicas is known without a time, unless he had one before.
fn timeless(object: &mut Value, old: Option<&Value>) {
    let is_scale = |entry: &Value| entry.get("subresource") == Some(&Value::from("scale"));
    let who = |entry: &Value| {
        (
            entry.get("manager").cloned(),
            entry.get("apiVersion").cloned(),
        )
    };
    let before = old.and_then(|old| old.pointer("/metadata/managedFields")?.as_array());
    let Some(Value::Array(entries)) = object.pointer_mut("/metadata/managedFields") else {
        return;
    };
    for entry in entries.iter_mut().filter(|entry| is_scale(entry)) {
        let had = before
            .into_iter()
            .flatten()
            .find(|had| is_scale(had) && who(had) == who(entry));
        let time = had.and_then(|had| had.get("time")).cloned();
        super::object::set_or_remove(entry, "time", time);
    }
}

/// What the request cannot write, by the kind's own rule.
fn reset(call: &Call<'_>) -> ResetFields {
    match (call.subresource, call.resource.behaviour) {
        (Some("status"), Behaviour::CustomResourceDefinition) => ResetFields::AllButStatus,
        (Some("status"), Behaviour::Deployment) => ResetFields::SpecAndLabels,
        (Some("status"), Behaviour::Pod) => ResetFields::SpecAndOwners,
        (Some("status"), _) => ResetFields::Spec,
        (subresource, _) => ResetFields::of(call.resource.status, subresource),
    }
}

/// Server-side apply: merges what the caller applies into the live object.
pub fn apply(call: &Call<'_>, live: Option<&Value>, applied: &Value) -> Result<Value, ApiError> {
    let text = |key: &str| applied.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version != call.resource.api_version() || kind != call.resource.kind {
        let of_core = if api_version.contains('/') { "" } else { "/" };
        return Err(ApiError::bad_request(format!(
            "invalid object type: {of_core}{api_version}, Kind={kind}"
        )));
    }
    let options = ApplyOptions {
        manager: call.manager(),
        force: call.options.force,
        subresource: call.subresource,
        reset: reset(call),
        now: call.core.now(),
        // The schema of a custom kind may have changed meanwhile.
        may_not_fit: !call.resource.is_kubernetes_own(),
    };
    let mut applied = Cow::Borrowed(applied);
    if !call.resource.is_kubernetes_own() {
        super::object::whole_numbers(applied.to_mut());
    }
    ssa::apply(live, &applied, call.resource.schema(), &options).map_err(|error| match error {
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
    })
}
