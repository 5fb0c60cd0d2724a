//! Services and what stands behind them.

use serde_json::{Value, json};

use super::{Object, each, made, put, put_if_zero, text};

pub(super) fn service(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    put_if_zero(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "ClientIP" => {
            let three_hours = json!({"clientIP": {"timeoutSeconds": 10_800}});
            put(spec, "sessionAffinityConfig", three_hours);
        }
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        _ => {}
    }
    put_if_zero(spec, "type", "ClusterIP");
    for port in each(spec, "ports") {
        put_if_zero(port, "protocol", "TCP");
        if let Some(number) = port.get("port").cloned() {
            put_if_zero(port, "targetPort", number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let has_external = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|ips| !ips.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && has_external)
    {
        put_if_zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        put(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", true);
    }
    if let Some(status) = made(object, "status") {
        // A Go struct, always written.
        put(status, "loadBalancer", json!({}));
    }
}

pub(super) fn endpoints(object: &mut Object) {
    for subset in each(object, "subsets") {
        for port in each(subset, "ports") {
            put_if_zero(port, "protocol", "TCP");
        }
    }
}

pub(super) fn endpoint_slice(object: &mut Object) {
    for port in each(object, "ports") {
        put(port, "name", "");
        put(port, "protocol", "TCP");
    }
}

pub(super) fn network_policy(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    let has_egress = matches!(spec.get("egress"), Some(Value::Array(rules)) if !rules.is_empty());
    let types = if has_egress {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    put(spec, "policyTypes", types);
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            for port in each(rule, "ports") {
                put(port, "protocol", "TCP");
            }
        }
    }
}
