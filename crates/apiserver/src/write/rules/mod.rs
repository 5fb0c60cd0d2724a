//! What is wrong with objects of Kubernetes' own kinds beyond their schema, in the order and
//! the words of Kubernetes (`k8s.io/kubernetes/pkg/apis/*/validation`), as far as people run
//! into it.

mod cluster_ips;
mod config;
mod definition;
mod pod;
mod pod_warnings;
mod service;
mod settings;
mod workload;

use serde_json::Value;

pub use cluster_ips::cluster_ips;

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::Cause;
use crate::model::strategy::Strategy;
use crate::state::core::Core;

/// What is wrong by the kind's own rules.
pub fn validate(
    core: &Core,
    resource: &Resource,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    if let (Some("status"), Some(_)) = (subresource, old) {
        return match resource.strategy {
            Strategy::Deployment => workload::deployment_status(object),
            Strategy::Service => service::status(object),
            _ => Vec::new(),
        };
    }
    match (resource.strategy, resource.kind.as_str()) {
        (Strategy::Pod, _) => match old {
            None => pod::spec(object::at(object, "spec"), "spec"),
            Some(old) => pod::update(object, old),
        },
        (Strategy::Deployment, _) => workload::deployment(object, old),
        (Strategy::Plain, "ReplicaSet") => workload::replica_set(object, old),
        (Strategy::Service, _) => service::service(object, old),
        (Strategy::Secret, _) => config::secret(object, old),
        (Strategy::Plain, "ConfigMap") => config::config_map(object, old),
        (Strategy::Event, _) => event(object),
        (Strategy::CustomResourceDefinition, _) => definition::definition(core, object, old),
        _ => Vec::new(),
    }
}

/// The fields of an object that are there and empty, where that is a matter.
pub fn empties(resource: &Resource, object: &Value) -> Vec<&'static str> {
    match resource.kind.as_str() {
        "ConfigMap" => config::empties(object),
        _ => Vec::new(),
    }
}

/// What is wrong with fields that came empty to an object that had none.
pub fn emptied(resource: &Resource, empties: &[&'static str], old: &Value) -> Vec<Cause> {
    match resource.kind.as_str() {
        "ConfigMap" => config::emptied(empties, old),
        _ => Vec::new(),
    }
}

/// What is said to whoever writes something that is allowed and hardly meant.
pub fn warnings(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
    let is_another = || {
        let generation = |of| object::meta(of, "generation");
        old.is_none_or(|old| generation(old) != generation(object))
    };
    match resource.strategy {
        Strategy::Pod if old.is_none() => pod_warnings::of(object, ""),
        Strategy::Deployment if is_another() => {
            let template = object::at(object, "spec.template");
            template.map_or(Vec::new(), |template| {
                pod_warnings::of(template, "spec.template.")
            })
        }
        Strategy::Service => service::warnings(object),
        Strategy::CustomResourceDefinition => definition::warnings(object, old),
        _ => Vec::new(),
    }
}

/// An event is told where its object is.
fn event(event: &Value) -> Vec<Cause> {
    let about = object::text_at(event, "involvedObject.namespace");
    let namespace = object::namespace(event);
    // What has no namespace is told of in the default one.
    let fits = about == namespace || (about.is_empty() && namespace == "default");
    if fits {
        return Vec::new();
    }
    vec![Cause::invalid(
        "involvedObject.namespace",
        &about.into(),
        "does not match event.namespace",
    )]
}

/// A field that may not change once it is there.
fn immutable(field: &str, object: Option<&Value>, old: Option<&Value>) -> Option<Cause> {
    (object != old)
        .then(|| Cause::invalid(field, object.unwrap_or(&Value::Null), "field is immutable"))
}

/// A text as every rule of its sort would have it.
fn named(field: &str, text: &str, wrong: Vec<String>) -> impl Iterator<Item = Cause> {
    let value = Value::from(text);
    let field = field.to_owned();
    wrong
        .into_iter()
        .map(move |why| Cause::invalid(field.clone(), &value, &why))
}

fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    object::at(object, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
