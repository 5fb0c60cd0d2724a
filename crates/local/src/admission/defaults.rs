//! What Knative fills into a serving object before it is checked (`*_defaults.go`).

use serde_json::{Map, Value, json};

use super::{Operation, Review, annotation, spec_of, written};
use crate::api::quantity;
use crate::child_name;

/// Seconds a request may take unless the template says otherwise.
const TIMEOUT_SECONDS: i64 = 300;
/// Seconds until the first byte unless the template says otherwise.
const RESPONSE_START_TIMEOUT_SECONDS: i64 = 300;
/// Requests at once per instance unless the template says otherwise; 0 is no limit.
const CONTAINER_CONCURRENCY: i64 = 0;

/// Fills the defaults of a Service, Configuration, Revision or Route; or says what cannot be read.
pub fn fill(review: &Review<'_>, object: &mut Value) -> Result<(), written::Misfit> {
    // An empty list of owners is one to Go.
    let owned = object
        .pointer("/metadata/ownerReferences")
        .is_some_and(Value::is_array);
    written::write_back(review.kind, object)?;
    let mut old = review.old.cloned();
    if let Some(old) = &mut old {
        written::write_back(review.kind, old)?;
        fill_kind(review.kind, Operation::Update, None, old);
    }
    fill_kind(review.kind, review.operation, old.as_ref(), object);
    let records_user = match review.kind {
        "Service" => true,
        "Configuration" | "Route" => !owned,
        _ => false,
    };
    if records_user {
        record_user(review, old.as_ref(), object);
    }
    Ok(())
}

fn fill_kind(kind: &str, operation: Operation, old: Option<&Value>, object: &mut Value) {
    match kind {
        "Service" => {
            fill_template(operation, old, object);
            if let Some(spec) = object.get_mut("spec") {
                if spec.get("traffic").is_none()
                    && let Some(spec) = spec.as_object_mut()
                {
                    spec.insert(
                        "traffic".to_owned(),
                        json!([{"percent": 100, "latestRevision": true}]),
                    );
                }
                fill_traffic(spec);
            }
        }
        "Configuration" => fill_template(operation, old, object),
        "Revision" => {
            // A Revision never changes, and new defaults would be a change.
            if operation != Operation::Update
                && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
            {
                fill_revision_spec(operation, spec);
            }
        }
        "Route" => {
            if let Some(spec) = object.get_mut("spec") {
                fill_traffic(spec);
            }
        }
        _ => {}
    }
}

fn fill_template(operation: Operation, old: Option<&Value>, object: &mut Value) {
    let Some(template) = object.pointer_mut("/spec/template") else {
        return;
    };
    // New defaults under an unchanged name of the user's own would read as a change
    // without a name change, and be refused.
    let name = |template: &Value| {
        template
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let old_name = old.and_then(|old| name(old.pointer("/spec/template")?));
    if old_name.is_some() && old_name == name(template) {
        return;
    }
    if let Some(fields) = template.as_object_mut() {
        let spec = fields.entry("spec").or_insert_with(|| json!({}));
        if let Some(spec) = spec.as_object_mut() {
            fill_revision_spec(operation, spec);
        }
    }
}

fn fill_traffic(spec: &mut Value) {
    let Some(Value::Array(targets)) = spec.get_mut("traffic") else {
        return;
    };
    for target in targets.iter_mut().filter_map(Value::as_object_mut) {
        let pinned = target
            .get("revisionName")
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty());
        target
            .entry("latestRevision")
            .or_insert_with(|| json!(!pinned));
        target.entry("percent").or_insert_with(|| json!(0));
    }
}

fn fill_revision_spec(operation: Operation, spec: &mut Map<String, Value>) {
    let timeout = match spec.get("timeoutSeconds").and_then(Value::as_i64) {
        None | Some(0) => {
            spec.insert("timeoutSeconds".to_owned(), json!(TIMEOUT_SECONDS));
            TIMEOUT_SECONDS
        }
        Some(seconds) => seconds,
    };
    if RESPONSE_START_TIMEOUT_SECONDS < timeout {
        spec.entry("responseStartTimeoutSeconds")
            .or_insert_with(|| json!(RESPONSE_START_TIMEOUT_SECONDS));
    }
    spec.entry("containerConcurrency")
        .or_insert_with(|| json!(CONTAINER_CONCURRENCY));
    name_containers(spec);
    let some = |list: &Value| list.as_array().is_some_and(|items| !items.is_empty());
    if operation == Operation::Create && spec.get("containers").is_some_and(some) {
        spec.entry("enableServiceLinks")
            .or_insert_with(|| json!(false));
    }
    let writable = writable_volumes(spec);
    let Some(Value::Array(containers)) = spec.get_mut("containers") else {
        return;
    };
    let only = containers.len() == 1;
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        let serves = only
            || container
                .get("ports")
                .and_then(Value::as_array)
                .is_some_and(|ports| !ports.is_empty());
        fill_readiness_probe(container, serves);
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            if let Some(grpc) = container
                .get_mut(probe)
                .and_then(|probe| probe.get_mut("grpc"))
                .and_then(Value::as_object_mut)
            {
                let service = grpc.entry("service").or_insert(Value::Null);
                if service.is_null() {
                    *service = json!("");
                }
            }
        }
        let Some(Value::Array(mounts)) = container.get_mut("volumeMounts") else {
            continue;
        };
        for mount in mounts.iter_mut().filter_map(Value::as_object_mut) {
            let name = mount.get("name").and_then(Value::as_str).unwrap_or("");
            if !writable.iter().any(|volume| volume == name) {
                mount.insert("readOnly".to_owned(), json!(true));
            }
        }
    }
}

