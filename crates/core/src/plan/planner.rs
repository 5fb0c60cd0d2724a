//! From what is wanted and the cluster's state to a plan. Pure.

use std::collections::BTreeSet;

use crate::api::delivery::Drift;
use crate::api::object::ObjectKey;
use crate::render::Rendered;

use super::annotations::{self, DeliveryId};
use super::claims::Claims;
use super::expand::{self, PlainObject};
use super::live::{Live, LiveObject, is_ours};
use super::manager::Manager;
use super::normalize::{self, FieldChange};
use super::path::{FieldPath, PathStep};
use super::steps::{Action, Cause, LeftAlone, Plan, Settled, Step, Why};
use super::{order, prune, release, takeover};

/// Everything a plan is made from.
pub struct Input<'a> {
    /// What is wanted, and where it goes.
    pub rendered: &'a Rendered,
    /// What this Delivery applied before.
    pub inventory: &'a [ObjectKey],
    /// What other Deliveries apply.
    pub elsewhere: &'a Claims,
    /// A Delivery of the same repository that has not looked at this commit yet. What left
    /// Git here may have moved to it, so nothing is pruned before it had its say.
    pub awaits: Option<&'a DeliveryId>,
    /// Whether what Git no longer has is deleted.
    pub prune: bool,
    /// What is done about hand-made changes.
    pub drift: Drift,
    /// What the cluster has.
    pub live: &'a dyn Live,
}

/// Works out what is to be done. Pure: the same input always gives the same plan.
///
/// ```
/// use std::sync::Arc;
///
/// use sluicegate_api::delivery::Drift;
/// use sluicegate_api::object::ObjectKey;
/// use sluicegate_api::scope::Scope;
/// use sluicegate_core::manifest;
/// use sluicegate_core::plan::{Claims, DeliveryId, Input, Live, LiveObject, plan};
/// use sluicegate_core::render::{Destination, render};
///
/// /// A cluster that has namespaces, and nothing in them.
/// struct Empty;
///
/// impl Live for Empty {
///     fn get(&self, _: &ObjectKey) -> Option<Arc<LiveObject>> {
///         None
///     }
///     fn scope(&self, _: &str, _: &str) -> Scope {
///         Scope::Namespaced
///     }
///     fn namespace_exists(&self, _: &str) -> Option<bool> {
///         Some(true)
///     }
/// }
///
/// let file = manifest::File {
///     path: "apps/words.yaml".into(),
///     content: b"{apiVersion: v1, kind: ConfigMap, metadata: {name: words}}".to_vec().into(),
///     id: [1; 20],
/// };
/// let loaded = Arc::new(manifest::load(&[file], &manifest::Options::default()));
/// let to = Destination::new(DeliveryId::new("default", "shop"));
/// let made = plan(&Input {
///     rendered: &render(&loaded, to, &Empty),
///     inventory: &[],
///     elsewhere: &Claims::default(),
///     awaits: None,
///     prune: true,
///     drift: Drift::Correct,
///     live: &Empty,
/// });
/// assert_eq!(made.to_string(), "create  ConfigMap default/words\n");
/// ```
pub fn plan(input: &Input<'_>) -> Plan {
    let expanded = expand::expand(input.rendered, input.live);
    let mut plan = Plan {
        left: input.rendered.notes().iter().map(LeftAlone::of).collect(),
        ..Plan::default()
    };
    plan.left.extend(expanded.left);
    let mut desired: BTreeSet<ObjectKey> = BTreeSet::new();
    desired.extend(expanded.objects.iter().map(|object| object.key.clone()));
    desired.extend(expanded.services.iter().flat_map(|s| s.keys()));

    for object in &expanded.objects {
        match plain(input, object, &desired) {
            ObjectDecision::Do(action) => plan.steps.push(Step {
                stage: order::stage(&object.key),
                key: object.key.clone(),
                origin: Some(object.origin.clone()),
                action,
            }),
            ObjectDecision::Leave(why) => plan.left.push(LeftAlone {
                object: Some(object.key.clone()),
                origin: Some(object.origin.clone()),
                why,
            }),
            ObjectDecision::Holds(settled) => plan.settled.extend(settled),
        }
    }
    for service in expanded.services {
        release::service(input, service, &desired, &mut plan);
    }
    prune::prune(input, &desired, &mut plan);
    plan.steps.sort_by(|a, b| {
        a.stage.cmp(&b.stage).then_with(|| {
            let forward = (order::rank(&a.key), &a.key).cmp(&(order::rank(&b.key), &b.key));
            if a.stage == super::Stage::Prune {
                let stages = order::stage(&b.key).cmp(&order::stage(&a.key));
                stages.then(forward.reverse())
            } else {
                forward
            }
        })
    });
    plan
}

/// What is to be done about one object.
pub(super) enum ObjectDecision {
    /// A step.
    Do(Action),
    /// Nothing, and it should be said why.
    Leave(Why),
    /// Nothing: it is as it should be.
    Holds(Option<Settled>),
}

