//! Cells that Kubernetes computes by code, with its words for what is not there.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use super::super::resource::Resource;
use super::{age, human_duration};
use crate::json::object::{at, text_at};

const NONE: &str = "<none>";

/// A computed cell of a built-in kind.
pub fn cell(resource: &Resource, column: &str, object: &Value, now: Timestamp) -> Value {
    let count = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    match (resource.kind.as_str(), column) {
        ("Pod", "Ready") => pod_ready(object).into(),
        ("Pod", "Status") => pod_status(object).into(),
        ("Pod", "Restarts") => pod_restarts(object, now).into(),
        ("Pod", "IP") => or_none(text_at(object, "status.podIP")).into(),
        ("Pod", "Node") => or_none(text_at(object, "spec.nodeName")).into(),
        ("Pod", "Nominated Node") => or_none(text_at(object, "status.nominatedNodeName")).into(),
        ("Pod", "Readiness Gates") => NONE.into(),
        ("Service", "Cluster-IP") => or_none(text_at(object, "spec.clusterIP")).into(),
        ("Service", "External-IP") => external_ip(object).into(),
        ("Service", "Port(s)") => service_ports(object).into(),
        ("Service", "Selector") => or_none(labels(at(object, "spec.selector"))).into(),
        ("ConfigMap" | "Secret", "Data") => {
            (entries(object, "data") + entries(object, "binaryData")).into()
        }
        (_, "Age") => age(&text_at(object, "metadata.creationTimestamp"), now).into(),
        ("ServiceAccount", "Secrets") => list(object, "secrets").len().into(),
        ("Node", "External-IP") => NONE.into(),
        (_, "Users") => subjects(object, "User").into(),
        (_, "Groups") => subjects(object, "Group").into(),
        (_, "ServiceAccounts") => subjects(object, "ServiceAccount").into(),
        ("Endpoints", "Endpoints") => endpoints(object).into(),
        ("EndpointSlice", "Ports") => slice_ports(object).into(),
        ("EndpointSlice", "Endpoints") => slice_endpoints(object).into(),
        ("Node", "Status") => node_status(object).into(),
        ("Node", "Roles") => node_roles(object).into(),
        ("Deployment", "Ready") => format!(
            "{}/{}",
            count("status.readyReplicas"),
            count("spec.replicas")
        )
        .into(),
        ("Deployment", "Up-to-date") => count("status.updatedReplicas").into(),
        ("Deployment", "Available") => count("status.availableReplicas").into(),
        ("ReplicaSet", "Current") => count("status.replicas").into(),
        ("ReplicaSet", "Ready") => count("status.readyReplicas").into(),
        (_, "Containers") => joined(object, "spec.template.spec.containers", "name").into(),
        (_, "Images") => joined(object, "spec.template.spec.containers", "image").into(),
        (_, "Selector") => or_none(labels(at(object, "spec.selector.matchLabels"))).into(),
        (_, "Role") => format!(
            "{}/{}",
            text_at(object, "roleRef.kind"),
            text_at(object, "roleRef.name")
        )
        .into(),
        ("Event", column) => event(object, column, now),
        _ => Value::Null,
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        NONE.to_owned()
    } else {
        text
    }
}

fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    at(object, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn entries(object: &Value, path: &str) -> usize {
    at(object, path)
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len)
}

fn joined(object: &Value, path: &str, field: &str) -> String {
    let texts: Vec<String> = list(object, path)
        .iter()
        .map(|entry| text_at(entry, field))
        .collect();
    texts.join(",")
}

/// Whom a binding binds, of one kind.
fn subjects(binding: &Value, kind: &str) -> String {
    let names: Vec<String> = list(binding, "subjects")
        .iter()
        .filter(|subject| text_at(subject, "kind") == kind)
        .map(|subject| {
            let namespace = text_at(subject, "namespace");
            let name = text_at(subject, "name");
            if namespace.is_empty() {
                name
            } else {
                format!("{namespace}/{name}")
            }
        })
        .collect();
    names.join(", ")
}

fn labels(map: Option<&Value>) -> String {
    map.and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}

