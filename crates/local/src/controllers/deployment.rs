//! A Deployment makes its Pods itself: there are no ReplicaSets here.
//!
//! A Pod carries the hash of the template that it was made from. Where the template
//! changes, new Pods come first and old ones go as the new become ready, within the
//! Deployment's surge; the words of the status are those of Kubernetes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::conditions::to_seconds;
use super::decision::{Decision, Step};
use super::kind::Kind;
use super::object::{Object, ObjectExt, condition_in, controller_reference, integer, new, text};
use super::revision_children::fnv;
use crate::child_name::child_name;

/// The label with the hash of a Pod's template.
const HASH: &str = "pod-template-hash";
const AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// What is there already for a Deployment.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The Pods that it controls.
    pub pods: &'a [Arc<Object>],
    /// Pods made but not seen yet: they count, so that none is made twice.
    pub expected: usize,
    /// Why the last Pod could not be made.
    pub create_error: Option<&'a str>,
}

/// What is to be done for a Deployment. `suffix` gives the last part of a new Pod's name.
pub fn decide(
    deployment: &Object,
    seen: Seen<'_>,
    mut suffix: impl FnMut() -> String,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    if deployment.is_terminating() {
        return decision;
    }
    let hash = template_hash(deployment);
    let count = Count::of(deployment, seen, &hash, now);
    for _ in 0..count.to_create {
        decision.create(Kind::Pod, pod(deployment, &hash, &suffix()));
    }
    for name in &count.to_delete {
        decision.then(Step::Delete(Kind::Pod, name.clone()));
    }
    let progress = progress(deployment, &count, now);
    if let Some(deadline) = progress.deadline {
        let wait = Duration::try_from(deadline.duration_since(now)).unwrap_or(Duration::ZERO);
        decision.again_within(wait + Duration::from_secs(1));
    }
    if let Some(next) = count.next_available {
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO);
        decision.again_within(wait + Duration::from_millis(50));
    }
    decision.status = Some(status(deployment, seen, &count, progress.condition, now));
    decision
}

/// The hash of the template, by which its Pods are known.
pub fn template_hash(deployment: &Object) -> String {
    let template = deployment.spec().get("template").unwrap_or(&Value::Null);
    format!("{:08x}", fnv(&template.to_string()))
}

/// The Pods as they stand, and what to do about them.
#[derive(Debug, Default)]
struct Count {
    wanted: usize,
    total: usize,
    updated: usize,
    ready: usize,
    available: usize,
    to_create: usize,
    to_delete: BTreeSet<String>,
    /// When the next ready Pod has been ready for long enough.
    next_available: Option<Timestamp>,
}

/// How far a Pod is, worst first: the order in which Pods are given up.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth<'a> {
    available: bool,
    ready: bool,
    running: bool,
    created: std::cmp::Reverse<Timestamp>,
    name: &'a str,
}

impl Count {
    fn of(deployment: &Object, seen: Seen<'_>, hash: &str, now: Timestamp) -> Self {
        let spec = deployment.spec();
        let wanted = usize::try_from(integer(spec, "replicas").unwrap_or(1)).unwrap_or(0);
        let min_ready = SignedDuration::from_secs(integer(spec, "minReadySeconds").unwrap_or(0));
        let mut count = Self {
            wanted,
            ..Self::default()
        };
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for pod in seen.pods.iter().filter(|pod| is_active(pod)) {
            let ready_since = ready_since(pod);
            let available_at = ready_since.and_then(|since| since.checked_add(min_ready).ok());
            let worth = Worth {
                available: available_at.is_some_and(|at| at <= now),
                ready: ready_since.is_some(),
                running: text(pod.status(), "phase") == "Running",
                created: std::cmp::Reverse(
                    pod.metadata
                        .creation_timestamp
                        .as_ref()
                        .map_or(Timestamp::MAX, |time| time.0),
                ),
                name: pod.name(),
            };
            if !worth.available
                && let Some(at) = available_at
            {
                count.next_available = Some(count.next_available.map_or(at, |next| next.min(at)));
            }
            count.ready += usize::from(worth.ready);
            count.available += usize::from(worth.available);
            if pod.label(HASH) == Some(hash) {
                new.push(worth);
            } else {
                old.push(worth);
            }
        }
        new.sort();
        old.sort();
        count.updated = new.len();
        count.total = new.len() + old.len();
        count.plan(deployment, seen.expected, &new, &old);
        count
    }

