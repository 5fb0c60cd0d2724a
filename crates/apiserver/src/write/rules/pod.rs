//! What a Pod must have, and what of it may change.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{list, named, settings};
use crate::api::quantity;
use crate::json::object;
use crate::model::names;
use crate::model::status::Cause;

const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const ENV_SOURCE: &str =
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";

/// What is wrong with a Pod's spec, which stands at `path`.
pub(super) fn spec(spec: Option<&Value>, path: &str) -> Vec<Cause> {
    let Some(spec) = spec else {
        return vec![Cause::required(format!("{path}.containers"), "")];
    };
    let mut causes = Vec::new();
    let mut volumes = BTreeSet::new();
    for (at, volume) in list(spec, "volumes").iter().enumerate() {
        let name = object::text_at(volume, "name");
        let field = format!("{path}.volumes[{at}]");
        let before = causes.len();
        source(volume, &field, &mut causes);
        let is_sound = causes.len() == before;
        unique_name(&name, &format!("{field}.name"), &mut volumes, &mut causes);
        if !is_sound {
            volumes.remove(&name);
        }
    }
    let mut seen = BTreeSet::new();
    if list(spec, "containers").is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    for kind in ["containers", "initContainers"] {
        for (at, one) in list(spec, kind).iter().enumerate() {
            let field = format!("{path}.{kind}[{at}]");
            let name = object::text_at(one, "name");
            unique_name(&name, &format!("{field}.name"), &mut seen, &mut causes);
            container(one, &field, &volumes, &mut causes);
            probes(one, &field, kind == "initContainers", &mut causes);
        }
    }
    tolerations(spec, path, &mut causes);
    settings::of_pod(spec, path, &mut causes);
    let policy = object::text_at(spec, "restartPolicy");
    if !matches!(policy.as_str(), "" | "Always" | "OnFailure" | "Never") {
        causes.push(Cause::not_supported(
            format!("{path}.restartPolicy"),
            &policy.into(),
            &["Always", "OnFailure", "Never"],
        ));
    }
    causes
}

fn unique_name(name: &str, field: &str, seen: &mut BTreeSet<String>, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(field, ""));
        return;
    }
    let wrong = names::label(name);
    if wrong.is_empty() && !seen.insert(name.to_owned()) {
        causes.push(Cause::duplicate(field, &name.into()));
    }
    causes.extend(named(field, name, wrong));
}

fn container(container: &Value, path: &str, volumes: &BTreeSet<String>, causes: &mut Vec<Cause>) {
    let text = |key: &str| object::text_at(container, key);
    ports(container, path, causes);
    environment(container, path, causes);
    resources(container, path, causes);
    settings::of_container(container, path, causes);
    let mut places = BTreeSet::new();
    for (at, mount) in list(container, "volumeMounts").iter().enumerate() {
        let name = object::text_at(mount, "name");
        let field = format!("{path}.volumeMounts[{at}]");
        if name.is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        }
        if !volumes.contains(&name) {
            causes.push(Cause::not_found(format!("{field}.name"), &name.into()));
        }
        let place = object::text_at(mount, "mountPath");
        if place.is_empty() {
            causes.push(Cause::required(format!("{field}.mountPath"), ""));
        }
        if !places.insert(place.clone()) {
            let field = format!("{field}.mountPath");
            causes.push(Cause::invalid(field, &place.into(), "must be unique"));
        }
    }
    if text("image").trim().is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    let policy = text("imagePullPolicy");
    if !matches!(policy.as_str(), "" | "Always" | "IfNotPresent" | "Never") {
        causes.push(Cause::not_supported(
            format!("{path}.imagePullPolicy"),
            &policy.into(),
            &["Always", "IfNotPresent", "Never"],
        ));
    }
}

/// Where a volume comes from: one place, and all that is needed to find it.
fn source(volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    /// In the order in which Kubernetes looks for them.
    const SOURCES: &[&str] = &[
        "emptyDir",
        "hostPath",
        "secret",
        "persistentVolumeClaim",
        "downwardAPI",
        "configMap",
        "projected",
        "csi",
        "ephemeral",
        "image",
    ];
    let given = SOURCES
        .iter()
        .filter(|source| volume.get(**source).is_some_and(|source| !source.is_null()));
    for (at, source) in given.enumerate() {
        let field = format!("{path}.{source}");
        if at > 0 {
            let why = "may not specify more than 1 volume type";
            causes.push(Cause::forbidden(field, why));
            continue;
        }
        let key = match *source {
            "secret" => "secretName",
            "configMap" => "name",
            "persistentVolumeClaim" => "claimName",
            _ => continue,
        };
        if object::text_at(volume, &format!("{source}.{key}")).is_empty() {
            causes.push(Cause::required(format!("{field}.{key}"), ""));
        }
    }
}

