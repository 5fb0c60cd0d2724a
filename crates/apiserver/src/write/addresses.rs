//! The addresses of Services: what a client gives stays, and one field says what the other does.
//!
//! None are given out: nothing would listen there, and names are what leads to Services here. The rules
//! are those of `k8s.io/kubernetes/pkg/registry/core/service`.

use serde_json::{Value, json};

use crate::json::object;

/// Brings the addresses of a Service in step with each other, and with its former type.
pub fn complete(service: &mut Value, old: Option<&Value>) {
    if let Some(old) = old {
        keep(service, old);
    }
    in_step(service, old);
    if let Some(old) = old {
        let_go(service, old);
    }
}

fn needs_address(service: &Value) -> bool {
    object::text_at(service, "spec.type") != "ExternalName"
}

/// An address that is given stays, whether a writer says it or not.
fn keep(service: &mut Value, old: &Value) {
    if !needs_address(old) || !needs_address(service) {
        return;
    }
    for key in ["clusterIP", "clusterIPs"] {
        let before = object::at(old, "spec")
            .and_then(|spec| spec.get(key))
            .cloned();
        let spec = object::child_mut(service, "spec");
        let is_there = spec.get(key).is_some_and(|value| value != "");
        if let (Some(before), false) = (before, is_there) {
            spec.insert(key.to_owned(), before);
        }
    }
}

/// One field says the first address, another all: who says one of them means both.
fn in_step(service: &mut Value, old: Option<&Value>) {
    let given = object::text_at(service, "spec.clusterIP");
    let all = |of: &Value| object::at(of, "spec.clusterIPs").cloned();
    let (now, before) = (all(service), old.and_then(all));
    let is_same = old.is_some_and(|old| object::text_at(old, "spec.clusterIP") == given);
    let spec = object::child_mut(service, "spec");
    match old {
        None if now.is_none() && !given.is_empty() => {
            spec.insert("clusterIPs".to_owned(), json!([given]));
        }
        Some(_) if is_same && now.is_none() && before.is_some() => {
            spec.insert("clusterIPs".to_owned(), before.unwrap_or_default());
        }
        Some(_) if !is_same && given.is_empty() && now == before => {
            spec.remove("clusterIPs");
        }
        Some(_) if !is_same && !given.is_empty() && now == before => {
            spec.insert("clusterIPs".to_owned(), json!([given]));
        }
        _ => {}
    }
}

/// Whether traffic comes from outside the cluster.
pub fn is_open(service: &Value) -> bool {
    match object::text_at(service, "spec.type").as_str() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => object::at(service, "spec.externalIPs")
            .and_then(Value::as_array)
            .is_some_and(|ips| !ips.is_empty()),
        _ => false,
    }
}

/// What only the former type needed goes, unless the writer meant it.
fn let_go(service: &mut Value, old: &Value) {
    let in_old = |key: &str| object::at(old, "spec").and_then(|spec| spec.get(key));
    let no_address = needs_address(old) && !needs_address(service);
    let closed = is_open(old) && !is_open(service);
    let spec = object::child_mut(service, "spec");
    if no_address {
        let pair = ["clusterIP", "clusterIPs"];
        if pair.into_iter().all(|key| spec.get(key) == in_old(key)) {
            pair.into_iter().for_each(|key| drop(spec.remove(key)));
        }
        for key in ["ipFamilies", "ipFamilyPolicy"] {
            if spec.get(key) == in_old(key) {
                spec.remove(key);
            }
        }
    }
    if closed && spec.get("externalTrafficPolicy") == in_old("externalTrafficPolicy") {
        spec.remove("externalTrafficPolicy");
    }
}
