//! The addresses of Services: what a client gives stays, one field says what the other does, and who gives none
//! gets one to show.
//!
//! Nothing listens there: names are what leads to Services here. So addresses come from the uid, and none is
//! taken or freed. The rules are those of `k8s.io/kubernetes/pkg/registry/core/service`, on a cluster of one
//! family.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::rules;
use crate::json::object;
use crate::model::status::Cause;

/// Where Kubernetes' usual addresses begin; a uid's first twenty bits say the rest.
const CLUSTER_IPS: u32 = u32::from_be_bytes([10, 96, 0, 0]);

const SINGLE: &str = "SingleStack";
const BOTH: &str = "RequireDualStack";

/// Brings the addresses of a Service in step with each other, with its former type and with the cluster;
/// answers what it asks for and cannot have.
pub fn complete(service: &mut Value, old: Option<&Value>) -> Vec<Cause> {
    if let Some(old) = old {
        keep(service, old);
    }
    in_step(service, old);
    if needs_address(service) {
        let causes = families(service, old);
        if !causes.is_empty() {
            return causes;
        }
        // One that was made through its status has none, and gets none.
        let gets_one = old.is_none_or(|old| !needs_address(old));
        if gets_one && object::text_at(service, "spec.clusterIP").is_empty() {
            let ip = cluster_ip(object::uid(service));
            let spec = object::child_mut(service, "spec");
            spec.insert("clusterIPs".to_owned(), json!([ip]));
            spec.insert("clusterIP".to_owned(), ip.into());
        }
    }
    if let Some(old) = old {
        let_go(service, old);
    }
    Vec::new()
}

/// Says of which families its addresses are; or what the cluster does not have.
fn families(service: &mut Value, old: Option<&Value>) -> Vec<Cause> {
    let selects = object::at(service, "spec.selector")
        .and_then(Value::as_object)
        .is_some_and(|selector| !selector.is_empty());
    // Whose endpoints somebody else writes may have any.
    let stands_alone = object::text_at(service, "spec.clusterIP") == "None" && !selects;
    let before = old.map(|old| object::text_at(old, "spec.ipFamilyPolicy"));
    let policy = before.filter(|policy| !policy.is_empty());
    let policy = policy.unwrap_or_else(|| if stands_alone { BOTH } else { SINGLE }.to_owned());
    let spec = object::child_mut(service, "spec");
    object::default_to(spec, "ipFamilyPolicy", policy);
    let policy = spec.get("ipFamilyPolicy").cloned().unwrap_or_default();
    // Nothing else is told beside it.
    let unfit = rules::cluster_ips(service, old);
    if !unfit.is_empty() {
        return unfit;
    }
    let both = stands_alone && policy != SINGLE;
    let given = object::strings(object::at(service, "spec.ipFamilies"));
    if given.is_empty() {
        let families = if both {
            json!(["IPv4", "IPv6"])
        } else {
            json!(["IPv4"])
        };
        object::child_mut(service, "spec").insert("ipFamilies".to_owned(), families);
    }
    if stands_alone {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if policy == BOTH {
        let why = "this cluster is not configured for dual-stack services";
        causes.push(Cause::invalid("spec.ipFamilyPolicy", &policy, why));
    }
    let families = object::at(service, "spec.ipFamilies").and_then(Value::as_array);
    for (at, family) in families.into_iter().flatten().enumerate() {
        if family != "IPv4" {
            let field = format!("spec.ipFamilies[{at}]");
            causes.push(Cause::invalid(
                field,
                family,
                "not configured on this cluster",
            ));
        }
    }
    causes
}

fn cluster_ip(uid: &str) -> String {
    let digits = uid.get(..5).unwrap_or_default();
    let host = u32::from_str_radix(digits, 16).unwrap_or_default().max(2);
    Ipv4Addr::from(CLUSTER_IPS | host).to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn given(spec: Value) -> Value {
        let uid = "10002aaa-0000-4000-8000-000000000000";
        json!({"metadata": {"uid": uid}, "spec": spec})
    }

    fn completed(mut service: Value, old: Option<&Value>) -> Value {
        assert_eq!(complete(&mut service, old), Vec::new());
        service["spec"].take()
    }

    #[test]
    fn who_gives_no_address_gets_one_and_keeps_it() {
        let shown = json!({
            "type": "ClusterIP",
            "clusterIP": "10.97.0.2",
            "clusterIPs": ["10.97.0.2"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
        });
        let plain = given(json!({"type": "ClusterIP"}));
        assert_eq!(completed(plain.clone(), None), shown);
        assert_eq!(completed(plain.clone(), Some(&given(shown.clone()))), shown);
        let alias = given(json!({"type": "ExternalName"}));
        assert_eq!(completed(plain, Some(&alias)), shown);
        assert_eq!(
            completed(alias, Some(&given(shown))),
            json!({"type": "ExternalName"})
        );
    }

    #[test]
    fn who_selects_nothing_stands_on_both_families_and_nobody_else_does() {
        let alone = completed(given(json!({"clusterIP": "None"})), None);
        assert_eq!(alone["ipFamilies"], json!(["IPv4", "IPv6"]));
        assert_eq!(alone["ipFamilyPolicy"], BOTH);
        let mut selects = given(alone.clone());
        selects["spec"]["selector"] = json!({"app": "a"});
        let causes = complete(&mut selects, Some(&given(alone)));
        let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(fields, ["spec.ipFamilyPolicy", "spec.ipFamilies[1]"]);
    }
}
