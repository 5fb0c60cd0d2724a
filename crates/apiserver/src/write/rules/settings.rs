//! What a Pod and its containers say of users, names of hosts, spreading and environments.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::{list, named};
use crate::json::object;
use crate::model::names;
use crate::model::status::Cause;

/// No user and no group has a greater number.
const IDS: std::ops::RangeInclusive<i64> = 0..=2_147_483_647;

/// What is wrong with the settings of a whole Pod.
pub(super) fn of_pod(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    ids(spec, &["runAsUser", "runAsGroup", "fsGroup"], path, causes);
    for (at, alias) in list(spec, "hostAliases").iter().enumerate() {
        let field = format!("{path}.hostAliases[{at}]");
        let ip = object::text_at(alias, "ip");
        causes.extend(address(&ip, &format!("{field}.ip")));
        for (at, host) in object::strings(alias.get("hostnames")).iter().enumerate() {
            let field = format!("{field}.hostnames[{at}]");
            causes.extend(named(&field, host, names::subdomain(host)));
        }
    }
    spreading(list(spec, "topologySpreadConstraints"), path, causes);
}

/// What is wrong with the settings of a container.
pub(super) fn of_container(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    ids(container, &["runAsUser", "runAsGroup"], path, causes);
    let policy = object::text_at(container, "terminationMessagePolicy");
    if !matches!(policy.as_str(), "" | "File" | "FallbackToLogsOnError") {
        causes.push(Cause::not_supported(
            format!("{path}.terminationMessagePolicy"),
            &policy.into(),
            &["File", "FallbackToLogsOnError"],
        ));
    }
    for (at, from) in list(container, "envFrom").iter().enumerate() {
        let mut sources = 0;
        for source in ["configMapRef", "secretRef"] {
            let Some(given) = from.get(source).filter(|given| !given.is_null()) else {
                continue;
            };
            sources += 1;
            if object::text_at(given, "name").is_empty() {
                let field = format!("{path}.envFrom[{at}].{source}.name");
                causes.push(Cause::required(field, ""));
            }
        }
        let why = match sources {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        causes.push(Cause::invalid(format!("{path}.envFrom"), &"".into(), why));
    }
}

/// What is no address.
pub(super) fn address(ip: &str, field: &str) -> Option<Cause> {
    let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    let is_one = ip.parse::<IpAddr>().is_ok();
    (!is_one).then(|| Cause::invalid(field, &ip.into(), why))
}

fn ids(of: &Value, keys: &[&str], path: &str, causes: &mut Vec<Cause>) {
    for key in keys {
        let id = object::at(of, &format!("securityContext.{key}")).and_then(Value::as_i64);
        if let Some(id) = id.filter(|id| !IDS.contains(id)) {
            causes.push(Cause::invalid(
                format!("{path}.securityContext.{key}"),
                &id.into(),
                "must be between 0 and 2147483647, inclusive",
            ));
        }
    }
}

fn spreading(constraints: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let pair = |one: &Value| {
        (
            object::text_at(one, "topologyKey"),
            object::text_at(one, "whenUnsatisfiable"),
        )
    };
    let mut later: Vec<_> = constraints.iter().map(pair).collect();
    for (at, constraint) in constraints.iter().enumerate() {
        let field = format!("{path}.topologySpreadConstraints[{at}]");
        let skew = object::at(constraint, "maxSkew").and_then(Value::as_i64);
        let skew = skew.unwrap_or(0);
        if skew <= 0 {
            let field = format!("{field}.maxSkew");
            let why = "must be greater than zero";
            causes.push(Cause::invalid(field, &skew.into(), why));
        }
        let (key, action) = later.remove(0);
        if key.is_empty() {
            let field = format!("{field}.topologyKey");
            causes.push(Cause::required(field, "can not be empty"));
        }
        if !matches!(action.as_str(), "DoNotSchedule" | "ScheduleAnyway") {
            causes.push(Cause::not_supported(
                format!("{field}.whenUnsatisfiable"),
                &action.as_str().into(),
                &["DoNotSchedule", "ScheduleAnyway"],
            ));
        }
        let rest: BTreeSet<_> = later.iter().collect();
        if rest.contains(&(key.clone(), action.clone())) {
            let field = format!("{field}.{{topologyKey, whenUnsatisfiable}}");
            let value = format!("{{{key}, {action}}}");
            causes.push(Cause::duplicate(field, &value.into()));
        }
    }
}
