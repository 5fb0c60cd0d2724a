//! What makes and scales Pods.

use serde_json::{Value, json};

use super::pod::template;
use super::{Object, child, each, made, put, put_if_zero, text};

/// Times are written in a condition, known or not.
fn conditions(object: &mut Object, times: &[&str]) {
    let Some(status) = child(object, "status") else {
        return;
    };
    for condition in each(status, "conditions") {
        for time in times {
            condition.entry(*time).or_insert(Value::Null);
        }
        put(condition, "status", "");
        put(condition, "type", "");
    }
}

pub(super) fn deployment(object: &mut Object) {
    conditions(object, &["lastTransitionTime", "lastUpdateTime"]);
    let Some(spec) = made(object, "spec") else {
        return;
    };
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    put(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = made(spec, "strategy") {
        put_if_zero(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            put(rolling, "maxUnavailable", "25%");
            put(rolling, "maxSurge", "25%");
        }
    }
    template(spec);
}

pub(super) fn replica_set(object: &mut Object) {
    conditions(object, &["lastTransitionTime"]);
    if let Some(spec) = made(object, "spec") {
        put(spec, "replicas", 1);
        template(spec);
    }
}

pub(super) fn stateful_set(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    put_if_zero(spec, "podManagementPolicy", "OrderedReady");
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = made(spec, "updateStrategy") {
        put_if_zero(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            put(rolling, "partition", 0);
        }
    }
    if let Some(policy) = made(spec, "persistentVolumeClaimRetentionPolicy") {
        put_if_zero(policy, "whenDeleted", "Retain");
        put_if_zero(policy, "whenScaled", "Retain");
    }
    for claim in each(spec, "volumeClaimTemplates") {
        super::cluster::volume_claim(claim);
    }
    template(spec);
}

pub(super) fn daemon_set(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    put(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = made(spec, "updateStrategy") {
        put_if_zero(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            put(rolling, "maxUnavailable", 1);
            put(rolling, "maxSurge", 0);
        }
    }
    template(spec);
}

pub(super) fn job(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    // With neither given, one Pod once; a parallelism alone is a work queue.
    let is_queue = spec.contains_key("parallelism") && !spec.contains_key("completions");
    if !is_queue {
        put(spec, "completions", 1);
    }
    put(spec, "parallelism", 1);
    put(spec, "backoffLimit", 6);
    put(spec, "completionMode", "NonIndexed");
    put(spec, "suspend", false);
    let policy = if spec.contains_key("podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    put(spec, "podReplacementPolicy", policy);
    template(spec);
}

pub(super) fn cron_job(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    put_if_zero(spec, "concurrencyPolicy", "Allow");
    put(spec, "suspend", false);
    put(spec, "successfulJobsHistoryLimit", 3);
    put(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = made(spec, "jobTemplate")
        && let Some(spec) = made(job, "spec")
    {
        template(spec);
    }
}

pub(super) fn autoscaler(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    put(spec, "minReplicas", 1);
    let by_cpu = json!([{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
    }}]);
    put(spec, "metrics", by_cpu);
    if let Some(strategy) = child(spec, "behavior") {
        let up = json!({"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]});
        let down = json!({"selectPolicy": "Max", "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]});
        for (name, rules) in [("scaleUp", up), ("scaleDown", down)] {
            put(strategy, name, json!({}));
            if let (Some(given), Some(rules)) = (child(strategy, name), rules.as_object()) {
                for (field, value) in rules {
                    put(given, field, value.clone());
                }
            }
        }
    }
}
