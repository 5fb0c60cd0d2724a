//! `/scale`: a number of replicas, wherever the kind keeps it.

use serde_json::{Value, json};

use super::decode::unfit_patch;
use super::patching::Patch;
use super::resource::Resource;
use super::status::{ApiError, Cause};
use super::{builtin, metadata, object};

/// The object's `autoscaling/v1` Scale.
pub fn of(resource: &Resource, whole: &Value) -> Value {
    let Some(paths) = &resource.scale else {
        return Value::Null;
    };
    let number = |path: &str| object::at(whole, path).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &paths.selector {
        Some(path) => object::text_at(whole, path),
        None => selector_text(object::at(whole, "spec.selector")),
    };
    // Go leaves a zero out here, and writes it in the status.
    let spec = match number(&paths.spec) {
        0 => json!({}),
        wanted => json!({"replicas": wanted}),
    };
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": object::name(whole),
            "namespace": object::namespace(whole),
            "uid": object::uid(whole),
            "resourceVersion": object::meta_str(whole, "resourceVersion"),
            "creationTimestamp": object::meta(whole, "creationTimestamp"),
        },
        "spec": spec,
        "status": {"replicas": number(&paths.status), "selector": selector},
    })
}

/// Reads a Scale that replaces the one of an object.
pub fn read(mut scale: Value, name: &str) -> Result<Value, ApiError> {
    decode(&mut scale).map_err(|why| {
        ApiError::bad_request(format!(
            "Scale in version \"v1\" cannot be handled as a Scale: {why}"
        ))
    })?;
    metadata::check_name(&scale, name)?;
    metadata::check_version(object::meta_str(&scale, "resourceVersion"))?;
    Ok(scale)
}

/// Holds a patched Scale against its kind.
pub fn patched(mut scale: Value, patch: &Patch) -> Result<Value, ApiError> {
    match decode(&mut scale) {
        Ok(()) => Ok(scale),
        Err(why) => Err(unfit_patch(patch, &scale, &why)),
    }
}

fn decode(scale: &mut Value) -> Result<(), String> {
    match builtin::schema("autoscaling", "v1", "Scale") {
        Some(schema) => builtin::decode::decode(&schema, "io.k8s.api.autoscaling.v1.Scale", scale),
        None => Ok(()),
    }
}

/// The object with the Scale's wanted number.
pub fn put(resource: &Resource, whole: &Value, scale: &Value) -> Result<Value, ApiError> {
    let Some(paths) = &resource.scale else {
        return Err(ApiError::no_such_path());
    };
    let name = object::name(whole);
    let replicas = match object::at(scale, "spec.replicas") {
        None | Some(Value::Null) => 0,
        Some(given) => given
            .as_i64()
            .filter(|replicas| *replicas >= 0)
            .ok_or_else(|| {
                let cause =
                    Cause::invalid("spec.replicas", given, "must be greater than or equal to 0");
                ApiError::invalid_as("autoscaling", "Scale", name, vec![cause])
            })?,
    };
    let mut whole = whole.clone();
    let steps: Vec<&str> = paths
        .spec
        .split('.')
        .filter(|step| !step.is_empty())
        .collect();
    if let Some((last, parents)) = steps.split_last() {
        let mut map = object::as_map(&mut whole);
        for step in parents {
            map = object::map_in(map, step);
        }
        map.insert((*last).to_owned(), replicas.into());
    }
    // The Scale carries the object's own version: a stale one is a conflict as ever.
    let given = object::meta_str(scale, "resourceVersion");
    if !given.is_empty() {
        object::set_meta(&mut whole, "resourceVersion", given);
    }
    Ok(whole)
}

/// A label selector as text.
fn selector_text(selector: Option<&Value>) -> String {
    selector
        .and_then(|selector| selector.get("matchLabels"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect::<Vec<_>>()
        .join(",")
}
