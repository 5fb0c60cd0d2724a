//! `/scale`: a number of replicas, wherever the kind keeps it.

mod custom_resource;
mod write;

use serde_json::{Value, json};

pub use custom_resource::faults;
pub use write::{patch, replace};

use super::metadata;
use super::write_request::WriteRequest;
use crate::builtin;
use crate::json::object;
use crate::model::resource::{Resource, ScalePaths};
use crate::model::status::{ApiError, Cause};

/// The object's `autoscaling/v1` Scale.
pub fn of(resource: &Resource, whole: &Value) -> Result<Value, ApiError> {
    if let Some(paths) = custom_resource::paths(resource) {
        let (wanted, seen, selector) =
            custom_resource::read(paths, whole).map_err(|why| ApiError::plain(500, why))?;
        return Ok(shown(whole, wanted.unwrap_or(0), seen, selector));
    }
    let Some(paths) = &resource.scale else {
        return Err(ApiError::no_such_path());
    };
    let number = |path: &str| object::at(whole, path).and_then(Value::as_i64).unwrap_or(0);
    let selector = selector_text(object::at(whole, "spec.selector"));
    Ok(shown(
        whole,
        number(&paths.spec),
        number(&paths.status),
        selector,
    ))
}

/// The Scale that is asked for. A made-up kind's object that has no number has no Scale.
pub fn get(resource: &Resource, whole: &Value) -> Result<Value, ApiError> {
    let scale = of(resource, whole)?;
    match custom_resource::paths(resource) {
        Some(paths) if has_none(paths, whole) => {
            let why = format!("the spec replicas field {:?} does not exist", paths.spec);
            let mut error = ApiError::internal(&why);
            error.details.causes.push(Cause {
                reason: "",
                message: why,
                field: String::new(),
            });
            Err(error)
        }
        _ => Ok(scale),
    }
}

/// The Scale that a write changes. Where there is no number it has one that must not stay.
fn to_patch(resource: &Resource, whole: &Value) -> Result<Value, ApiError> {
    let mut scale = of(resource, whole)?;
    if custom_resource::paths(resource).is_some_and(|paths| has_none(paths, whole)) {
        object::child_mut(&mut scale, "spec")
            .insert("replicas".to_owned(), custom_resource::NONE.into());
    }
    Ok(scale)
}

fn has_none(paths: &ScalePaths, whole: &Value) -> bool {
    matches!(custom_resource::read(paths, whole), Ok((None, ..)))
}

fn shown(whole: &Value, wanted: i64, seen: i64, selector: String) -> Value {
    // Go leaves a zero out here, and writes it in the status.
    let spec = match wanted {
        0 => json!({}),
        wanted => json!({"replicas": wanted}),
    };
    let mut status = json!({"replicas": seen});
    if !selector.is_empty() {
        object::set(&mut status, "selector", selector);
    }
    let mut metadata = json!({
        "name": object::name(whole),
        "uid": object::uid(whole),
        "resourceVersion": object::meta_str(whole, "resourceVersion"),
        "creationTimestamp": object::meta(whole, "creationTimestamp"),
    });
    let namespace = object::namespace(whole);
    if !namespace.is_empty() {
        object::set(&mut metadata, "namespace", namespace);
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    })
}

/// Reads a Scale that replaces the one of an object.
pub fn read(call: &WriteRequest<'_>, mut scale: Value, name: &str) -> Result<Value, ApiError> {
    decode(&mut scale).map_err(|why| {
        ApiError::bad_request(if custom_resource::paths(call.resource).is_some() {
            // Who serves made-up kinds has no words for it.
            "no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:110\""
                .to_owned()
        } else {
            format!("Scale in version \"v1\" cannot be handled as a Scale: {why}")
        })
    })?;
    metadata::check_namespace(call, &mut scale)?;
    metadata::check_name(&scale, name)?;
    metadata::version(&scale)?;
    Ok(scale)
}

fn decode(scale: &mut Value) -> Result<(), String> {
    match builtin::schema("autoscaling", "v1", "Scale") {
        Some(schema) => builtin::decode::decode(&schema, "io.k8s.api.autoscaling.v1.Scale", scale),
        None => Ok(()),
    }
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
