//! The addresses of Services: which it gets, of which families, and what cannot be had.
//!
//! Nothing listens there: names are what leads to Services here, and an address is only there
//! because clients expect one. The rules are those of `k8s.io/kubernetes/pkg/registry/core/service`,
//! on a cluster of one family.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::rules;
use crate::json::object;
use crate::model::status::Cause;
use crate::state::core::Core;

const SINGLE: &str = "SingleStack";
const BOTH: &str = "RequireDualStack";
const EITHER: &str = "PreferDualStack";

/// The range that synthetic cluster IPs come from, Kubernetes' usual one.
const CLUSTER_IPS: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const CLUSTER_IPS_MASK: u32 = 0x000f_ffff;

/// Gives a Service what it needs to be found; answers what it asks for and cannot have.
pub fn complete(core: &Core, service: &mut Value, old: Option<&Value>) -> Vec<Cause> {
    if let Some(old) = old {
        keep(service, old);
    }
    let text = |of: &Value, path: &str| object::text_at(of, path);
    if text(service, "spec.type") == "ExternalName" {
        in_step(service, old);
        if let Some(old) = old {
            let_go(service, old);
        }
        return Vec::new();
    }
    in_step(service, old);
    let causes = families(service, old);
    if !causes.is_empty() {
        return causes;
    }
    // One that was made through its status has none, and gets none.
    let gets_address = old.is_none_or(|old| !needs_address(old));
    if gets_address && text(service, "spec.clusterIP").is_empty() {
        let ip = free_cluster_ip(core, object::uid(service));
        let spec = object::child_mut(service, "spec");
        spec.insert("clusterIPs".to_owned(), json!([ip]));
        spec.insert("clusterIP".to_owned(), ip.into());
    }
    if let Some(old) = old {
        let_go(service, old);
    }
    Vec::new()
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

/// Which families of addresses it has, and by which policy.
fn families(service: &mut Value, old: Option<&Value>) -> Vec<Cause> {
    let same =
        |path: &str| old.is_some_and(|old| object::at(old, path) == object::at(service, path));
    let fields = [
        "spec.type",
        "spec.clusterIP",
        "spec.clusterIPs",
        "spec.ipFamilies",
    ];
    if fields.into_iter().all(same)
        && same("spec.ipFamilyPolicy")
        && object::text_at(service, "spec.ipFamilyPolicy") == EITHER
    {
        return Vec::new();
    }
    let selects = object::at(service, "spec.selector")
        .and_then(Value::as_object)
        .is_some_and(|selector| !selector.is_empty());
    let stands_alone = object::text_at(service, "spec.clusterIP") == "None" && !selects;
    let before = old.map(|old| object::text_at(old, "spec.ipFamilyPolicy"));
    let inferred = match before.filter(|policy| !policy.is_empty()) {
        Some(policy) => policy,
        None if stands_alone => BOTH.to_owned(),
        None => SINGLE.to_owned(),
    };
    let before = old.map_or(0, family_count);
    let is_same_families = same("spec.ipFamilies");
    let spec = object::child_mut(service, "spec");
    object::default_to(spec, "ipFamilyPolicy", inferred);
    let policy = spec.get("ipFamilyPolicy").cloned().unwrap_or_default();
    // Nothing else is told beside it.
    let causes = rules::cluster_ips(service, old);
    if !causes.is_empty() {
        return causes;
    }
    let spec = object::child_mut(service, "spec");
    let refuse = |why: &str| vec![Cause::invalid("spec.ipFamilyPolicy", &policy, why)];
    let mut families = spec
        .get("ipFamilies")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if policy == SINGLE {
        if is_same_families {
            families.truncate(1);
        }
        if families.len() == 2 {
            return refuse(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
            );
        }
    } else if !is_same_families && !families.is_empty() && families.len() < before {
        return refuse("must be 'SingleStack' to release the secondary IP family");
    }
    if families.is_empty() {
        families.push("IPv4".into());
    }
    if stands_alone {
        if policy != SINGLE && families.len() < 2 {
            let other = if families.contains(&"IPv4".into()) {
                "IPv6"
            } else {
                "IPv4"
            };
            families.push(other.into());
        }
    } else {
        let mut causes = Vec::new();
        if policy == BOTH {
            causes.extend(refuse(
                "this cluster is not configured for dual-stack services",
            ));
        }
        for (at, family) in families
            .iter()
            .enumerate()
            .filter(|(_, family)| **family != "IPv4")
        {
            let field = format!("spec.ipFamilies[{at}]");
            causes.push(Cause::invalid(
                field,
                family,
                "not configured on this cluster",
            ));
        }
        if !causes.is_empty() {
            return causes;
        }
    }
    spec.insert("ipFamilies".to_owned(), Value::Array(families));
    Vec::new()
}

fn family_count(service: &Value) -> usize {
    object::at(service, "spec.ipFamilies")
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
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

/// An address from the uid, the next ones where it is taken.
fn free_cluster_ip(core: &Core, uid: &str) -> String {
    let start = uid.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let taken: std::collections::HashSet<String> = core
        .store
        .list("services", None)
        .1
        .iter()
        .filter_map(|service| {
            let field = service
                .fields
                .iter()
                .find(|(name, _)| name == "spec.clusterIP");
            field.map(|(_, ip)| ip.clone())
        })
        .collect();
    (0..=CLUSTER_IPS_MASK)
        .map(|step| (start.wrapping_add(step) & CLUSTER_IPS_MASK).max(2))
        .map(|host| Ipv4Addr::from(CLUSTER_IPS | host).to_string())
        .find(|ip| !taken.contains(ip))
        .unwrap_or_default()
}