fn pod_ready(pod: &Value) -> String {
    let all = list(pod, "spec.containers").len();
    let ready = list(pod, "status.containerStatuses")
        .iter()
        .filter(|status| status.get("ready") == Some(&Value::Bool(true)))
        .count();
    format!("{ready}/{all}")
}

/// The word for a Pod's state: the worst of what its containers say.
fn pod_status(pod: &Value) -> String {
    let mut word = text_at(pod, "status.phase");
    let reason = text_at(pod, "status.reason");
    if !reason.is_empty() {
        word = reason;
    }
    let init = list(pod, "status.initContainerStatuses");
    let mut initializing = false;
    for (done, status) in init.iter().enumerate() {
        let terminated = at(status, "state.terminated");
        if terminated.is_some_and(|end| end.get("exitCode") == Some(&Value::from(0))) {
            continue;
        }
        let waiting = text_at(status, "state.waiting.reason");
        word = match terminated {
            Some(end) => format!("Init:{}", ended(end)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{done}/{}", list(pod, "spec.initContainers").len()),
        };
        initializing = true;
        break;
    }
    if !initializing {
        let mut running = false;
        for status in list(pod, "status.containerStatuses").iter().rev() {
            let waiting = text_at(status, "state.waiting.reason");
            if !waiting.is_empty() {
                word = waiting;
            } else if let Some(end) = at(status, "state.terminated") {
                word = ended(end);
            } else if at(status, "state.running").is_some()
                && status.get("ready") == Some(&Value::Bool(true))
            {
                running = true;
            }
        }
        if word == "Completed" && running {
            word = "Running".to_owned();
        }
    }
    if !text_at(pod, "metadata.deletionTimestamp").is_empty() {
        word = "Terminating".to_owned();
    }
    or_none(word)
}

fn ended(end: &Value) -> String {
    let reason = text_at(end, "reason");
    if !reason.is_empty() {
        return reason;
    }
    match end.get("signal").and_then(Value::as_i64) {
        Some(signal) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", text_at(end, "exitCode")),
    }
}

fn pod_restarts(pod: &Value, now: Timestamp) -> String {
    let statuses = list(pod, "status.containerStatuses");
    let restarts: i64 = statuses
        .iter()
        .filter_map(|status| status.get("restartCount")?.as_i64())
        .sum();
    let last = statuses
        .iter()
        .map(|status| text_at(status, "lastState.terminated.finishedAt"))
        .filter_map(|text| text.parse::<Timestamp>().ok())
        .max();
    match last {
        Some(last) if restarts > 0 => format!(
            "{restarts} ({} ago)",
            human_duration(now.as_second() - last.as_second())
        ),
        _ => restarts.to_string(),
    }
}

fn external_ip(service: &Value) -> String {
    if text_at(service, "spec.type") == "ExternalName" {
        return text_at(service, "spec.externalName");
    }
    let given: Vec<&str> = list(service, "spec.externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let balanced = joined(service, "status.loadBalancer.ingress", "ip");
    if !given.is_empty() {
        return given.join(",");
    }
    if text_at(service, "spec.type") == "LoadBalancer" && balanced.is_empty() {
        return "<pending>".to_owned();
    }
    or_none(balanced)
}

fn service_ports(service: &Value) -> String {
    let ports: Vec<String> = list(service, "spec.ports")
        .iter()
        .map(|port| {
            let mut text = text_at(port, "port");
            let node_port = text_at(port, "nodePort");
            if !node_port.is_empty() && node_port != "0" {
                let _ = write!(text, ":{node_port}");
            }
            let protocol = text_at(port, "protocol");
            let _ = write!(
                text,
                "/{}",
                if protocol.is_empty() {
                    "TCP"
                } else {
                    protocol.as_str()
                }
            );
            text
        })
        .collect();
    or_none(ports.join(","))
}

/// At most three, and how many more there are.
fn some_of(all: &[String]) -> String {
    match all {
        [] => NONE.to_owned(),
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first},{second},{third} + {} more...", rest.len())
        }
        few => few.join(","),
    }
}

