//! Services of the core group: ports, addresses, types.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::addresses;
use super::super::metadata::names;
use super::super::object;
use super::super::status::Cause;
use super::{list, named, settings};

pub(super) fn service(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |path: &str| object::text_at(service, path);
    let (kind, ip) = (text("spec.type"), text("spec.clusterIP"));
    let external = kind == "ExternalName";
    let before = old
        .filter(|old| object::text_at(old, "spec.type") != "ExternalName")
        .map(|old| object::text_at(old, "spec.clusterIP"))
        .unwrap_or_default();
    if !before.is_empty() && before != ip && !external {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &json!([ip]),
            "may not change once set",
        ));
    }
    let ports = list(service, "spec.ports");
    let all = object::strings(object::at(service, "spec.clusterIPs"));
    if !external && !ip.is_empty() && all.is_empty() {
        causes.push(Cause::required("spec.clusterIPs", ""));
    }
    if ports.is_empty() && !external && all != ["None"] {
        causes.push(Cause::required("spec.ports", ""));
    }
    causes.extend(twice(ports));
    if external {
        causes.extend(external_name(service));
    }
    if !text("spec.externalTrafficPolicy").is_empty() && !addresses::is_open(service) {
        causes.push(Cause::invalid(
            "spec.externalTrafficPolicy",
            &text("spec.externalTrafficPolicy").into(),
            "may only be set for externally-accessible services",
        ));
    }
    for (field, supported) in [
        ("spec.sessionAffinity", ["ClientIP", "None"]),
        ("spec.internalTrafficPolicy", ["Cluster", "Local"]),
    ] {
        let given = text(field);
        if !given.is_empty() && !supported.contains(&given.as_str()) {
            causes.push(Cause::not_supported(field, &given.into(), &supported));
        }
    }
    for (at, ip) in object::strings(object::at(service, "spec.externalIPs"))
        .iter()
        .enumerate()
    {
        causes.extend(settings::address(ip, &format!("spec.externalIPs[{at}]")));
    }
    let mut names = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{at}]");
        self::port(port, &field, ports.len() > 1, &mut names, &mut causes);
    }
    if !matches!(ip.as_str(), "" | "None") {
        causes.extend(settings::address(&ip, "spec.clusterIPs[0]"));
    }
    if !matches!(
        kind.as_str(),
        "" | "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort"
    ) {
        causes.push(Cause::not_supported(
            "spec.type",
            &kind.into(),
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ));
    }
    causes
}

/// Another name for something outside has no address.
fn external_name(service: &Value) -> Vec<Cause> {
    let mut causes: Vec<Cause> = ["clusterIPs", "ipFamilies", "ipFamilyPolicy"]
        .into_iter()
        .map(|key| format!("spec.{key}"))
        .filter(|field| object::at(service, field).is_some())
        .map(|field| Cause::forbidden(field, "may not be set for ExternalName services"))
        .collect();
    let name = object::text_at(service, "spec.externalName");
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name.is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    } else {
        causes.extend(named("spec.externalName", name, names::subdomain(name)));
    }
    causes
}

/// A load balancer's addresses are a load balancer's.
pub(super) fn status(service: &Value) -> Vec<Cause> {
    let field = "status.loadBalancer.ingress";
    let is_balanced = object::text_at(service, "spec.type") == "LoadBalancer";
    let may_only = "may only be used when `spec.type` is 'LoadBalancer'";
    (!is_balanced && !list(service, field).is_empty())
        .then(|| Cause::forbidden(field, may_only))
        .into_iter()
        .collect()
}

/// What is said of fields that do nothing.
pub(super) fn warnings(service: &Value) -> Vec<String> {
    let text = |path: &str| object::text_at(service, path);
    let is_external = text("spec.type") == "ExternalName";
    let mut warnings = Vec::new();
    let has_external_ips = !list(service, "spec.externalIPs").is_empty();
    if text("spec.type") == "ClusterIP" && text("spec.clusterIP") == "None" {
        if has_external_ips {
            warnings.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if text("spec.sessionAffinity") != "None" {
            warnings.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if is_external && has_external_ips {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !is_external && !text("spec.externalName").is_empty() {
        warnings
            .push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    warnings
}

/// A port number is there once for each protocol; the rest of a port is not looked at, nor quoted.
fn twice(ports: &[Value]) -> Vec<Cause> {
    let key = |port: &Value| {
        let number = port.get("port").and_then(Value::as_i64).unwrap_or(0);
        (object::text_at(port, "protocol"), number)
    };
    let mut seen = BTreeSet::new();
    let again = ports
        .iter()
        .map(key)
        .enumerate()
        .filter(|(_, key)| !seen.insert(key.clone()));
    again
        .map(|(at, (protocol, number))| Cause {
            reason: "FieldValueDuplicate",
            message: format!(
                "Duplicate value: {{\"Name\":\"\",\"Protocol\":\"{protocol}\",\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}"
            ),
            field: format!("spec.ports[{at}]"),
        })
        .collect()
}

fn port(
    port: &Value,
    field: &str,
    one_of_several: bool,
    names: &mut BTreeSet<String>,
    causes: &mut Vec<Cause>,
) {
    let name = object::text_at(port, "name");
    if name.is_empty() && one_of_several {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if !name.is_empty() && !names.insert(name.clone()) {
        causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
    }
    for key in ["port", "targetPort"] {
        let field = format!("{field}.{key}");
        if let Some(name) = port.get(key).and_then(Value::as_str) {
            causes.extend(named(&field, name, names::port_name(name)));
            continue;
        }
        let number = port.get(key).and_then(Value::as_i64).unwrap_or(0);
        if let Some(why) = names::port(number) {
            causes.push(Cause::invalid(field, &number.into(), why));
        }
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
