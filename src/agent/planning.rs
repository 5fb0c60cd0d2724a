//! A Delivery's plan, from what the loops know: everything but carrying it out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::Context;
use super::delivery::GAP;
use super::source::Checkout;
use crate::api::GROUP;
use crate::api::delivery::{DEFAULT_INTERVAL, Delivery, DeliverySpec};
use crate::api::object::ObjectKey;
use crate::api::rollout_policy::RolloutPolicySpec;
use crate::cluster::Cluster;
use crate::plan::{self, Action, Cause, DeliveryId, Input, Plan, ReleaseReason, Step};
use crate::render::{Destination, Rendered};

/// What another Delivery gets beyond two of its intervals to look at a commit.
const COURTESY: Duration = Duration::from_secs(10);

/// What Git's files say, rendered for the Delivery.
pub fn render(
    context: &Context,
    id: &DeliveryId,
    delivery: &Delivery,
    checkout: &Checkout,
) -> Rendered {
    let to = Destination {
        delivery: id.clone(),
        namespace: namespace(id, delivery),
        expand: delivery.spec.target.expand,
        confined: context.cluster_wide.confines(id),
    };
    checkout.render(to, &context.cluster)
}

/// What is to be done so that the cluster is as `rendered`, which is made of this commit; `since` is how long that has
/// been planned with.
pub fn plan(
    context: &Context,
    delivery: &Delivery,
    rendered: &Rendered,
    commit: &str,
    inventory: &[ObjectKey],
    since: Duration,
) -> Plan {
    let id = &rendered.to().delivery;
    let elsewhere = context.claims(id);
    let mut input = Input {
        rendered,
        inventory,
        elsewhere: &elsewhere,
        awaits: None,
        prune: delivery.spec.prune,
        drift: delivery.spec.drift,
        live: &context.cluster,
    };
    let plan = plan::plan(&input);
    let mut actions = plan.steps.iter().map(|step| &step.action);
    if !actions.any(|action| matches!(action, Action::Prune { .. })) {
        return plan;
    }
    match awaited(context, id, delivery, commit, since) {
        None => plan,
        Some(other) => {
            input.awaits = Some(&other);
            plan::plan(&input)
        }
    }
}

/// A Delivery of the same repository that has not planned with this commit yet, though it
/// had no more than two intervals to do so.
fn awaited(
    context: &Context,
    id: &DeliveryId,
    delivery: &Delivery,
    commit: &str,
    since: Duration,
) -> Option<DeliveryId> {
    let ours = &delivery.spec.source;
    let late = |other: &Delivery| {
        let theirs = &other.spec.source;
        let status = other.status.as_ref();
        (&theirs.url, &theirs.reference) == (&ours.url, &ours.reference)
            && status.and_then(|status| status.observed_commit.as_deref()) != Some(commit)
            && since < interval(&other.spec) * 2 + COURTESY
    };
    let mut others = context.deliveries().into_iter();
    others
        .find(|(other, spec)| other != id && late(spec))
        .map(|(other, _)| other)
}

/// The rollout policies of a namespace.
pub fn policies(cluster: &Cluster, namespace: &str) -> BTreeMap<String, RolloutPolicySpec> {
    let live = cluster.list(GROUP, "RolloutPolicy", Some(namespace));
    let spec = |value: serde_json::Value| serde_json::from_value(value.get("spec")?.clone()).ok();
    live.iter()
        .filter_map(|live| Some((live.key.name.clone(), spec(live.value())?)))
        .collect()
}

/// Where a Delivery's objects go that name no namespace.
pub fn namespace(id: &DeliveryId, delivery: &Delivery) -> String {
    let target = delivery.spec.target.namespace.clone();
    target.unwrap_or_else(|| id.namespace.clone())
}

/// How often a Delivery looks at its repository.
pub fn interval(spec: &DeliverySpec) -> Duration {
    let interval = spec.source.interval.unwrap_or(DEFAULT_INTERVAL);
    interval.get().max(GAP)
}

/// How many steps correct what somebody changed by hand.
pub fn corrections(plan: &Plan) -> u64 {
    let corrects = |step: &&Step| match &step.action {
        Action::Update { cause, .. } => matches!(cause, Cause::Drift { .. }),
        Action::Release { reasons } => reasons
            .iter()
            .any(|reason| matches!(reason, ReleaseReason::Drift { .. })),
        _ => false,
    };
    plan.steps.iter().filter(corrects).count() as u64
}