/// What asks a container how it is: one that only begins a Pod is not asked.
fn probes(container: &Value, path: &str, is_init: bool, causes: &mut Vec<Cause>) {
    let is_sidecar = object::text_at(container, "restartPolicy") == "Always";
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(given) = container.get(probe) else {
            continue;
        };
        let field = format!("{path}.{probe}");
        if is_init && !is_sidecar {
            causes.push(Cause::forbidden(
                field,
                "may not be set for init containers without restartPolicy=Always",
            ));
        } else {
            handler(given, &field, causes);
        }
    }
}

/// What a container may ask for by a name without a domain.
const RESOURCES: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// What there is beside that, to count and to limit in other places.
const COUNTED: &[&str] = &[
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether the name is one that a container may ask for.
fn resource_name(name: &str, field: &str, causes: &mut Vec<Cause>) {
    let wrong = names::qualified(name);
    let is_sound = wrong.is_empty();
    causes.extend(named(field, name, wrong));
    let is_standard = RESOURCES.contains(&name) || name.starts_with("hugepages-");
    if name.contains('/') || is_standard {
        return;
    }
    if is_sound && !COUNTED.contains(&name) {
        causes.push(Cause::invalid(
            field,
            &name.into(),
            "must be a standard resource type or fully qualified",
        ));
    }
    causes.push(Cause::invalid(
        field,
        &name.into(),
        "must be a standard resource for containers",
    ));
}

/// Nobody may ask for what there is not, for less than nothing, nor for more than he may have.
fn resources(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let amounts = |kind: &str| {
        container
            .pointer(&format!("/resources/{kind}"))?
            .as_object()
    };
    let amount = |value: &Value| value.as_str().and_then(quantity::milli);
    for kind in ["limits", "requests"] {
        for (name, value) in amounts(kind).into_iter().flatten() {
            let field = format!("{path}.resources.{kind}[{name}]");
            resource_name(name, &field, causes);
            if value.as_str().is_some_and(quantity::is_negative) {
                let why = "must be greater than or equal to 0";
                causes.push(Cause::invalid(field, value, why));
            }
        }
    }
    let Some(limits) = amounts("limits") else {
        return;
    };
    for (name, request) in amounts("requests").into_iter().flatten() {
        let Some(limit) = limits.get(name) else {
            continue;
        };
        if amount(request) > amount(limit) {
            let limit = limit.as_str().unwrap_or_default();
            causes.push(Cause::invalid(
                format!("{path}.resources.requests"),
                request,
                &format!("must be less than or equal to {name} limit of {limit}"),
            ));
        }
    }
}

fn tolerations(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (at, toleration) in list(spec, "tolerations").iter().enumerate() {
        let field = format!("{path}.tolerations[{at}]");
        let text = |key: &str| object::text_at(toleration, key);
        let (key, operator, value) = (text("key"), text("operator"), text("value"));
        if !key.is_empty() {
            causes.extend(named(&format!("{field}.key"), &key, names::qualified(&key)));
        } else if operator != "Exists" {
            causes.push(Cause::invalid(
                format!("{field}.operator"),
                &operator.as_str().into(),
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ));
        }
        let operator_field = format!("{field}.operator");
        match operator.as_str() {
            "" | "Equal" => {
                let wrong = names::label_value(&value);
                if !wrong.is_empty() {
                    let why = wrong.join(";");
                    causes.push(Cause::invalid(operator_field, &value.into(), &why));
                }
            }
            "Exists" if !value.is_empty() => causes.push(Cause::invalid(
                operator_field,
                &value.into(),
                "value must be empty when `operator` is 'Exists'",
            )),
            "Exists" => {}
            _ => causes.push(Cause::not_supported(
                operator_field,
                &operator.into(),
                &["Equal", "Exists"],
            )),
        }
        let effect = text("effect");
        if !matches!(
            effect.as_str(),
            "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute"
        ) {
            causes.push(Cause::not_supported(
                format!("{field}.effect"),
                &effect.into(),
                &["NoSchedule", "PreferNoSchedule", "NoExecute"],
            ));
        }
    }
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut taken = BTreeSet::new();
    for (at, port) in list(container, "ports").iter().enumerate() {
        let field = format!("{path}.ports[{at}]");
        let name = object::text_at(port, "name");
        if !name.is_empty() {
            let wrong = names::port_name(&name);
            if wrong.is_empty() && !taken.insert(name.clone()) {
                let name = name.as_str().into();
                causes.push(Cause::duplicate(format!("{field}.name"), &name));
            }
            causes.extend(named(&format!("{field}.name"), &name, wrong));
        }
        let number = |key: &str| port.get(key).and_then(Value::as_i64).unwrap_or(0);
        match number("containerPort") {
            // That it is missing is the schema's to say.
            0 if port.get("containerPort").is_some() => {
                causes.push(Cause::required(format!("{field}.containerPort"), ""));
            }
            0 => {}
            number => port_number(&format!("{field}.containerPort"), number, causes),
        }
        if number("hostPort") != 0 {
            port_number(&format!("{field}.hostPort"), number("hostPort"), causes);
        }
        let protocol = object::text_at(port, "protocol");
        if !matches!(protocol.as_str(), "" | "TCP" | "UDP" | "SCTP") {
            causes.push(Cause::not_supported(
                format!("{field}.protocol"),
                &protocol.into(),
                &["SCTP", "TCP", "UDP"],
            ));
        }
    }
}

fn port_number(field: &str, number: i64, causes: &mut Vec<Cause>) {
    if let Some(why) = names::port(number) {
        causes.push(Cause::invalid(field, &number.into(), why));
    }
}

fn environment(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (at, variable) in list(container, "env").iter().enumerate() {
        let field = format!("{path}.env[{at}]");
        let name = object::text_at(variable, "name");
        let fits = |c: char| matches!(c, ' '..='~') && c != '=';
        // That it is missing is the schema's to say.
        if name.is_empty() && variable.get("name").is_some() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if !name.chars().all(fits) {
            causes.push(Cause::invalid(
                format!("{field}.name"),
                &name.into(),
                ENV_NAME,
            ));
        }
        let Some(source) = variable.get("valueFrom").and_then(Value::as_object) else {
            continue;
        };
        let field = format!("{field}.valueFrom");
        if source.values().all(Value::is_null) {
            causes.push(Cause::invalid(field, &"".into(), ENV_SOURCE));
        } else if !object::text_at(variable, "value").is_empty() {
            causes.push(Cause::invalid(
                field,
                &"".into(),
                "may not be specified when `value` is not empty",
            ));
        } else if source.len() > 1 {
            causes.push(Cause::invalid(
                field,
                &"".into(),
                "may not have more than one field specified at a time",
            ));
        }
    }
}

/// A probe asks in exactly one way.
fn handler(probe: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut ways = 0;
    for way in ["exec", "httpGet", "tcpSocket", "grpc"] {
        let Some(given) = probe.get(way).filter(|given| !given.is_null()) else {
            continue;
        };
        ways += 1;
        if ways > 1 {
            causes.push(Cause::forbidden(
                format!("{path}.{way}"),
                "may not specify more than 1 handler type",
            ));
            continue;
        }
        let field = format!("{path}.{way}");
        if way == "exec" && list(given, "command").is_empty() {
            causes.push(Cause::required(format!("{field}.command"), ""));
        }
        // Templates leave the port open with a zero, and so may whoever writes a Pod
        // for this node: it is the port that the container is told to listen on.
        let port = given.get("port").and_then(Value::as_i64);
        if let Some(number) = port.filter(|number| *number != 0) {
            port_number(&format!("{field}.port"), number, causes);
        }
    }
    if ways == 0 {
        causes.push(Cause::required(path, "must specify a handler type"));
    }
}

/// Of a Pod's spec only images, the deadline and new tolerations may change.
pub(super) fn update(pod: &Value, old: &Value) -> Vec<Cause> {
    let fixed = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                object::as_map(container).remove("image");
            }
        }
        let map = object::as_map(&mut spec);
        map.remove("activeDeadlineSeconds");
        map.remove("tolerations");
        map.remove("terminationGracePeriodSeconds");
        // A Pod is bound once: nodeName may be set where it was not.
        if object::text_at(old, "spec.nodeName").is_empty() {
            map.remove("nodeName");
        }
        spec
    };
    if fixed(pod) == fixed(old) {
        return Vec::new();
    }
    vec![Cause::forbidden(
        "spec",
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    )]
}