fn plain(input: &Input<'_>, object: &PlainObject, desired: &BTreeSet<ObjectKey>) -> ObjectDecision {
    let live = match gate(input, &object.key, desired) {
        Gate::Closed(why) => return ObjectDecision::Leave(why),
        Gate::Absent => {
            return ObjectDecision::Do(Action::Create {
                object: object.object.clone(),
            });
        }
        Gate::There(live) => live,
    };
    if input
        .live
        .is_settled(&object.key, &object.digest, live.content)
    {
        return ObjectDecision::Holds(None);
    }
    let wanted = object.object.clone();
    match compare(input, &live, Manager::Objects, &object.object) {
        Comparison::Holds => ObjectDecision::Holds(Some(Settled {
            key: object.key.clone(),
            digest: object.digest.clone(),
            content: live.content,
        })),
        Comparison::Foreign { from, changed } => ObjectDecision::Do(Action::Adopt {
            object: wanted,
            from,
            changed,
        }),
        Comparison::Git { changed } => ObjectDecision::Do(Action::Update {
            object: wanted,
            changed,
            cause: Cause::Git,
        }),
        Comparison::Drift { changed } => {
            let (by, at) = who(&live, &changed);
            match input.drift {
                Drift::Correct => ObjectDecision::Do(Action::Update {
                    object: wanted,
                    changed,
                    cause: Cause::Drift { by, at },
                }),
                Drift::Report => ObjectDecision::Leave(Why::DriftLeft { changed, by }),
            }
        }
    }
}

/// Whether an object may be written at all.
pub(super) enum Gate {
    /// No.
    Closed(Why),
    /// Yes, and it does not exist.
    Absent,
    /// Yes, and it exists.
    There(std::sync::Arc<LiveObject>),
}

pub(super) fn gate(input: &Input<'_>, key: &ObjectKey, desired: &BTreeSet<ObjectKey>) -> Gate {
    if let Some(namespace) = &key.namespace {
        let in_git = desired.contains(&ObjectKey {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: namespace.clone(),
        });
        if !in_git && input.live.namespace_exists(namespace) == Some(false) {
            return Gate::Closed(Why::NoNamespace);
        }
    }
    let Some(live) = input.live.get(key) else {
        return Gate::Absent;
    };
    if live.deleting {
        return Gate::Closed(Why::Terminating);
    }
    // A mark whose Delivery no longer claims the object is a thing of the past: the
    // object moved, or its Delivery was deleted.
    if let Some(other) = &live.delivery
        && *other != input.rendered.to().delivery
        && input.elsewhere.are_by(other, key)
    {
        return Gate::Closed(Why::OwnedBy(other.clone()));
    }
    Gate::There(live)
}

/// How an object that exists stands to what Git wants.
pub(super) enum Comparison {
    /// As Git wants it.
    Holds,
    /// Not ours yet.
    Foreign {
        from: Vec<String>,
        changed: Vec<FieldChange>,
    },
    /// Git wants something else than it did when we applied it.
    Git { changed: Vec<FieldChange> },
    /// Git wants what it did, and the cluster no longer has it.
    Drift { changed: Vec<FieldChange> },
}

pub(super) fn compare(
    input: &Input<'_>,
    live: &LiveObject,
    manager: Manager,
    object: &serde_json::Value,
) -> Comparison {
    let mut changed = normalize::changes(object, &live.value(), live.owner(manager.name()));
    changed.extend(takeover::drops(object, live, manager));
    changed.retain(|change| !is_mark(&change.path));
    let same_git = live.digest.as_deref() == annotations::annotation(object, annotations::DIGEST);
    classify(input, live, manager, changed, same_git)
}

/// Tells whose the changes are. `same_git`: Git wants what it did when we applied the object.
pub(super) fn classify(
    input: &Input<'_>,
    live: &LiveObject,
    manager: Manager,
    changed: Vec<FieldChange>,
    same_git: bool,
) -> Comparison {
    let ours = live.applied_by(manager.name())
        && live.delivery.as_ref() == Some(&input.rendered.to().delivery);
    if !ours {
        return Comparison::Foreign {
            from: foreign(live),
            changed,
        };
    }
    if !same_git {
        return Comparison::Git { changed };
    }
    if changed.is_empty() {
        Comparison::Holds
    } else {
        Comparison::Drift { changed }
    }
}

/// Whether a field is one of our own marks.
pub(super) fn is_mark(path: &FieldPath) -> bool {
    path.starts_with(&["metadata", "annotations"])
        && matches!(path.0.get(2), Some(PathStep::Field(name)) if name == annotations::DIGEST || name == annotations::DELIVERY)
}

fn foreign(live: &LiveObject) -> Vec<String> {
    if let Some(other) = &live.delivery {
        return vec![format!("Delivery {other}")];
    }
    let names: BTreeSet<String> = live
        .managers
        .iter()
        .filter(|owner| !is_ours(&owner.manager))
        .map(|owner| owner.manager.clone())
        .collect();
    names.into_iter().collect()
}

/// Who made a change: the foreign manager that owns one of the fields, or else the
/// one that wrote last.
pub(super) fn who(
    live: &LiveObject,
    changed: &[FieldChange],
) -> (Option<String>, Option<jiff::Timestamp>) {
    let owner = live
        .managers
        .iter()
        .filter(|owner| !is_ours(&owner.manager))
        .find(|owner| changed.iter().any(|change| owner.owns(&change.path)))
        .or_else(|| live.last_foreign_writer());
    match owner {
        Some(owner) => (Some(owner.manager.clone()), owner.time),
        None => (None, None),
    }
}
