//! Rules for probes.

use serde_json::Value;

use super::field_error::{CURRENT, FieldErrors};

/// The fields of a probe that are not its action.
const TIMES: &[&str] = &[
    "failureThreshold",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
];

/// Kinds of action, in the order of the checks, each with the word for it.
const ACTIONS: &[(&str, &str)] = &[
    ("httpGet", "httpGet"),
    ("tcpSocket", "tcpSocket"),
    ("exec", "exec"),
    ("grpc", "gRPC"),
];

/// A liveness probe. `port_name` is the serving port's name.
pub fn check(probe: &Value, port_name: &str) -> FieldErrors {
    let mut errors = FieldErrors::none();
    let mut given = Vec::new();
    for (action, word) in ACTIONS {
        let Some(body) = probe.get(action) else {
            continue;
        };
        given.push(*word);
        // Knative puts the action in front of all that was found before, too.
        errors = errors.via(action);
        if let Some(name) = body.get("port").and_then(Value::as_str)
            && !name.is_empty()
            && name != port_name
        {
            errors.add(
                FieldErrors::invalid(name, &format!("{action}.port"))
                    .details("Probe port must match container port"),
            );
        }
    }
    match given.len() {
        0 => errors.add(FieldErrors::missing_one_of([
            "httpGet",
            "tcpSocket",
            "exec",
            "grpc",
        ])),
        1 => {}
        _ => errors.add(FieldErrors::multiple_one_of(given)),
    }
    errors
}

/// A probe of a container beside the serving one, which is a feature that is off by default: none
/// of its fields may be set.
pub fn of_sidecar(probe: &Value) -> FieldErrors {
    let mut set: Vec<&str> = TIMES
        .iter()
        .copied()
        .filter(|field| probe.get(field).is_some())
        .collect();
    // The action is an embedded struct, which has no name in JSON.
    if ACTIONS
        .iter()
        .any(|(action, _)| probe.get(action).is_some())
    {
        set.push(CURRENT);
    }
    if set.is_empty() {
        FieldErrors::none()
    } else {
        FieldErrors::disallowed(set)
    }
}

/// A readiness probe: a period of 0 is Knative's own, quick probing, with its own limits.
pub fn readiness(probe: &Value, port_name: &str) -> FieldErrors {
    let number = |key: &str| probe.get(key).and_then(Value::as_i64).unwrap_or(0);
    let at_least = |key: &str, low: i64| {
        let value = number(key);
        if value < low {
            FieldErrors::out_of_bounds(value, low, i32::MAX, key)
        } else {
            FieldErrors::none()
        }
    };
    let mut errors = check(probe, port_name)
        .also(at_least("periodSeconds", 0))
        .also(at_least("initialDelaySeconds", 0))
        .also(at_least("successThreshold", 1));
    for key in ["failureThreshold", "timeoutSeconds"] {
        if number("periodSeconds") != 0 {
            errors.add(at_least(key, 1));
        } else if number(key) != 0 {
            errors.add(FieldErrors::at(
                format!("{key} is disallowed when periodSeconds is zero"),
                key,
            ));
        }
    }
    errors
}
