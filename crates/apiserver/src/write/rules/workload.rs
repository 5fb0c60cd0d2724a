//! What makes Pods: Deployments and ReplicaSets.

use serde_json::Value;

use super::{immutable, pod};
use crate::json::object;
use crate::model::status::Cause;

pub(super) fn deployment(deployment: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = common(deployment, old, "deployment");
    if object::text_at(deployment, "spec.strategy.type") == "Recreate"
        && object::at(deployment, "spec.strategy.rollingUpdate").is_some_and(|one| !one.is_null())
    {
        causes.push(Cause::forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ));
    }
    let strategy = object::text_at(deployment, "spec.strategy.type");
    if !matches!(strategy.as_str(), "" | "Recreate" | "RollingUpdate") {
        causes.push(Cause::not_supported(
            "spec.strategy.type",
            &strategy.into(),
            &["Recreate", "RollingUpdate"],
        ));
    }
    let number = |field: &str| object::at(deployment, field).and_then(Value::as_i64);
    for field in [
        "spec.minReadySeconds",
        "spec.revisionHistoryLimit",
        "spec.progressDeadlineSeconds",
    ] {
        causes.extend(negative(field, number(field)));
    }
    let ready_after = number("spec.minReadySeconds").unwrap_or(0);
    if let Some(deadline) =
        number("spec.progressDeadlineSeconds").filter(|deadline| *deadline <= ready_after)
    {
        causes.push(Cause::invalid(
            "spec.progressDeadlineSeconds",
            &deadline.into(),
            "must be greater than minReadySeconds",
        ));
    }
    if let Some(old) = old {
        let selector = |of| object::at(of, "spec.selector");
        causes.extend(immutable(
            "spec.selector",
            selector(deployment),
            selector(old),
        ));
    }
    causes
}

fn negative(field: &str, number: Option<i64>) -> Option<Cause> {
    let number = number.filter(|number| *number < 0)?;
    let why = "must be greater than or equal to 0";
    Some(Cause::invalid(field, &number.into(), why))
}

/// What a status may say of numbers of Pods.
pub(super) fn deployment_status(deployment: &Value) -> Vec<Cause> {
    let number =
        |name: &str| object::at(deployment, &format!("status.{name}")).and_then(Value::as_i64);
    let mut causes: Vec<Cause> = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "collisionCount",
    ]
    .into_iter()
    .filter_map(|name| negative(&format!("status.{name}"), number(name)))
    .collect();
    let mut at_most = |name: &str, most: &str, why: &str| {
        let found = number(name).unwrap_or(0);
        if found > number(most).unwrap_or(0) {
            let field = format!("status.{name}");
            causes.push(Cause::invalid(field, &found.into(), why));
        }
    };
    for name in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        at_most(name, "replicas", "cannot be greater than status.replicas");
    }
    let why = "cannot be greater than readyReplicas";
    at_most("availableReplicas", "readyReplicas", why);
    causes
}

pub(super) fn replica_set(set: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = common(set, old, "replica set");
    if let Some(old) = old {
        let selector = |of| object::at(of, "spec.selector");
        causes.extend(immutable("spec.selector", selector(set), selector(old)));
    }
    causes
}

fn common(object: &Value, old: Option<&Value>, kind: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let replicas = object::at(object, "spec.replicas").and_then(Value::as_i64);
    causes.extend(negative("spec.replicas", replicas));
    let selector = object::at(object, "spec.selector");
    let labels = object::at(object, "spec.template.metadata.labels");
    if selector.is_some_and(is_empty_selector) {
        causes.push(Cause::invalid(
            "spec.selector",
            selector.unwrap_or(&Value::Null),
            &format!("empty selector is invalid for {kind}"),
        ));
    } else if !matches(selector, labels) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels.unwrap_or(&Value::Null),
            "`selector` does not match template `labels`",
        ));
    }
    // The template of what is there already is not looked at again unless it changes.
    let template = object::at(object, "spec.template");
    if old.is_none_or(|old| object::at(old, "spec.template") != template) {
        let spec = template.and_then(|template| template.get("spec"));
        causes.extend(pod::spec(spec, "spec.template.spec"));
        let policy = spec.map(|spec| object::text_at(spec, "restartPolicy"));
        if policy
            .as_deref()
            .is_some_and(|policy| !matches!(policy, "" | "Always"))
        {
            causes.push(Cause::not_supported(
                "spec.template.spec.restartPolicy",
                &policy.into(),
                &["Always"],
            ));
        }
    }
    causes
}

fn is_empty_selector(selector: &Value) -> bool {
    selector.as_object().is_some_and(|selector| {
        selector.values().all(|part| {
            part.as_object().is_some_and(serde_json::Map::is_empty)
                || part.as_array().is_some_and(Vec::is_empty)
        })
    })
}

fn matches(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector else {
        return false;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let value = |key: &str| labels?.get(key)?.as_str();
    let labels_fit = wanted
        .into_iter()
        .flatten()
        .all(|(key, wanted)| value(key).map(Value::from).as_ref() == Some(wanted));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    let expressions_fit = expressions.into_iter().flatten().all(|expression| {
        let found = value(&object::text_at(expression, "key"));
        let values = object::strings(expression.get("values"));
        match object::text_at(expression, "operator").as_str() {
            "In" => found.is_some_and(|found| values.contains(&found)),
            "NotIn" => found.is_none_or(|found| !values.contains(&found)),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            _ => false,
        }
    });
    labels_fit && expressions_fit
}
