//! Releases under way, as the cluster alone knows them: where Git cannot be asked, or nobody asks it any more.

use std::sync::Arc;

use super::rollout_store;
use super::service::{DesiredService, is_on_its_way};
use crate::api::delivery::{Drift, Expand};
use crate::api::object::ObjectKey;
use crate::api::serving;
use crate::cluster::Cluster;
use crate::plan::{LiveObject, ServiceIntent};
use crate::policy::Policy;
use crate::rollout::traffic_without_release;

/// A release between two revisions.
pub struct UnderWay {
    /// What the cluster has of its service, with the template that is being released.
    pub intent: ServiceIntent,
    commit: String,
    subject: String,
}

/// Why nobody asks Git about a release.
pub enum Footing {
    /// Its Delivery is gone: it is rolled back.
    Withdrawn,
    /// Git cannot be read, for this reason: it is watched, and goes no further up.
    SourceAway(String),
}

impl UnderWay {
    /// What is wanted of it.
    pub fn wanted(self, policy: Result<Policy, String>, footing: Footing) -> DesiredService {
        let (withdrawn, source_problem) = match footing {
            Footing::Withdrawn => (true, None),
            Footing::SourceAway(why) => (false, Some(why)),
        };
        DesiredService {
            intent: Arc::new(self.intent),
            policy,
            commit: self.commit,
            subject: self.subject,
            suspended: false,
            withdrawn,
            source_problem,
            drift: Drift::default(),
            config_changes: Vec::new(),
        }
    }
}

/// The release of a ServiceRollout, where one is between two revisions.
pub fn under_way(cluster: &Cluster, rollout: &LiveObject) -> Option<UnderWay> {
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
    Some(UnderWay {
        intent,
        commit: release.commit.clone().unwrap_or_default(),
        subject: release.subject.clone().unwrap_or_default(),
    })
}
