//! The addresses of a Service inside the cluster, and their families: what is asked for has to fit
//! together, whether an address is given out or not.
//!
//! Source: `ValidateServiceClusterIPsRelatedFields`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::settings;
use crate::json::object;
use crate::model::status::Cause;

const FIELD: &str = "spec.clusterIPs";
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];

/// What is wrong with the addresses and families that a Service asks for.
pub fn cluster_ips(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    if object::text_at(service, "spec.type") == "ExternalName" {
        return Vec::new();
    }
    let all = object::at(service, FIELD).cloned().unwrap_or_default();
    let ips = object::strings(Some(&all));
    let mut causes = Vec::from_iter(first_of_all(service, &all));
    let families = object::strings(object::at(service, "spec.ipFamilies"));
    for (at, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{at}]");
        if !FAMILIES.contains(family) {
            causes.push(Cause::not_supported(&field, &json!(family), &FAMILIES));
        }
        if families
            .get(..at)
            .is_some_and(|before| before.contains(family))
        {
            causes.push(Cause::duplicate(&field, &json!(family)));
        }
    }
    if let Some(policy) = object::at(service, "spec.ipFamilyPolicy")
        && !POLICIES.into_iter().any(|known| policy == known)
    {
        causes.push(Cause::not_supported(
            "spec.ipFamilyPolicy",
            policy,
            &POLICIES,
        ));
    }
    let unfit = unfit(&ips, &all, old);
    let are_addresses = unfit.is_empty();
    causes.extend(unfit);
    if ips.len() > 2 {
        causes.push(Cause::invalid(FIELD, &all, "may only hold up to 2 values"));
    }
    if are_addresses {
        causes.extend(of_their_families(&ips, &families, &all));
    }
    causes
}

/// One field says the first address, another all.
fn first_of_all(service: &Value, all: &Value) -> Option<Cause> {
    let first = object::text_at(service, "spec.clusterIP");
    let ips = object::strings(Some(all));
    match (first.as_str(), ips.first()) {
        ("", None) => None,
        ("", Some(_)) => {
            let why = "must be empty when `clusterIP` is not specified";
            Some(Cause::invalid(FIELD, all, why))
        }
        (_, None) => Some(Cause::required(FIELD, "")),
        (first, Some(other)) => (first != *other)
            .then(|| Cause::invalid(FIELD, all, "first value must match `clusterIP`")),
    }
}

/// What is no address, and was none that was let through before.
fn unfit(ips: &[&str], all: &Value, old: Option<&Value>) -> Vec<Cause> {
    let had = object::strings(old.and_then(|old| object::at(old, FIELD)));
    let fault = |(at, ip): (usize, &&str)| match *ip {
        "None" if at == 0 => (ips.len() > 1)
            .then(|| Cause::invalid(FIELD, all, "'None' must be the first and only value")),
        ip if had.contains(&ip) => None,
        ip => settings::address(ip, &format!("{FIELD}[{at}]")),
    };
    ips.iter().enumerate().filter_map(fault).collect()
}

fn of_their_families(ips: &[&str], families: &[&str], all: &Value) -> Vec<Cause> {
    let is_new = |ip: &str| ip.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6());
    let mut causes = Vec::new();
    if ips.len() > 1 {
        let new = ips.iter().filter(|ip| is_new(ip)).count();
        if new == 0 || new == ips.len() {
            let why = "may specify no more than one IP for each IP family";
            causes.push(Cause::invalid(FIELD, all, why));
        }
    }
    if ips == ["None"] {
        return causes;
    }
    for (at, (ip, family)) in ips.iter().zip(families).enumerate() {
        if is_new(ip) != (*family == "IPv6") && FAMILIES.contains(family) {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
            causes.push(Cause::invalid(format!("{FIELD}[{at}]"), &json!(ip), &why));
        }
    }
    causes
}
