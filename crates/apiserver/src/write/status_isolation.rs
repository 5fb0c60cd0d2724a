//! What an object is to be and what it is are written apart: spec and status.

use serde_json::{Map, Value};

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::strategy::Strategy;

/// Status is written through `/status` only, and nothing else through it.
pub fn keep(resource: &Resource, subresource: Option<&str>, object: &mut Value, old: &Value) {
    if !resource.status {
        return;
    }
    if subresource == Some("status") {
        // Where it is a Go struct it is always there.
        let nothing = || resource.is_kubernetes_own().then(|| Map::new().into());
        let status = object.get("status").cloned().or_else(nothing);
        let metadata = status_metadata(resource, object, old);
        *object = old.clone();
        object::set_or_remove(object, "status", status);
        object::set_or_remove(object, "metadata", Some(metadata));
    } else {
        object::set_or_remove(object, "status", old.get("status").cloned());
    }
}

/// Whether a write says something new of the part that it does not write.
pub fn drops(resource: &Resource, subresource: Option<&str>, object: &Value, old: &Value) -> bool {
    let is_new = |key: &str| object.get(key) != old.get(key);
    if !resource.status {
        return false;
    }
    if subresource != Some("status") {
        return is_new("status");
    }
    let keys = [object, old].into_iter().filter_map(Value::as_object);
    keys.flat_map(Map::keys)
        .any(|key| !matches!(key.as_str(), "status" | "metadata") && is_new(key))
}

/// A new object has no status of its own; where it is a Go struct it is always there.
pub fn begin(resource: &Resource, object: &mut Value) {
    if resource.status {
        let is_there = resource.is_kubernetes_own();
        object::set_or_remove(object, "status", is_there.then(|| Map::new().into()));
    }
}

/// What becomes of the metadata in a write of the status: Kubernetes' own kinds take most of it,
/// custom ones only who owns what.
fn status_metadata(resource: &Resource, object: &Value, old: &Value) -> Value {
    let kept: &[&str] = match resource.strategy {
        Strategy::Deployment => &["labels"],
        Strategy::Pod => &["ownerReferences"],
        _ => &[],
    };
    let takes_it =
        resource.is_kubernetes_own() && resource.strategy != Strategy::CustomResourceDefinition;
    let (taken, keys) = if takes_it {
        (old, kept)
    } else {
        (object, &["managedFields"][..])
    };
    let mut metadata = if takes_it { object } else { old }
        .get("metadata")
        .cloned()
        .unwrap_or_default();
    for key in keys {
        object::set_or_remove(&mut metadata, key, object::meta(taken, key).cloned());
    }
    metadata
}
