//! What Knative's defaulting webhook makes of a revision template.
//!
//! Run over Git's template before it is compared with a live one, so that what
//! the server fills in never shows as a difference. Source of the rules:
//! knative/serving `pkg/apis/serving/v1/*_defaults.go` and what Serving 1.21 was
//! seen to do; the numbers are the defaults of `config-defaults`.

use serde_json::{Map, Value, json};

/// `revision-timeout-seconds` of `config-defaults`.
pub(super) const TIMEOUT_SECONDS: i64 = 300;

/// The lists of containers, and what the only one in them is called.
pub(super) const CONTAINERS: [(&str, &str); 2] = [
    ("containers", "user-container"),
    ("initContainers", "init-container"),
];

/// The template with every default that the server would fill in.
pub fn with_defaults(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        default_spec(spec);
    }
    template
}

fn default_spec(spec: &mut Map<String, Value>) {
    fill_zero(spec, "timeoutSeconds", TIMEOUT_SECONDS);
    if spec.get("timeoutSeconds").and_then(Value::as_i64) > Some(TIMEOUT_SECONDS) {
        fill(spec, "responseStartTimeoutSeconds", TIMEOUT_SECONDS.into());
    }
    fill(spec, "containerConcurrency", 0.into());
    fill(spec, "enableServiceLinks", false.into());
    let writable = writable_volumes(spec);
    let containers = count(spec, "containers");
    for (list, name) in CONTAINERS {
        let Some(list_of) = spec.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        default_names(list_of, name);
        for container in list_of.iter_mut().filter_map(Value::as_object_mut) {
            let probed = list == "containers" && (containers == 1 || has_port(container));
            default_container(container, &writable, probed);
        }
    }
}

/// How many elements a list has.
pub(super) fn count(spec: &Map<String, Value>, list: &str) -> usize {
    spec.get(list).and_then(Value::as_array).map_or(0, Vec::len)
}

/// Volumes whose mounts are not made read-only.
pub(super) fn writable_volumes(spec: &Map<String, Value>) -> Vec<String> {
    let volumes = spec.get("volumes").and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter(|volume| {
            ["emptyDir", "persistentVolumeClaim", "ephemeral"]
                .iter()
                .any(|source| volume.get(source).is_some())
        })
        .filter_map(|volume| volume.get("name")?.as_str().map(str::to_owned))
        .collect()
}

/// An only container gets the plain name, others a number behind it, past the names that are taken.
fn default_names(containers: &mut [Value], name: &str) {
    let named = |c: &Value| {
        c.get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let taken: Vec<String> = containers.iter().map(named).collect();
    let alone = containers.len() == 1;
    let mut number = 0;
    for container in containers.iter_mut() {
        if !named(container).is_empty() {
            continue;
        }
        let mut given = if alone {
            name.to_owned()
        } else {
            format!("{name}-{number}")
        };
        while taken.contains(&given) {
            number += 1;
            given = format!("{name}-{number}");
        }
        number += 1;
        if let Some(container) = container.as_object_mut() {
            container.insert("name".into(), given.into());
        }
    }
}

pub(super) fn has_port(container: &Map<String, Value>) -> bool {
    container
        .get("ports")
        .and_then(Value::as_array)
        .is_some_and(|ports| !ports.is_empty())
}

fn default_container(container: &mut Map<String, Value>, writable: &[String], probed: bool) {
    fill(container, "resources", json!({}));
    for port in objects(container, "ports") {
        fill(port, "protocol", "TCP".into());
    }
    for mount in objects(container, "volumeMounts") {
        let name = mount
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !writable.iter().any(|w| w == name) {
            mount.insert("readOnly".into(), true.into());
        }
    }
    for probe in ["livenessProbe", "startupProbe", "readinessProbe"] {
        if let Some(grpc) = container
            .get_mut(probe)
            .and_then(|p| p.get_mut("grpc"))
            .and_then(Value::as_object_mut)
        {
            fill(grpc, "service", "".into());
        }
    }
    if probed {
        default_probe(container);
    }
    // A sidecar may have no probe; one that it has gets its numbers.
    if let Some(probe) = container
        .get_mut("readinessProbe")
        .and_then(Value::as_object_mut)
    {
        fill_zero(probe, "successThreshold", 1);
        if probe
            .get("periodSeconds")
            .and_then(Value::as_i64)
            .unwrap_or(0)
            != 0
        {
            fill_zero(probe, "failureThreshold", 3);
            fill_zero(probe, "timeoutSeconds", 1);
        }
    }
}

/// The serving container is probed on its port where it does not say how.
fn default_probe(container: &mut Map<String, Value>) {
    let probe = container
        .entry("readinessProbe")
        .or_insert_with(|| json!({}));
    if probe.is_null() {
        *probe = json!({});
    }
    let Some(probe) = probe.as_object_mut() else {
        return;
    };
    let handled = ["tcpSocket", "httpGet", "exec", "grpc"]
        .iter()
        .any(|handler| probe.get(*handler).is_some_and(|h| !h.is_null()));
    if !handled {
        probe.insert("tcpSocket".into(), json!({"port": 0}));
    }
}

pub(super) fn objects<'a>(
    container: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    container
        .get_mut(list)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn fill(object: &mut Map<String, Value>, name: &str, value: Value) {
    let slot = object.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value;
    }
}

fn fill_zero(object: &mut Map<String, Value>, name: &str, value: i64) {
    let slot = object.entry(name).or_insert(Value::Null);
    if slot.is_null() || slot.as_f64() == Some(0.0) {
        *slot = value.into();
    }
}
