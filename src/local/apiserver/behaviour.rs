//! What is particular to single built-in kinds, beyond schema and defaults.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::core::Core;
use super::resource::Resource;
use super::status::Cause;
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

/// What is wrong by the kind's own rules, beyond its schema.
pub fn validate(
    core: &Core,
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    match resource.behaviour {
        Behaviour::Pod => old.map(|old| pod_update(object, old)).unwrap_or_default(),
        Behaviour::Deployment => deployment(object, old),
        Behaviour::Service => service(object, old),
        Behaviour::Secret => old
            .map(|old| secret_update(object, old))
            .unwrap_or_default(),
        Behaviour::CustomResourceDefinition => crd::validate(core, object),
        Behaviour::Plain if resource.kind == "ConfigMap" => old
            .map(|old| immutable_data(object, old, &["data", "binaryData"]))
            .unwrap_or_default(),
        _ => Vec::new(),
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

/// Of a Pod's spec only images, the deadline and new tolerations may change.
fn pod_update(pod: &Value, old: &Value) -> Vec<Cause> {
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

fn deployment(deployment: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let selector = object::at(deployment, "spec.selector");
    if let Some(old) = old
        && object::at(old, "spec.selector") != selector
    {
        causes.push(Cause::invalid(
            "spec.selector",
            selector.unwrap_or(&Value::Null),
            "field is immutable",
        ));
    }
    let wanted = selector
        .and_then(|selector| selector.get("matchLabels"))
        .and_then(Value::as_object);
    let labels = object::at(deployment, "spec.template.metadata.labels");
    let matches = wanted.is_none_or(|wanted| {
        wanted
            .iter()
            .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    });
    if !matches {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels.unwrap_or(&Value::Null),
            "`selector` does not match template `labels`",
        ));
    }
    causes
}

fn service(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let ip = object::text_at(service, "spec.clusterIP");
    let before = old
        .map(|old| object::text_at(old, "spec.clusterIP"))
        .unwrap_or_default();
    let external = object::text_at(service, "spec.type") == "ExternalName";
    if !before.is_empty() && before != ip && !external {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &json!([ip]),
            "may not change once set",
        ));
    }
    let ports = object::at(service, "spec.ports")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if ports.is_empty() && !external && ip != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    if ports.len() > 1 {
        for (at, port) in ports.iter().enumerate() {
            if object::text_at(port, "name").is_empty() {
                causes.push(Cause::required(format!("spec.ports[{at}].name"), ""));
            }
        }
    }
    causes
}

fn secret_update(secret: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = immutable_data(secret, old, &["data"]);
    if secret.get("type") != old.get("type") {
        causes.push(Cause::invalid(
            "type",
            secret.get("type").unwrap_or(&Value::Null),
            "field is immutable",
        ));
    }
    causes
}

fn immutable_data(object: &Value, old: &Value, fields: &[&str]) -> Vec<Cause> {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if object.get("immutable") != Some(&Value::Bool(true)) {
        causes.push(Cause::forbidden(
            "immutable",
            "field is immutable when `immutable` is set",
        ));
    }
    for field in fields {
        if object.get(*field) != old.get(*field) {
            causes.push(Cause::forbidden(
                *field,
                "field is immutable when `immutable` is set",
            ));
        }
    }
    causes
}
