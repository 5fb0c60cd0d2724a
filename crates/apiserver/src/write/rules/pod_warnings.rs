//! What is said of Pods that will not do what their writer may think.
//!
//! Source: `k8s.io/kubernetes/pkg/api/pod/warnings.go`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::list;
use crate::api::quantity;
use crate::json::object;

/// The warnings about a Pod or a template of Pods, which stands at `path`.
pub(super) fn of(pod: &Value, path: &str) -> Vec<String> {
    let path = format!("{path}spec");
    let mut warnings = Vec::new();
    for (at, constraint) in list(pod, "spec.topologySpreadConstraints")
        .iter()
        .enumerate()
    {
        if constraint.get("labelSelector").is_none_or(Value::is_null) {
            warnings.push(format!(
                "{path}.topologySpreadConstraints[{at}].labelSelector: a null labelSelector results in matching no pod"
            ));
        }
    }
    for (field, key) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let items = list(pod, &format!("spec.{field}"));
        let texts: Vec<String> = items
            .iter()
            .map(|item| object::text_at(item, key))
            .collect();
        for (at, text) in texts.iter().enumerate() {
            if texts.iter().take(at).any(|before| before == text) {
                warnings.push(format!(
                    "{path}.{field}[{at}].{key}: duplicate {key} {text:?}"
                ));
            }
        }
        for (at, text) in texts.iter().enumerate() {
            if key == "name" && text.is_empty() {
                warnings.push(format!(
                    "{path}.{field}[{at}].{key}: invalid empty name \"\""
                ));
            }
        }
    }
    let containers: Vec<(String, &Value)> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|kind| {
            let all = list(pod, &format!("spec.{kind}")).iter().enumerate();
            all.map(|(at, one)| (format!("{path}.{kind}[{at}]"), one))
                .collect::<Vec<_>>()
        })
        .collect();
    for (path, container) in &containers {
        fractions(container, path, &mut warnings);
        hidden_variables(container, path, &mut warnings);
    }
    ports(&containers, &mut warnings);
    warnings
}

/// Bytes come whole.
fn fractions(container: &Value, path: &str, warnings: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        for kind in ["limits", "requests"] {
            let amount = container
                .pointer(&format!("/resources/{kind}/{name}"))
                .and_then(Value::as_str);
            if let Some(amount) = amount
                && quantity::milli(amount).is_some_and(|milli| milli % 1000 != 0)
            {
                warnings.push(format!(
                    "{path}.resources.{kind}[{name}]: fractional byte value {amount:?} is invalid, must be an integer"
                ));
            }
        }
    }
}

fn hidden_variables(container: &Value, path: &str, warnings: &mut Vec<String>) {
    let variables = list(container, "env");
    for (at, variable) in variables.iter().enumerate() {
        let name = object::text_at(variable, "name");
        let is_there = |one: &Value| object::text_at(one, "name") == name;
        if !variables.iter().take(at).any(is_there) {
            continue;
        }
        let value = object::text_at(variable, "value");
        let reference = format!("$({name})");
        if variable.get("valueFrom").is_some() || value == reference || !value.contains(&reference)
        {
            warnings.push(format!(
                "{path}.env[{at}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
}

fn ports(containers: &[(String, &Value)], warnings: &mut Vec<String>) {
    let all = || {
        containers.iter().flat_map(|(path, container)| {
            let ports = list(container, "ports").iter().enumerate();
            ports.map(move |(at, port)| (format!("{path}.ports[{at}]"), port))
        })
    };
    let mut seen: BTreeMap<(String, String), Vec<(String, &Value)>> = BTreeMap::new();
    for (path, port) in all() {
        let text = |key: &str| object::text_at(port, key);
        let others = seen
            .entry((text("containerPort"), text("protocol")))
            .or_default();
        for (other, before) in others.iter() {
            let same = |key: &str| text(key) == object::text_at(before, key);
            let how = if same("hostIP") && same("hostPort") {
                "duplicate"
            } else if text("hostPort").is_empty() || object::text_at(before, "hostPort").is_empty()
            {
                "overlapping"
            } else if same("hostPort")
                && text("hostIP").is_empty() != object::text_at(before, "hostIP").is_empty()
            {
                "dangerously ambiguous"
            } else {
                continue;
            };
            warnings.push(format!("{path}: {how} port definition with {other}"));
        }
        others.push((path, port));
    }
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (path, port) in all() {
        let name = object::text_at(port, "name");
        match names.get(&name) {
            _ if name.is_empty() => {}
            Some(other) => warnings.push(format!(
                "{path}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}"
            )),
            None => {
                names.insert(name, path);
            }
        }
    }
}
