//! Rules for probes.

use serde_json::Value;

use super::field_error::FieldErrors;
use super::only;

const FIELDS: &[&str] = &[
    "exec",
    "failureThreshold",
    "grpc",
    "httpGet",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "tcpSocket",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
];

/// A liveness or startup probe. `port_name` is the serving port's name.
pub fn check(probe: &Value, port_name: &str) -> FieldErrors {
    let mut errors = only(probe, FIELDS);
    let mut actions = Vec::new();
    for (action, word, fields) in [
        (
            "httpGet",
            "httpGet",
            &["host", "httpHeaders", "path", "port", "scheme"][..],
        ),
        ("tcpSocket", "tcpSocket", &["host", "port"]),
        ("exec", "exec", &["command"]),
        ("grpc", "gRPC", &["port", "service"]),
    ] {
        let Some(body) = probe.get(action) else {
            continue;
        };
        actions.push(word);
        errors.add(only(body, fields).via(action));
        if let Some(name) = body.get("port").and_then(Value::as_str)
            && !name.is_empty()
            && name != port_name
        {
            errors.add(
                FieldErrors::invalid(name, "port")
                    .details("Probe port must match container port")
                    .via(action),
            );
        }
    }
    match actions.len() {
        0 => errors.add(FieldErrors::missing_one_of([
            "httpGet",
            "tcpSocket",
            "exec",
            "grpc",
        ])),
        1 => {}
        _ => errors.add(FieldErrors::multiple_one_of(actions)),
    }
    errors
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