    fn plan(&mut self, deployment: &Object, expected: usize, new: &[Worth<'_>], old: &[Worth<'_>]) {
        let (surge, unavailable) = rolling(deployment, self.wanted);
        let coming = self.updated + expected;
        if coming < self.wanted {
            let room = (self.wanted + surge).saturating_sub(self.total + expected);
            self.to_create = (self.wanted - coming).min(room);
        }
        for pod in new.iter().take(self.updated.saturating_sub(self.wanted)) {
            self.to_delete.insert(pod.name.to_owned());
        }
        // Old Pods that serve nobody go at once; others as new ones take over.
        let floor = self.wanted.saturating_sub(unavailable);
        let mut spare = self.available.saturating_sub(floor);
        for pod in old {
            if !pod.available {
                self.to_delete.insert(pod.name.to_owned());
            } else if spare > 0 {
                spare -= 1;
                self.to_delete.insert(pod.name.to_owned());
            }
        }
    }
}

/// How many Pods may be too many, and too few, during a replacement.
fn rolling(deployment: &Object, wanted: usize) -> (usize, usize) {
    let strategy = deployment.spec().get("strategy").unwrap_or(&Value::Null);
    if text(strategy, "type") == "Recreate" {
        return (0, wanted);
    }
    let share = |key: &str, up: bool| -> usize {
        let value = strategy.pointer(&format!("/rollingUpdate/{key}"));
        match value {
            Some(Value::Number(number)) => number
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(0),
            other => {
                // 25 % is Kubernetes' default for both.
                let percent = other
                    .and_then(Value::as_str)
                    .and_then(|text| text.strip_suffix('%')?.parse::<usize>().ok())
                    .unwrap_or(25);
                let hundredths = wanted * percent;
                if up {
                    hundredths.div_ceil(100)
                } else {
                    hundredths / 100
                }
            }
        }
    };
    let (surge, unavailable) = (share("maxSurge", true), share("maxUnavailable", false));
    if surge == 0 && unavailable == 0 {
        return (0, 1);
    }
    (surge, unavailable)
}

fn is_active(pod: &Object) -> bool {
    !pod.is_terminating() && !matches!(text(pod.status(), "phase"), "Succeeded" | "Failed")
}

fn ready_since(pod: &Object) -> Option<Timestamp> {
    let ready = condition_in(pod.status(), "Ready")?;
    if text(ready, "status") != "True" {
        return None;
    }
    // A Pod without a time has been ready since it was made.
    Some(
        text(ready, "lastTransitionTime")
            .parse()
            .unwrap_or(Timestamp::MIN),
    )
}

/// A Pod of the Deployment's template.
fn pod(deployment: &Object, hash: &str, suffix: &str) -> Object {
    let template = deployment.spec().get("template").unwrap_or(&Value::Null);
    let mut metadata: ObjectMeta = template
        .get("metadata")
        .cloned()
        .and_then(|metadata| serde_json::from_value(metadata).ok())
        .unwrap_or_default();
    let prefix = child_name(deployment.name(), &format!("-{hash}-"));
    metadata.name = Some(format!("{prefix}{suffix}"));
    metadata.generate_name = Some(prefix);
    metadata.namespace = Some(deployment.namespace().to_owned());
    metadata
        .labels
        .get_or_insert_default()
        .insert(HASH.to_owned(), hash.to_owned());
    metadata.owner_references = Some(vec![controller_reference(Kind::Deployment, deployment)]);
    let mut data = Map::new();
    data.insert(
        "spec".to_owned(),
        template.get("spec").cloned().unwrap_or_else(|| json!({})),
    );
    new(Kind::Pod, metadata, data)
}

struct Progress {
    condition: Option<Value>,
    /// When the Deployment fails unless something moves.
    deadline: Option<Timestamp>,
}

