//! Releases whose Delivery was deleted while no agent looked.
//!
//! Nobody would ever move or judge them again, so they are rolled back, as they are where an agent sees the
//! deletion. What Git wanted cannot be asked any more; what the cluster has is enough for that.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::from_cluster::{self, Footing};
use super::service::DesiredService;
use super::services::Services;
use crate::api::GROUP;
use crate::api::object::ObjectKey;
use crate::cluster::Cluster;
use crate::plan::DeliveryId;
use crate::policy;

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
    let releases = rollouts.filter_map(|rollout| from_cluster::under_way(cluster, &rollout));
    let orphans = releases.filter(|release| !is_there(cluster, &release.intent.delivery));
    orphans.map(|release| release.wanted(Ok(policy::of_last_resort()), Footing::Withdrawn))
}

/// One that cannot be read is there, and says so itself.
fn is_there(cluster: &Cluster, id: &DeliveryId) -> bool {
    let key = ObjectKey::namespaced(GROUP, "Delivery", &id.namespace, &id.name);
    cluster.get(&key).is_some_and(|delivery| !delivery.deleting)
}