/// Volumes that a container may write to; all others are mounted read-only.
fn writable_volumes(spec: &Map<String, Value>) -> Vec<String> {
    let volumes = spec.get("volumes").and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter(|volume| {
            ["emptyDir", "persistentVolumeClaim"]
                .iter()
                .any(|kind| volume.get(kind).is_some())
        })
        .filter_map(|volume| Some(volume.get("name")?.as_str()?.to_owned()))
        .collect()
}

fn name_containers(spec: &mut Map<String, Value>) {
    let mut taken: Vec<String> = ["containers", "initContainers"]
        .iter()
        .filter_map(|list| spec.get(*list)?.as_array())
        .flatten()
        .filter_map(|container| Some(container.get("name")?.as_str()?.to_owned()))
        .filter(|name| !name.is_empty())
        .collect();
    for (list, default) in [
        ("containers", "user-container"),
        ("initContainers", "init-container"),
    ] {
        let Some(Value::Array(containers)) = spec.get_mut(list) else {
            continue;
        };
        let several = containers.len() > 1;
        let mut suffix = 0;
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            let unnamed = container
                .get("name")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty);
            if !unnamed {
                continue;
            }
            let mut name = default.to_owned();
            if several || taken.contains(&name) {
                loop {
                    name = child_name::child_name(default, &format!("-{suffix}"));
                    suffix += 1;
                    if !taken.contains(&name) {
                        break;
                    }
                }
            }
            taken.push(name.clone());
            container.insert("name".to_owned(), json!(name));
        }
    }
}

fn fill_readiness_probe(container: &mut Map<String, Value>, serves: bool) {
    if serves {
        let probe = container
            .entry("readinessProbe")
            .or_insert_with(|| json!({}));
        let handled = ["tcpSocket", "httpGet", "exec", "grpc"]
            .iter()
            .any(|action| probe.get(action).is_some());
        if !handled && let Some(probe) = probe.as_object_mut() {
            // Port 0 is the serving port, whichever that is.
            probe.insert("tcpSocket".to_owned(), json!({"port": 0}));
        }
    }
    let Some(probe) = container
        .get_mut("readinessProbe")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    probe.entry("successThreshold").or_insert_with(|| json!(1));
    // Without a period Knative probes in quick succession, with limits of its own.
    if probe.contains_key("periodSeconds") {
        probe.entry("failureThreshold").or_insert_with(|| json!(3));
        probe.entry("timeoutSeconds").or_insert_with(|| json!(1));
    }
}

/// Writes who made the object, and who last changed its spec.
fn record_user(review: &Review<'_>, old: Option<&Value>, object: &mut Value) {
    let keys: &[&str] = match (review.operation, old) {
        (Operation::Update, Some(old)) if same(spec_of(old), spec_of(object)) => return,
        (Operation::Update, _) => &[annotation::LAST_MODIFIER],
        _ => &[annotation::CREATOR, annotation::LAST_MODIFIER],
    };
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        for key in keys {
            annotations.insert((*key).to_owned(), json!(review.username));
        }
    }
}

/// Whether two specs mean the same: quantities are compared by amount.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.get(key).is_some_and(|other| {
                        if matches!(key.as_str(), "limits" | "requests") {
                            same_amounts(value, other)
                        } else {
                            same(value, other)
                        }
                    })
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

fn same_amounts(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return a == b;
    };
    a.len() == b.len()
        && a.iter().all(|(key, value)| match (value, b.get(key)) {
            (Value::String(a), Some(Value::String(b))) => quantity::same_amount(a, b),
            (a, Some(b)) => a == b,
            _ => false,
        })
}