/// The `Progressing` condition: it moves while Pods come up, is over when all are there,
/// and fails when nothing moved for as long as the deadline says.
fn progress(deployment: &Object, count: &Count, now: Timestamp) -> Progress {
    let name = deployment.name();
    let old = deployment.condition("Progressing");
    let old_reason = old.map_or("", |condition| text(condition, "reason"));
    let done = count.total == count.updated
        && count.updated == count.wanted
        && count.available == count.wanted;
    let keep = |deadline| Progress {
        condition: old.cloned(),
        deadline,
    };
    if old.is_none() {
        let message = format!("Created new replica set {name:?}");
        return Progress {
            condition: Some(progressing(
                "True",
                "NewReplicaSetCreated",
                &message,
                None,
                now,
            )),
            deadline: deadline(deployment, now),
        };
    }
    if done {
        let message = format!("Deployment {name:?} has successfully progressed.");
        if old_reason == AVAILABLE {
            return keep(None);
        }
        return Progress {
            condition: Some(progressing("True", AVAILABLE, &message, old, now)),
            deadline: None,
        };
    }
    // Once all was there, losing a Pod or being scaled is no roll-out.
    if old_reason == AVAILABLE && count.total == count.updated {
        return keep(None);
    }
    let status = deployment.status();
    let before = |key: &str| usize::try_from(integer(status, key).unwrap_or(0)).unwrap_or(0);
    let moved = count.updated > before("updatedReplicas")
        || count.ready > before("readyReplicas")
        || count.available > before("availableReplicas");
    if moved || old_reason == AVAILABLE {
        let message = format!("Deployment {name:?} is progressing.");
        return Progress {
            condition: Some(progressing("True", "ReplicaSetUpdated", &message, old, now)),
            deadline: deadline(deployment, now),
        };
    }
    if old_reason == TIMED_OUT {
        return keep(None);
    }
    let since = old
        .and_then(|condition| text(condition, "lastUpdateTime").parse().ok())
        .unwrap_or(now);
    match deadline(deployment, since) {
        Some(deadline) if deadline <= now => {
            let message = format!("Deployment {name:?} has timed out progressing.");
            Progress {
                condition: Some(progressing("False", TIMED_OUT, &message, old, now)),
                deadline: None,
            }
        }
        deadline => keep(deadline),
    }
}

fn deadline(deployment: &Object, since: Timestamp) -> Option<Timestamp> {
    // 600 s: Kubernetes' default.
    let seconds = integer(deployment.spec(), "progressDeadlineSeconds").unwrap_or(600);
    since.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn progressing(
    status: &str,
    reason: &str,
    message: &str,
    old: Option<&Value>,
    now: Timestamp,
) -> Value {
    condition("Progressing", status, reason, message, old, now)
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    old: Option<&Value>,
    now: Timestamp,
) -> Value {
    let now = to_seconds(now);
    let transition = old
        .filter(|old| text(old, "status") == status)
        .map_or(now.as_str(), |old| text(old, "lastTransitionTime"));
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": transition,
    })
}

fn status(
    deployment: &Object,
    seen: Seen<'_>,
    count: &Count,
    progress: Option<Value>,
    now: Timestamp,
) -> Map<String, Value> {
    let mut status = Map::new();
    status.insert(
        "observedGeneration".to_owned(),
        json!(deployment.generation()),
    );
    for (key, number) in [
        ("replicas", count.total),
        ("updatedReplicas", count.updated),
        ("readyReplicas", count.ready),
        ("availableReplicas", count.available),
        (
            "unavailableReplicas",
            count
                .wanted
                .max(count.total)
                .saturating_sub(count.available),
        ),
    ] {
        if number > 0 {
            status.insert(key.to_owned(), json!(number));
        }
    }
    let mut conditions = Vec::new();
    let floor = count
        .wanted
        .saturating_sub(rolling(deployment, count.wanted).1);
    let (state, reason, message) = if count.available >= floor {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    let old = deployment.condition("Available");
    conditions.push(
        match old.filter(|old| text(old, "status") == state && text(old, "reason") == reason) {
            Some(old) => old.clone(),
            None => condition("Available", state, reason, message, old, now),
        },
    );
    conditions.extend(progress);
    if let Some(error) = seen.create_error {
        let old = deployment.condition("ReplicaFailure");
        conditions.push(match old.filter(|old| text(old, "message") == error) {
            Some(old) => old.clone(),
            None => condition("ReplicaFailure", "True", "FailedCreate", error, old, now),
        });
    }
    status.insert("conditions".to_owned(), Value::Array(conditions));
    status
}
