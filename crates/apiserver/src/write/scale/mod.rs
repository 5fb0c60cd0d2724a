//! `/scale` of Deployments and ReplicaSets: the number of replicas alone.

mod write;

use serde_json::{Value, json};

pub use write::{patch, replace};

use super::metadata;
use super::write_request::WriteRequest;
use crate::builtin;
use crate::builtin::decode::DecodeError;
use crate::json::object;
use crate::model::status::ApiError;

/// The object's `autoscaling/v1` Scale.
pub fn of(whole: &Value) -> Value {
    let number = |path: &str| object::at(whole, path).and_then(Value::as_i64).unwrap_or(0);
    // Go leaves a zero out here, and writes it in the status.
    let spec = match number("spec.replicas") {
        0 => json!({}),
        wanted => json!({"replicas": wanted}),
    };
    let mut status = json!({"replicas": number("status.replicas")});
    let selector = selector_text(object::at(whole, "spec.selector"));
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
        ApiError::bad_request(format!(
            "Scale in version \"v1\" cannot be handled as a Scale: {why}"
        ))
    })?;
    metadata::check_namespace(call, &mut scale)?;
    metadata::check_name(&scale, name)?;
    metadata::version(&scale)?;
    Ok(scale)
}

fn decode(scale: &mut Value) -> Result<(), DecodeError> {
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
