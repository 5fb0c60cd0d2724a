//! Releases whose Delivery was deleted while no agent looked.
//!
//! Nobody would ever move or judge them again, so they are rolled back, as they are where an agent sees the
//! deletion. What Git wanted cannot be asked any more; what the cluster has is enough for that.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::rollout_store;
use super::service::{DesiredService, is_on_its_way};
use super::services::Services;
use crate::api::GROUP;
use crate::api::delivery::{Drift, Expand};
use crate::api::object::ObjectKey;
use crate::api::serving;
use crate::cluster::Cluster;
use crate::plan::{DeliveryId, LiveObject, ServiceIntent};
use crate::policy;
use crate::rollout::traffic_without_release;

/// The Deliveries that are gone while releases of theirs are under way; of one namespace, or of all.
pub fn deliveries(context: &Context, namespace: Option<&str>) -> BTreeSet<DeliveryId> {
    let of_namespace = |id: &DeliveryId| namespace.is_none_or(|only| only == id.namespace);
    let orphans = all(&context.cluster).map(|wanted| wanted.intent.delivery.clone());
    orphans.filter(of_namespace).collect()
}

/// The releases under way of one Delivery that is gone; none while it is there.
pub fn find(context: &Context, id: &DeliveryId) -> Vec<Arc<DesiredService>> {
    let orphans = all(&context.cluster).filter(|wanted| wanted.intent.delivery == *id);
    orphans.map(Arc::new).collect()
}

/// Rolls the releases back, and returns when they are.
pub async fn roll_back(
    context: &Arc<Context>,
    id: &DeliveryId,
    releases: Vec<Arc<DesiredService>>,
    cancel: &CancellationToken,
) {
    context.leads(id, true);
    let services = Services::new(context.clone(), Arc::default(), cancel.child_token());
    services.roll_back(releases).await;
    context.leads(id, false);
}

fn all(cluster: &Cluster) -> impl Iterator<Item = DesiredService> {
    let rollouts = cluster.list(GROUP, "ServiceRollout", None).into_iter();
    let releases = rollouts.filter_map(|rollout| way_back(cluster, &rollout));
    releases.filter(|wanted| !is_there(cluster, &wanted.intent.delivery))
}

/// One that cannot be read is there, and says so itself.
fn is_there(cluster: &Cluster, id: &DeliveryId) -> bool {
    let key = ObjectKey::namespaced(GROUP, "Delivery", &id.namespace, &id.name);
    cluster.get(&key).is_some_and(|delivery| !delivery.deleting)
}

/// What is wanted of a release under way that is rolled back; `None` where none is.
fn way_back(cluster: &Cluster, rollout: &LiveObject) -> Option<DesiredService> {
    let status = rollout_store::memory_of(rollout).status;
    let stable = status.stable.as_ref()?.revision.as_deref()?;
    if !is_on_its_way(&status) {
        return None;
    }
    let namespace = rollout.key.namespace.as_deref()?;
    let get = |kind| {
        let key = ObjectKey::namespaced(serving::GROUP, kind, namespace, &rollout.key.name);
        cluster.get(&key)
    };
    let mode = status.expand.unwrap_or(Expand::Routes);
    let (template, route) = match mode {
        Expand::Routes => (get("Configuration")?, get("Route")?),
        Expand::Service => (get("Service")?, get("Service")?),
    };
    // Not the ServiceRollout's own word: a service may have gone over to another Delivery.
    let delivery = template.delivery.clone()?;
    let candidate = status.candidate.as_ref();
    let release = candidate.or(status.stable.as_ref())?;
    let spec = route.value().pointer("/spec/traffic").cloned()?;
    let traffic = traffic_without_release(
        &serde_json::from_value::<Vec<_>>(spec).ok()?,
        stable,
        candidate.and_then(|candidate| candidate.revision.as_deref()),
        &rollout.key.name,
    );
    let intent = ServiceIntent::of_cluster(
        delivery,
        mode,
        &template,
        &route,
        release.template_hash.clone()?,
        traffic,
    );
    Some(DesiredService {
        intent: Arc::new(intent),
        policy: Ok(policy::of_last_resort()),
        commit: release.commit.clone().unwrap_or_default(),
        subject: release.subject.clone().unwrap_or_default(),
        suspended: false,
        withdrawn: true,
        source_problem: None,
        drift: Drift::default(),
    })
}
