//! What changed about a service, so that its rollout has something to decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::api::delivery::Drift;
use crate::api::object::ObjectKey;
use crate::api::rollout::Phase;
use crate::api::serving::{self, TrafficTarget};

use super::digest;
use super::live::{LiveObject, is_ours};
use super::manager::Manager;
use super::normalize::{self, FieldChange};
use super::path::FieldPath;
use super::planner::{Comparison, Gate, Input, classify, gate, is_mark, who};
use super::service::ServiceIntent;
use super::steps::{Action, LeftAlone, Plan, ReleaseReason, Settled, Stage, Step, Why};
use super::takeover;

/// Tags that a rollout sets and removes; they are no part of the user's traffic.
const OWN_TAGS: [&str; 2] = ["candidate", "stable"];

/// Adds a service to a plan: a step if something about it changed.
pub(super) fn service(
    input: &Input<'_>,
    service: ServiceIntent,
    desired: &BTreeSet<ObjectKey>,
    plan: &mut Plan,
) {
    let mut reasons = Vec::new();
    let mut settled = Vec::new();
    let mut absent = Vec::new();
    for key in service.keys() {
        let live = match gate(input, &key, desired) {
            Gate::Closed(why) => {
                plan.left.push(LeftAlone {
                    object: Some(key),
                    origin: Some(service.origin.clone()),
                    why,
                });
                return;
            }
            Gate::Absent => {
                absent.push(key);
                continue;
            }
            Gate::There(live) => live,
        };
        let seen = Part::of(&service, &key);
        let wanted = seen.digest(&service);
        if input.live.is_settled(&key, &wanted, live.content) {
            continue;
        }
        let found = seen.reasons(input, &service, &live);
        if found.is_empty() {
            settled.push(Settled {
                key,
                digest: wanted,
                content: live.content,
            });
        }
        reasons.extend(found);
    }
    if let Some(name) = taken_name(input, &service) {
        plan.left.push(LeftAlone {
            object: Some(service.template_key()),
            origin: Some(service.origin.clone()),
            why: Why::NameTaken { name },
        });
    }
    if absent.len() == service.keys().len() {
        reasons = vec![ReleaseReason::New];
    } else {
        // The first delivery writes its Route last: until then it is not gone. That it began may not be stored yet.
        let first = matches!(
            phase(input, &service),
            Some(Phase::Pending | Phase::Initial | Phase::Failed)
        );
        absent.retain(|key| !first || *key != service.traffic_key());
        reasons.extend(absent.into_iter().map(ReleaseReason::Missing));
    }
    plan.settled.extend(settled);
    let (left, reasons): (Vec<_>, Vec<_>) = reasons.into_iter().partition(|reason| {
        input.drift == Drift::Report && matches!(reason, ReleaseReason::Drift { .. })
    });
    for reason in left {
        if let ReleaseReason::Drift { changed, by, .. } = reason {
            plan.left.push(LeftAlone {
                object: Some(service.template_key()),
                origin: Some(service.origin.clone()),
                why: Why::DriftLeft { changed, by },
            });
        }
    }
    if !reasons.is_empty() {
        plan.steps.push(Step {
            key: service.template_key(),
            stage: Stage::Services,
            origin: Some(service.origin.clone()),
            action: Action::Release { reasons },
        });
    }
    plan.services.push(Arc::new(service));
}

/// The name that a manifest gives its revision, where a revision of another template has it.
fn taken_name(input: &Input<'_>, service: &ServiceIntent) -> Option<String> {
    let name = service.revision_name()?;
    let key = ObjectKey::namespaced(serving::GROUP, "Revision", &service.namespace, &name);
    let revision = input.live.get(&key)?.value();
    let written = input.live.get(&service.template_key());
    let made = service.makes_revision(written.as_deref(), &revision);
    (made == Some(false)).then_some(name)
}

/// Which part of a service an object holds.
struct Part {
    template: bool,
    traffic: bool,
}

impl Part {
    fn of(service: &ServiceIntent, key: &ObjectKey) -> Self {
        Self {
            template: *key == service.template_key(),
            traffic: *key == service.traffic_key(),
        }
    }

    /// What is compared of this object, in one digest.
    fn digest(&self, service: &ServiceIntent) -> String {
        let mut parts = Vec::new();
        if self.template {
            parts.push(service.template_object(&service.template.value()));
        }
        if self.traffic {
            parts.push(service.traffic_object(&service.traffic));
            parts.push(service.traffic_problem.clone().into());
        }
        digest::of(&Value::Array(parts))
    }

    fn reasons(
        &self,
        input: &Input<'_>,
        service: &ServiceIntent,
        live: &LiveObject,
    ) -> Vec<ReleaseReason> {
        let mut reasons = Vec::new();
        if self.template {
            reasons.extend(template_reasons(input, service, live));
        } else {
            reasons.extend(metadata_reasons(input, service, live));
        }
        if self.traffic && at_rest(input, service) && traffic_differs(service, live) {
            reasons.push(ReleaseReason::Traffic);
        }
        reasons
    }
}

