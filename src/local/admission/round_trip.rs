//! What decoding into Go's types and encoding again does to a serving object.
//!
//! Knative's webhook answers every write with the difference between the bytes it got
//! and their round trip through its types. That is where `resources: {}`, the empty
//! container name and canonical quantities come from, and why empty optional fields
//! vanish. A field keeps its zero value where Go holds it by pointer (`percent: 0`,
//! `enableServiceLinks: false`) and loses it where it holds it by value.

use serde_json::{Map, Value, json};

use super::quantity;

/// Strings and string-like fields held by value and left out when empty.
const TEXT: &[&str] = &[
    "apiVersion",
    "claimName",
    "configurationName",
    "defaultRequest",
    "dnsPolicy",
    "fieldPath",
    "fsType",
    "generateName",
    "host",
    "hostIP",
    "hostname",
    "image",
    "imagePullPolicy",
    "medium",
    "mountPropagation",
    "name",
    "namespace",
    "nodeName",
    "operator",
    "prefix",
    "protocol",
    "pullPolicy",
    "restartPolicy",
    "revisionName",
    "scheme",
    "schedulerName",
    "secretName",
    "serviceAccount",
    "serviceAccountName",
    "subPath",
    "subPathExpr",
    "subdomain",
    "tag",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "value",
    "workingDir",
];

/// Booleans held by value and left out when false.
const FLAGS: &[&str] = &[
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];

/// Numbers held by value and left out when zero.
const NUMBERS: &[&str] = &[
    "failureThreshold",
    "hostPort",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "timeoutSeconds",
];

/// Maps left out when empty (other empty objects mean something: `emptyDir: {}`).
const MAPS: &[&str] = &[
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "requests",
];

/// Rewrites the template of a Service or Configuration, or a Revision itself (an object
/// with `metadata` and `spec`), as the webhook's types would write it.
pub fn template(template: &mut Value) {
    materialise(template, "metadata", || json!({}));
    if let Some(metadata) = template.get_mut("metadata") {
        drop_zero_values(metadata);
    }
    if let Some(spec) = template.get_mut("spec") {
        pod_spec(spec);
    }
}

/// Rewrites a `traffic` list.
pub fn traffic(spec: &mut Value) {
    let Some(spec) = spec.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(targets)) = spec.get_mut("traffic") {
        targets.iter_mut().for_each(drop_zero_values);
    }
    if spec
        .get("traffic")
        .is_some_and(|traffic| traffic.is_null() || is_empty(traffic))
    {
        spec.remove("traffic");
    }
}

fn pod_spec(spec: &mut Value) {
    // The revision's own numbers are pointers: an explicit 0 stays.
    let own: Vec<_> = ["timeoutSeconds"]
        .into_iter()
        .filter_map(|key| Some((key, spec.get_mut(key)?.take())))
        .collect();
    drop_zero_values(spec);
    let Some(fields) = spec.as_object_mut() else {
        return;
    };
    for (key, value) in own {
        if !value.is_null() {
            fields.insert(key.to_owned(), value);
        }
    }
    for list in ["containers", "initContainers"] {
        if let Some(Value::Array(containers)) = fields.get_mut(list) {
            containers.iter_mut().for_each(container);
        }
    }
    if let Some(Value::Array(volumes)) = fields.get_mut("volumes") {
        for volume in volumes {
            if let Some(limit) = volume.pointer_mut("/emptyDir/sizeLimit") {
                canonicalise(limit);
            }
            materialise(volume, "name", || json!(""));
        }
    }
}

fn container(container: &mut Value) {
    materialise(container, "name", || json!(""));
    materialise(container, "resources", || json!({}));
    for kind in ["limits", "requests"] {
        if let Some(Value::Object(amounts)) =
            container.get_mut("resources").and_then(|r| r.get_mut(kind))
        {
            amounts.values_mut().for_each(canonicalise);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        for action in ["tcpSocket", "httpGet"] {
            if let Some(action) = container.get_mut(probe).and_then(|p| p.get_mut(action)) {
                materialise(action, "port", || json!(0));
            }
        }
    }
    if let Some(Value::Array(env)) = container.get_mut("env") {
        for variable in env {
            materialise(variable, "name", || json!(""));
            if let Some(reference) = variable.pointer_mut("/valueFrom/resourceFieldRef") {
                materialise(reference, "divisor", || json!("0"));
            }
        }
    }
}

fn materialise(object: &mut Value, key: &str, zero: impl FnOnce() -> Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(key.to_owned()).or_insert_with(zero);
    }
}

/// Writes a quantity canonically; a number (which YAML allows) becomes its text.
fn canonicalise(amount: &mut Value) {
    let text = match &*amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(canonical) = quantity::canonical(&text) {
        *amount = Value::String(canonical);
    }
}

/// Drops, at every depth, what Go's encoder leaves out.
fn drop_zero_values(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_zero_values);
            fields.retain(|key, value| !is_left_out(key, value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_zero_values),
        _ => {}
    }
}

fn is_left_out(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() && TEXT.contains(&key),
        Value::Bool(set) => !set && FLAGS.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && NUMBERS.contains(&key),
        Value::Array(items) => items.is_empty() && key != "containers",
        Value::Object(map) => map.is_empty() && MAPS.contains(&key),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_optional_fields_vanish_and_required_ones_appear() {
        let mut value = json!({
            "metadata": {"labels": {}, "name": ""},
            "spec": {
                "timeoutSeconds": 0,
                "containers": [{
                    "image": "a",
                    "command": [],
                    "stdin": false,
                    "env": [{"name": "A", "value": ""}],
                    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 2}},
                    "readinessProbe": {"tcpSocket": {}, "periodSeconds": 0},
                }],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "enableServiceLinks": false,
            },
        });
        template(&mut value);
        assert_eq!(
            value,
            json!({
                "metadata": {},
                "spec": {
                    "timeoutSeconds": 0,
                    "containers": [{
                        "name": "",
                        "image": "a",
                        "env": [{"name": "A"}],
                        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "2"}},
                        "readinessProbe": {"tcpSocket": {"port": 0}},
                    }],
                    "volumes": [{"name": "v", "emptyDir": {}}],
                    "enableServiceLinks": false,
                },
            })
        );
    }

    #[test]
    fn a_round_trip_of_a_round_trip_changes_nothing() {
        let mut once =
            json!({"spec": {"containers": [{"image": "a", "ports": [{"containerPort": 8080}]}]}});
        template(&mut once);
        assert_eq!(once["metadata"], json!({}), "held by value");
        let mut twice = once.clone();
        template(&mut twice);
        assert_eq!(once, twice);
    }

    #[test]
    fn traffic_keeps_a_percent_of_nought() {
        let mut spec = json!({"traffic": [{"tag": "", "revisionName": "a", "percent": 0}]});
        traffic(&mut spec);
        assert_eq!(
            spec,
            json!({"traffic": [{"revisionName": "a", "percent": 0}]})
        );
    }
}