fn endpoints(endpoints: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(endpoints, "subsets") {
        let ports = list(subset, "ports");
        for address in list(subset, "addresses") {
            let ip = text_at(address, "ip");
            if ports.is_empty() {
                all.push(ip);
            } else {
                all.extend(
                    ports
                        .iter()
                        .map(|port| format!("{ip}:{}", text_at(port, "port"))),
                );
            }
        }
    }
    some_of(&all)
}

fn slice_ports(slice: &Value) -> String {
    let ports: Vec<String> = list(slice, "ports")
        .iter()
        .map(|port| or_none(text_at(port, "port")))
        .collect();
    if ports.is_empty() {
        return "<unset>".to_owned();
    }
    some_of(&ports)
}

fn slice_endpoints(slice: &Value) -> String {
    let all: Vec<String> = list(slice, "endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "addresses"))
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    if all.is_empty() {
        return "<unset>".to_owned();
    }
    some_of(&all)
}

fn node_status(node: &Value) -> String {
    let ready = list(node, "status.conditions")
        .iter()
        .find(|condition| text_at(condition, "type") == "Ready");
    match ready.map(|condition| text_at(condition, "status")) {
        Some(status) if status == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    }
}

fn node_roles(node: &Value) -> String {
    let roles: Vec<&str> = at(node, "metadata.labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    or_none(roles.join(","))
}

/// Events are seen in the core group's words or in the later ones.
fn event(event: &Value, column: &str, now: Timestamp) -> Value {
    let either = |old: &str, new: &str| {
        let text = text_at(event, old);
        if text.is_empty() {
            text_at(event, new)
        } else {
            text
        }
    };
    let first_of = |paths: &[&str]| {
        paths
            .iter()
            .map(|path| text_at(event, path))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    match column {
        "Last Seen" => age(
            &first_of(&[
                "series.lastObservedTime",
                "lastTimestamp",
                "deprecatedLastTimestamp",
                "eventTime",
                "firstTimestamp",
                "metadata.creationTimestamp",
            ]),
            now,
        )
        .into(),
        "First Seen" => age(
            &first_of(&[
                "firstTimestamp",
                "deprecatedFirstTimestamp",
                "eventTime",
                "metadata.creationTimestamp",
            ]),
            now,
        )
        .into(),
        "Object" => {
            let kind = either("involvedObject.kind", "regarding.kind").to_lowercase();
            let name = either("involvedObject.name", "regarding.name");
            format!("{kind}/{name}").into()
        }
        "Subobject" => either("involvedObject.fieldPath", "regarding.fieldPath").into(),
        "Source" => {
            let component = first_of(&[
                "source.component",
                "deprecatedSource.component",
                "reportingComponent",
                "reportingController",
            ]);
            let host = either("source.host", "deprecatedSource.host");
            if host.is_empty() {
                component.into()
            } else {
                format!("{component}, {host}").into()
            }
        }
        "Message" => either("message", "note").trim().into(),
        "Count" => first_of(&["series.count", "count", "deprecatedCount"])
            .parse::<i64>()
            .unwrap_or(1)
            .into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_shows_the_worst_of_its_containers() {
        let pod =
            |status: Value| json!({"spec": {"containers": [{"name": "a"}]}, "status": status});
        let crash = pod(json!({"phase": "Running", "containerStatuses": [
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}]}));
        assert_eq!(pod_status(&crash), "CrashLoopBackOff");
        assert_eq!(pod_ready(&crash), "0/1");
        let killed = pod(json!({"phase": "Running", "containerStatuses": [
            {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}));
        assert_eq!(pod_status(&killed), "OOMKilled");
        let mut going = pod(json!({"phase": "Running"}));
        going["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(pod_status(&going), "Terminating");
    }

    #[test]
    fn ports_and_endpoints_are_joined() {
        let service = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}});
        assert_eq!(service_ports(&service), "80/TCP,53/UDP");
        let all: Vec<String> = (1..=5).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&all), "1,2,3 + 2 more...");
    }
}
