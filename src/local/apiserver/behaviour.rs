//! What is particular to single built-in kinds, beyond schema and defaults.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::core::Core;
use super::resource::Resource;
use super::{crd, object};

/// The kinds that need more than the one path for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing is particular.
    Plain,
    /// Graceful deletion, `/log`, an immutable spec.
    Pod,
    /// `spec.finalizers`, termination.
    Namespace,
    /// Immutable type.
    Secret,
    /// Cluster IPs.
    Service,
    /// Selector and template belong together.
    Deployment,
    /// Stored once, seen through `v1` and `events.k8s.io/v1`.
    Event,
    /// Makes further kinds.
    CustomResourceDefinition,
    /// Answered, never stored.
    Review,
}

/// Fills in what the kind's own code fills in, beyond its schema's defaults.
pub fn complete(core: &Core, resource: &Resource, object: &mut Value, old: Option<&Value>) {
    match resource.behaviour {
        Behaviour::Pod if old.is_none() => {
            let qos = quality_of_service(object);
            let status = object::child_mut(object, "status");
            object::default_to(status, "phase", "Pending");
            object::default_to(status, "qosClass", qos);
        }
        Behaviour::Namespace => {
            if old.is_none() {
                object::child_mut(object, "spec")
                    .insert("finalizers".to_owned(), json!(["kubernetes"]));
            } else if let Some(kept) = old.and_then(|old| object::at(old, "spec")) {
                // Namespaces have no other spec, and only the server finalizes them.
                object::set(object, "spec", kept.clone());
            }
        }
        Behaviour::Service => cluster_ip(core, object, old),
        Behaviour::CustomResourceDefinition => crd::complete(core, object, old),
        _ => {}
    }
}

/// The range that synthetic cluster IPs come from, Kubernetes' usual one.
const CLUSTER_IPS: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const CLUSTER_IPS_MASK: u32 = 0x000f_ffff;

/// Gives a Service an address. Nothing listens there: names are what leads to Services
/// here, and the address is only there because clients expect one.
fn cluster_ip(core: &Core, object: &mut Value, old: Option<&Value>) {
    if object::text_at(object, "spec.type") == "ExternalName" {
        return;
    }
    let given = object::text_at(object, "spec.clusterIP");
    let before = old
        .map(|old| object::text_at(old, "spec.clusterIP"))
        .unwrap_or_default();
    let ip = match (given.as_str(), before.as_str()) {
        ("", "") => free_cluster_ip(core, object::uid(object)),
        ("", before) => before.to_owned(),
        (given, _) => given.to_owned(),
    };
    let spec = object::child_mut(object, "spec");
    spec.insert("clusterIPs".to_owned(), json!([ip]));
    spec.insert("clusterIP".to_owned(), ip.into());
    object::default_to(spec, "ipFamilies", json!(["IPv4"]));
    object::default_to(spec, "ipFamilyPolicy", "SingleStack");
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

/// `Guaranteed`, `Burstable` or `BestEffort`, by the containers' requests and limits.
fn quality_of_service(pod: &Value) -> &'static str {
    let containers = object::at(pod, "spec.containers")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let value = |container: &Value, kind: &str, of: &str| {
        object::text_at(container, &format!("resources.{kind}.{of}"))
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers {
        for of in ["cpu", "memory"] {
            let (limit, request) = (
                value(container, "limits", of),
                value(container, "requests", of),
            );
            any |= !limit.is_empty() || !request.is_empty();
            guaranteed &= !limit.is_empty() && (request.is_empty() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
