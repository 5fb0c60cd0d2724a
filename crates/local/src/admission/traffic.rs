//! Rules for `spec.traffic`.

use serde_json::Value;

use super::field_error::{CURRENT, FieldErrors};
use super::metadata::go_list;
use super::{list, text};
use crate::api::dns_names;

/// Whose traffic list it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A Service: its own Configuration is meant where no revision is named.
    Service,
    /// A Route: each target names a Configuration or a Revision.
    Route,
}

/// The checks of a Service's traffic, with paths from `spec`.
pub fn list_in_service(spec: &Value) -> FieldErrors {
    check(Owner::Service, spec)
}

/// The checks of a Route's traffic, with paths from `spec`.
pub fn list_in_route(spec: &Value) -> FieldErrors {
    check(Owner::Route, spec)
}

fn check(owner: Owner, spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::none();
    let mut tags: Vec<(&str, usize)> = Vec::new();
    let mut sum = 0i64;
    for (index, one) in list(spec, "traffic").iter().enumerate() {
        errors.add(target(owner, one).via_index(index));
        sum = sum.saturating_add(percent(one).unwrap_or(0));
        let tag = text(one, "tag");
        if tag.is_empty() {
            continue;
        }
        let wrong = dns_names::dns_1035_label(tag);
        if !wrong.is_empty() {
            errors.add(
                FieldErrors::invalid(
                    format!("not a DNS 1035 label: {}", go_list(&wrong)),
                    CURRENT,
                )
                .via_field_index("tag", index),
            );
        }
        match tags.iter().find(|(other, _)| *other == tag) {
            Some((_, first)) => errors.add(FieldErrors::new(
                format!("Multiple definitions for {tag:?}"),
                [format!("[{index}].tag"), format!("[{first}].tag")],
            )),
            None => tags.push((tag, index)),
        }
    }
    if sum != 100 {
        errors.add(FieldErrors::at(
            format!("Traffic targets sum to {sum}, want 100"),
            CURRENT,
        ));
    }
    errors.via("traffic")
}

fn percent(target: &Value) -> Option<i64> {
    target.get("percent").and_then(Value::as_i64)
}

fn target(owner: Owner, target: &Value) -> FieldErrors {
    let revision = text(target, "revisionName");
    let configuration = text(target, "configurationName");
    let mut errors = FieldErrors::none();
    if let Some(latest) = target.get("latestRevision").and_then(Value::as_bool)
        && latest != revision.is_empty()
    {
        errors.add(FieldErrors::at(
            format!("may not set revisionName {revision:?} when latestRevision is {latest}"),
            "latestRevision",
        ));
    }
    let qualified = |name: &str, field: &str| {
        let wrong = dns_names::qualified_name(name);
        if wrong.is_empty() {
            FieldErrors::none()
        } else {
            FieldErrors::invalid_key(name, field).details(wrong.join(", "))
        }
    };
    errors.add(if owner == Owner::Service && !configuration.is_empty() {
        FieldErrors::disallowed(["configurationName"])
    } else if !revision.is_empty() && !configuration.is_empty() {
        FieldErrors::multiple_one_of(["revisionName", "configurationName"])
    } else if !revision.is_empty() {
        qualified(revision, "revisionName")
    } else if !configuration.is_empty() {
        qualified(configuration, "configurationName")
    } else if owner == Owner::Route {
        FieldErrors::missing_one_of(["revisionName", "configurationName"])
    } else {
        FieldErrors::none()
    });
    if let Some(percent) = percent(target)
        && !(0..=100).contains(&percent)
    {
        errors.add(FieldErrors::out_of_bounds(percent, 0, 100, "percent"));
    }
    if !text(target, "url").is_empty() {
        errors.add(FieldErrors::disallowed(["url"]));
    }
    errors
}