fn template_reasons(
    input: &Input<'_>,
    service: &ServiceIntent,
    live: &LiveObject,
) -> Vec<ReleaseReason> {
    let object = service.template_object(&service.template.value());
    let same_git = service.was_written_to(live, &object);
    let template = service.template_changes(live);
    let mut metadata = normalize::metadata_changes(&object, live, Manager::Objects);
    metadata.retain(|change| !is_mark(&change.path));
    let split = |changed: Vec<FieldChange>| -> Vec<ReleaseReason> {
        let (template, metadata): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|change| change.path.starts_with(&["spec"]));
        let mut reasons = Vec::new();
        if !template.is_empty() {
            reasons.push(ReleaseReason::Template(template));
        }
        if !metadata.is_empty() {
            reasons.push(ReleaseReason::Metadata(metadata));
        }
        reasons
    };
    let changed = template.into_iter().chain(metadata).collect();
    let mut reasons = match classify(input, live, Manager::Objects, changed, same_git) {
        Comparison::Holds => Vec::new(),
        Comparison::Foreign { from, changed } => {
            let mut reasons = vec![ReleaseReason::Adopted { from }];
            reasons.extend(split(changed));
            reasons
        }
        Comparison::Git { changed } => {
            let mut reasons = split(changed);
            if reasons.is_empty() {
                // Something was removed that only the server's record of owners shows.
                reasons.push(ReleaseReason::Metadata(Vec::new()));
            }
            reasons
        }
        Comparison::Drift { changed } => {
            let (by, at) = who(live, &changed);
            vec![ReleaseReason::Drift { changed, by, at }]
        }
    };
    let writes_template = |reason: &ReleaseReason| matches!(reason, ReleaseReason::Template(_));
    if reasons.iter().any(writes_template) {
        reasons.extend(foreign_name(live, &object));
    }
    reasons
}

/// The name that somebody else gave the template's revision, where a write of the template takes it away.
fn foreign_name(live: &LiveObject, object: &Value) -> Option<ReleaseReason> {
    if !takeover::is_foreign_name(live, object, Manager::Objects) {
        return None;
    }
    let path = FieldPath::fields(&["spec", "template", "metadata", "name"]);
    let value = live.value();
    let name = value.pointer("/spec/template/metadata/name")?.as_str()?;
    let mut others = live
        .managers
        .iter()
        .filter(|owner| !is_ours(&owner.manager));
    let by = others.find(|owner| owner.owns(&path));
    Some(ReleaseReason::RevisionName {
        name: name.to_owned(),
        by: by.map(|owner| owner.manager.clone()),
    })
}

/// A Route's metadata; its traffic is the rollout's.
fn metadata_reasons(
    input: &Input<'_>,
    service: &ServiceIntent,
    live: &LiveObject,
) -> Vec<ReleaseReason> {
    let object = service.traffic_object(&[]);
    let same_git = service.was_written_to(live, &object);
    let mut changed = normalize::metadata_changes(&object, live, Manager::Traffic);
    changed.retain(|change| !is_mark(&change.path));
    match classify(input, live, Manager::Traffic, changed, same_git) {
        Comparison::Holds => Vec::new(),
        Comparison::Foreign { from, .. } => vec![ReleaseReason::Adopted { from }],
        Comparison::Git { changed } => vec![ReleaseReason::Metadata(changed)],
        Comparison::Drift { changed } => {
            let (by, at) = who(live, &changed);
            vec![ReleaseReason::Drift { changed, by, at }]
        }
    }
}

/// While a release is on its way, traffic is nobody's business but the rollout's.
fn at_rest(input: &Input<'_>, service: &ServiceIntent) -> bool {
    matches!(phase(input, service), None | Some(Phase::Stable))
}

/// Where a service's rollout stands; none before its first pass.
fn phase(input: &Input<'_>, service: &ServiceIntent) -> Option<Phase> {
    let key = ObjectKey::namespaced(
        crate::api::GROUP,
        "ServiceRollout",
        &service.namespace,
        &service.name,
    );
    let rollout = input.live.get(&key)?.value();
    let told = rollout.pointer("/status/phase").cloned();
    Some(
        told.and_then(|phase| serde_json::from_value(phase).ok())
            .unwrap_or_default(),
    )
}

fn traffic_differs(service: &ServiceIntent, live: &LiveObject) -> bool {
    // What cannot be used changes nothing.
    if service.traffic_problem.is_some() {
        return false;
    }
    let value = live.value();
    let has: Vec<TrafficTarget> = value
        .pointer("/spec/traffic")
        .and_then(|traffic| serde_json::from_value(traffic.clone()).ok())
        .unwrap_or_default();
    !same_shape(&service.traffic, &has)
}

/// Whether live traffic is the user's shape: the same shares and tags on the same
/// revisions, where "the latest" is whichever revision the rollout has pinned.
fn same_shape(wanted: &[TrafficTarget], has: &[TrafficTarget]) -> bool {
    let all = [TrafficTarget {
        latest_revision: Some(true),
        percent: Some(100),
        ..TrafficTarget::default()
    }];
    let wanted = if wanted.is_empty() { &all } else { wanted };
    let users: BTreeSet<&str> = wanted.iter().filter_map(|t| t.tag.as_deref()).collect();
    let own = |tag: &str| OWN_TAGS.contains(&tag) && !users.contains(tag);
    let mut has: Vec<(Option<&str>, i64, Option<&str>)> = has
        .iter()
        .map(|t| {
            let tag = t.tag.as_deref();
            (
                tag.filter(|tag| !own(tag)),
                t.percent.unwrap_or(0),
                t.revision_name.as_deref(),
            )
        })
        .filter(|(tag, percent, _)| tag.is_some() || *percent > 0)
        .collect();
    for target in wanted {
        let share = target.percent.unwrap_or(0);
        if target.tag.is_none() && share == 0 {
            continue;
        }
        let at = has.iter().position(|(tag, percent, revision)| {
            *tag == target.tag.as_deref()
                && *percent == share
                && (target.revision_name.is_none() || *revision == target.revision_name.as_deref())
        });
        match at {
            Some(at) => {
                has.swap_remove(at);
            }
            None => return false,
        }
    }
    has.is_empty()
}
