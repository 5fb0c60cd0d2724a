//! A revision template in the one form that all its spellings share.
//!
//! Knative's static defaults are taken away rather than filled in, so that a rule that is added
//! here later changes the form of those templates alone that spell the default out. No
//! `ConfigMap` of a cluster takes part: two clusters, or one before and after an upgrade of
//! Knative, give the same form.

use serde_json::{Map, Value};

use crate::api::quantity;
use crate::api::serving::annotation;

use super::knative;
use super::normalize::is_left_out;

/// kubectl's copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What `kn` notes for itself: when it wrote last, the image as typed.
const MARKS_OF_KN: &str = "client.knative.dev/";

/// Gives the canonical form of a revision template (`spec.template` of a Service or Configuration).
///
/// ```
/// use serde_json::json;
/// use sluicegate_core::plan::canonical;
///
/// let short = json!({"spec": {"containers": [{"image": "a"}]}});
/// let long = json!({"metadata": {"creationTimestamp": null}, "spec": {"timeoutSeconds": 300,
///     "containers": [{"image": "a", "name": "user-container", "resources": {}}]}});
/// assert_eq!(canonical::template(&short), canonical::template(&long));
/// ```
pub fn template(template: &Value) -> Value {
    let mut template = knative::with_defaults(template);
    let Some(fields) = template.as_object_mut() else {
        return template;
    };
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        plain_metadata(metadata);
    }
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        without_defaults(spec);
        prune(spec, false);
    }
    fields.retain(|_, part| !is_nothing(part));
    template
}

/// Labels and annotations without the marks of tools and the rollout's attempt number. An empty
/// value of a label is a value.
fn plain_metadata(metadata: &mut Map<String, Value>) {
    metadata.remove("creationTimestamp");
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|name, value| !value.is_null() && !is_mark(name));
    }
    metadata.retain(|_, part| !is_nothing(part) && part.as_str() != Some(""));
}

/// Whether an annotation of a template says nothing about what runs.
pub(super) fn is_mark(name: &str) -> bool {
    name == annotation::ATTEMPT || name == LAST_APPLIED || name.starts_with(MARKS_OF_KN)
}

/// Takes away what the webhook would fill in; it has filled in everything.
fn without_defaults(spec: &mut Map<String, Value>) {
    let timeout = spec.get("timeoutSeconds").and_then(Value::as_i64);
    if timeout > Some(knative::TIMEOUT_SECONDS) {
        drop_if(
            spec,
            "responseStartTimeoutSeconds",
            &knative::TIMEOUT_SECONDS.into(),
        );
    }
    drop_if(spec, "timeoutSeconds", &knative::TIMEOUT_SECONDS.into());
    drop_if(spec, "containerConcurrency", &0.into());
    drop_if(spec, "enableServiceLinks", &false.into());
    let writable = knative::writable_volumes(spec);
    let number = knative::count(spec, "containers");
    for (list, name) in knative::CONTAINERS {
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        // Of several each is known by its name, so there the names that were filled in stay.
        let alone = containers.len() == 1;
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            if alone {
                drop_if(container, "name", &name.into());
            }
            let probed = list == "containers" && (number == 1 || knative::has_port(container));
            plain_container(container, &writable, probed);
        }
    }
}

fn plain_container(container: &mut Map<String, Value>, writable: &[String], probed: bool) {
    for port in knative::objects(container, "ports") {
        drop_if(port, "protocol", &"TCP".into());
    }
    for mount in knative::objects(container, "volumeMounts") {
        let name = mount.get("name").and_then(Value::as_str);
        if !writable.iter().any(|w| Some(w.as_str()) == name) {
            mount.remove("readOnly");
        }
    }
    let Some(probe) = container
        .get_mut("readinessProbe")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    drop_if(probe, "successThreshold", &1.into());
    if probe
        .get("periodSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|period| period != 0)
    {
        drop_if(probe, "failureThreshold", &3.into());
        drop_if(probe, "timeoutSeconds", &1.into());
    }
    let is_default = |socket: &Value| socket.as_object().is_some_and(only_port_zero);
    if probed && probe.get("tcpSocket").is_some_and(is_default) {
        probe.remove("tcpSocket");
    }
}

fn only_port_zero(socket: &Map<String, Value>) -> bool {
    socket
        .iter()
        .all(|(name, value)| is_nothing(value) || (name == "port" && value.as_i64() == Some(0)))
}

fn drop_if(object: &mut Map<String, Value>, name: &str, default: &Value) {
    if object.get(name) == Some(default) {
        object.remove(name);
    }
}

/// Takes away fields that say nothing, and gives numbers and quantities one spelling. The elements
/// of lists stay, whatever they are: `args: [""]` is an argument.
fn prune(object: &mut Map<String, Value>, amounts: bool) {
    for (name, value) in object.iter_mut() {
        spell(value, amounts || is_amount(name));
    }
    object.retain(|name, value| match value {
        Value::Object(fields) => !fields.is_empty() || speaks_by_being_there(name),
        // An amount of nothing is what a missing divisor means.
        Value::String(text) if name == "divisor" => text != "0n",
        value => !is_left_out(name, value),
    });
}

fn spell(value: &mut Value, amount: bool) {
    match value {
        Value::Object(fields) => prune(fields, amount),
        Value::Array(items) => items.iter_mut().for_each(|item| spell(item, false)),
        Value::String(text) if amount => {
            if let Some(nanos) = quantity::nanos(text) {
                *text = format!("{nanos}n");
            }
        }
        Value::Number(number) if amount => {
            if let Some(nanos) = quantity::nanos(&number.to_string()) {
                *value = format!("{nanos}n").into();
            }
        }
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

/// `300.0` is 300.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    // Beyond this a float does not hold every whole number.
    let exact = float.fract() == 0.0 && float.abs() < 9e15;
    exact.then(|| format!("{float:.0}").parse().ok()).flatten()
}

/// The fields of a Pod's spec below which scalars are quantities.
fn is_amount(name: &str) -> bool {
    matches!(name, "limits" | "requests" | "sizeLimit" | "divisor")
}

/// Fields that mean something with nothing in them: which kind of volume or probe it is, and a
/// selector that selects everything.
fn speaks_by_being_there(name: &str) -> bool {
    matches!(
        name,
        "emptyDir"
            | "ephemeral"
            | "projected"
            | "exec"
            | "httpGet"
            | "tcpSocket"
            | "grpc"
            | "labelSelector"
            | "namespaceSelector"
            | "podSelector"
    )
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
#[path = "tests/canonical.rs"]
mod tests;
