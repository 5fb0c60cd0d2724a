//! Services of the core group: ports, addresses, types.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::metadata::names;
use super::super::object;
use super::super::status::Cause;
use super::list;

pub(super) fn service(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |path: &str| object::text_at(service, path);
    let (kind, ip) = (text("spec.type"), text("spec.clusterIP"));
    let external = kind == "ExternalName";
    let before = old
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
    if ports.is_empty() && !external && ip != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    if external && text("spec.externalName").is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let mut names = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{at}]");
        self::port(port, &field, ports.len() > 1, &mut names, &mut causes);
    }
    if !matches!(ip.as_str(), "" | "None") && ip.parse::<IpAddr>().is_err() {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &ip.into(),
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ));
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
        if let Some(number) = port.get(key).and_then(Value::as_i64)
            && let Some(why) = names::port(number)
        {
            causes.push(Cause::invalid(
                format!("{field}.{key}"),
                &number.into(),
                why,
            ));
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
