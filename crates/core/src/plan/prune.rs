//! What is deleted because Git no longer has it, and everything that speaks against it.

use std::collections::BTreeSet;

use crate::api::object::ObjectKey;
use crate::api::serving;
use crate::render::Broken;

use super::annotations;
use super::planner::Input;
use super::steps::{Action, LeftAlone, Plan, Stage, Step, Why};

/// Adds the deletions to a plan, and fills its inventory.
pub(super) fn prune(input: &Input<'_>, desired: &BTreeSet<ObjectKey>, plan: &mut Plan) {
    let mut inventory = desired.clone();
    let unreadable: BTreeSet<ObjectKey> = plan
        .left
        .iter()
        .filter_map(|left| left.object.clone())
        .flat_map(written_as)
        .collect();
    let broken = input.rendered.broken();
    for key in input.inventory {
        if desired.contains(key) {
            continue;
        }
        match verdict(input, desired, &unreadable, &broken, key) {
            PruneDecision::Gone => {}
            PruneDecision::Delete { uid, version } => {
                inventory.insert(key.clone());
                plan.steps.push(Step {
                    key: key.clone(),
                    stage: Stage::Prune,
                    origin: None,
                    action: Action::Prune { uid, version },
                });
            }
            PruneDecision::Keep(why) => {
                inventory.insert(key.clone());
                plan.left.push(LeftAlone {
                    object: Some(key.clone()),
                    origin: None,
                    why,
                });
            }
            PruneDecision::Forget(why) => plan.left.push(LeftAlone {
                object: Some(key.clone()),
                origin: None,
                why,
            }),
            PruneDecision::Said => {
                inventory.insert(key.clone());
            }
        }
    }
    plan.inventory = inventory.into_iter().collect();
}

enum PruneDecision {
    /// The cluster does not have it any more.
    Gone,
    Delete {
        uid: String,
        version: String,
    },
    /// It stays, and stays in the inventory.
    Keep(Why),
    /// It stays, and is no longer our business.
    Forget(Why),
    /// It stays, for a reason that the plan gives already.
    Said,
}

fn verdict(
    input: &Input<'_>,
    desired: &BTreeSet<ObjectKey>,
    unreadable: &BTreeSet<ObjectKey>,
    broken: &[Broken],
    key: &ObjectKey,
) -> PruneDecision {
    // The inventory stands in a status, and whoever may write that could put anything into it.
    if !input.rendered.to().admits(key) {
        return if unreadable.contains(key) {
            PruneDecision::Said
        } else {
            PruneDecision::Keep(Why::Outside(input.rendered.to().delivery.namespace.clone()))
        };
    }
    let Some(live) = input.live.get(key) else {
        // To forget an object that we merely cannot see would leak it.
        return if input.live.would_show(key) {
            PruneDecision::Gone
        } else {
            PruneDecision::Keep(Why::NotSeen)
        };
    };
    if let Some(other) = input.elsewhere.claimant(key) {
        return PruneDecision::Forget(Why::MovedTo(other.clone()));
    }
    match &live.delivery {
        Some(delivery) if *delivery == input.rendered.to().delivery => {}
        Some(other) => return PruneDecision::Forget(Why::MovedTo(other.clone())),
        None => return PruneDecision::Forget(Why::NotOurs),
    }
    // The mark is a copy of its owner's, and it goes with its owner.
    if live.controlled {
        return PruneDecision::Forget(Why::NotOurs);
    }
    if live.deleting {
        return PruneDecision::Keep(Why::Terminating);
    }
    if is_other_form(key, desired) {
        return PruneDecision::Keep(Why::OtherForm);
    }
    if unreadable.contains(key) {
        return PruneDecision::Said;
    }
    if let Some(broken) = broken.iter().find(|broken| {
        !broken.complete
            || broken
                .keys
                .iter()
                .any(|broken| written_as(broken.clone()).contains(key))
    }) {
        return PruneDecision::Keep(Why::BrokenFile {
            origin: broken.origin.clone(),
        });
    }
    if !input.prune {
        return PruneDecision::Keep(Why::PruneOff);
    }
    if input.rendered.is_of_nothing() {
        return PruneDecision::Keep(Why::EmptyRender);
    }
    match annotations::annotation(&live.value(), annotations::PRUNE) {
        None => {}
        Some("disabled") => return PruneDecision::Keep(Why::PruneDisabled),
        // Whatever was meant, a deletion cannot be undone.
        Some(other) => return PruneDecision::Keep(Why::PruneUnclear(other.to_owned())),
    }
    if let Some(user) = desired.iter().find(|other| needs(other, key)) {
        return PruneDecision::Keep(Why::InUse { by: user.clone() });
    }
    if let Some(other) = input.awaits {
        return PruneDecision::Keep(Why::Awaits(other.clone()));
    }
    PruneDecision::Delete {
        uid: live.uid.clone(),
        version: live.version.clone(),
    }
}

/// Whether an object cannot be there without the other.
pub(super) fn needs(object: &ObjectKey, other: &ObjectKey) -> bool {
    match (other.group.as_str(), other.kind.as_str()) {
        ("", "Namespace") => object.namespace.as_ref() == Some(&other.name),
        // A definition's name is PLURAL.GROUP; the kind behind the plural is not worth a guess.
        ("apiextensions.k8s.io", "CustomResourceDefinition") => other
            .name
            .split_once('.')
            .is_some_and(|(_, group)| group == object.group),
        _ => false,
    }
}

/// Whether it is of a service that is wanted, in the form that the service is not written in. Between the forms both are
/// there: the Service does not own the Configuration yet, or any more, and who deletes either takes the revisions along.
fn is_other_form(key: &ObjectKey, desired: &BTreeSet<ObjectKey>) -> bool {
    let service = ObjectKey {
        kind: "Service".to_owned(),
        ..key.clone()
    };
    key.group == serving::GROUP
        && written_as(service)
            .iter()
            .any(|form| desired.contains(form))
}

/// The objects that a manifest may have been written as.
fn written_as(key: ObjectKey) -> Vec<ObjectKey> {
    if key.group == serving::GROUP && key.kind == "Service" {
        let with = |kind: &str| ObjectKey {
            kind: kind.to_owned(),
            ..key.clone()
        };
        vec![with("Configuration"), with("Route"), key.clone()]
    } else {
        vec![key]
    }
}
