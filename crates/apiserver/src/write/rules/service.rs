//! Services of the core group: ports, addresses, types.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::addresses;
use super::{cluster_ips::cluster_ips, list, named, settings};
use crate::json::object;
use crate::model::names;
use crate::model::status::Cause;

pub(super) fn service(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    let text = |path: &str| object::text_at(service, path);
    let kind = text("spec.type");
    let external = kind == "ExternalName";
    let is_headless = object::strings(object::at(service, "spec.clusterIPs")) == ["None"];
    let ports = list(service, "spec.ports");
    let mut causes = Vec::from_iter(another_address(service, old));
    if ports.is_empty() && !external && !is_headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    if is_headless && matches!(kind.as_str(), "LoadBalancer" | "NodePort") {
        let why = format!("may not be set to 'None' for {kind} services");
        causes.push(Cause::invalid("spec.clusterIPs[0]", &"None".into(), &why));
    }
    if external {
        causes.extend(external_name(service));
    }
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{at}]");
        self::port(port, &field, ports.len() > 1, &mut seen, &mut causes);
    }
    causes.extend(one_of(
        service,
        "spec.sessionAffinity",
        &["ClientIP", "None"],
    ));
    causes.extend(cluster_ips(service, old));
    for (at, ip) in object::strings(object::at(service, "spec.externalIPs"))
        .iter()
        .enumerate()
    {
        causes.extend(settings::address(ip, &format!("spec.externalIPs[{at}]")));
    }
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    causes.extend(one_of(service, "spec.type", &kinds));
    causes.extend(twice(ports));
    let from_outside = "spec.externalTrafficPolicy";
    if addresses::is_open(service) {
        causes.extend(one_of(service, from_outside, &["Cluster", "Local"]));
    } else if !text(from_outside).is_empty() {
        let why = "may only be set for externally-accessible services";
        causes.push(Cause::invalid(
            from_outside,
            &text(from_outside).into(),
            why,
        ));
    }
    causes.extend(one_of(
        service,
        "spec.internalTrafficPolicy",
        &["Cluster", "Local"],
    ));
    causes
}

/// An address that was given stays the same.
fn another_address(service: &Value, old: Option<&Value>) -> Option<Cause> {
    let is_external = |of| object::text_at(of, "spec.type") == "ExternalName";
    let old = old.filter(|old| !is_external(old) && !is_external(service))?;
    let [before, ip] = [old, service].map(|of| object::text_at(of, "spec.clusterIP"));
    (!before.is_empty() && before != ip).then(|| {
        let field = "spec.clusterIPs[0]";
        Cause::invalid(field, &json!([ip]), "may not change once set")
    })
}

/// A word that is there has to be one of these.
fn one_of(service: &Value, field: &str, supported: &[&str]) -> Option<Cause> {
    let given = object::text_at(service, field);
    let fits = given.is_empty() || supported.contains(&given.as_str());
    (!fits).then(|| Cause::not_supported(field, &given.into(), supported))
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
        .map(|(at, (protocol, number))| {
            let twice = json!({"port": number, "protocol": protocol});
            Cause::duplicate(format!("spec.ports[{at}]"), &twice)
        })
        .collect()
}

fn port(
    port: &Value,
    field: &str,
    one_of_several: bool,
    seen: &mut BTreeSet<String>,
    causes: &mut Vec<Cause>,
) {
    let name = object::text_at(port, "name");
    if name.is_empty() && one_of_several {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if !name.is_empty() {
        let field = format!("{field}.name");
        causes.extend(named(&field, &name, names::label(&name)));
        if !seen.insert(name.clone()) {
            causes.push(Cause::duplicate(field, &name.into()));
        }
    }
    let number = |key: &str| port.get(key).and_then(Value::as_i64).unwrap_or(0);
    let out_of_range = |key: &str| {
        let why = names::port(number(key))?;
        Some(Cause::invalid(
            format!("{field}.{key}"),
            &number(key).into(),
            why,
        ))
    };
    causes.extend(out_of_range("port"));
    let protocol = object::text_at(port, "protocol");
    if !matches!(protocol.as_str(), "" | "TCP" | "UDP" | "SCTP") {
        causes.push(Cause::not_supported(
            format!("{field}.protocol"),
            &protocol.into(),
            &["SCTP", "TCP", "UDP"],
        ));
    }
    match port.get("targetPort").and_then(Value::as_str) {
        Some(name) => {
            let field = format!("{field}.targetPort");
            causes.extend(named(&field, name, names::port_name(name)));
        }
        None => causes.extend(out_of_range("targetPort")),
    }
    let application = object::text_at(port, "appProtocol");
    if port.get("appProtocol").is_some() {
        let field = format!("{field}.appProtocol");
        causes.extend(named(&field, &application, names::qualified(&application)));
    }
}
