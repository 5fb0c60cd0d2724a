//! Which commit brought a service's present template: later commits that leave it alone do not count.

use std::collections::HashMap;

use super::index::Name;
use super::rollout_store;
use super::source::Checkout;
use crate::api::GROUP;
use crate::api::object::{ObjectKey, TemplateHash};
use crate::cluster::Cluster;
use crate::plan::ServiceIntent;

/// What is known of each service's template.
#[derive(Debug, Default)]
pub struct TemplateOrigins(HashMap<Name, (TemplateHash, String, String)>);

impl TemplateOrigins {
    /// The commit that brought a template, and its first line: as it was first seen, or, after
    /// a restart, as the service's ServiceRollout remembers it.
    pub fn of(
        &mut self,
        cluster: &Cluster,
        name: &Name,
        intent: &ServiceIntent,
        checkout: &Checkout,
    ) -> (String, String) {
        let hash = &intent.template_hash;
        let (commit, subject) = match self.0.get(name) {
            Some((known, commit, subject)) if known == hash => {
                return (commit.clone(), subject.clone());
            }
            Some(_) => None,
            None => remembered(cluster, name, intent),
        }
        .unwrap_or_else(|| {
            let snapshot = &checkout.snapshot;
            (snapshot.commit.to_string(), snapshot.subject.clone())
        });
        let entry = (hash.clone(), commit.clone(), subject.clone());
        self.0.insert(name.clone(), entry);
        (commit, subject)
    }

    /// The service left Git.
    pub fn forget(&mut self, name: &Name) {
        self.0.remove(name);
    }
}

/// By whichever version of the hash an agent before this one remembered it.
fn remembered(cluster: &Cluster, name: &Name, intent: &ServiceIntent) -> Option<(String, String)> {
    let live = cluster.get(&ObjectKey::namespaced(
        GROUP,
        "ServiceRollout",
        &name.0,
        &name.1,
    ))?;
    let status = rollout_store::memory_of(&live).status;
    let mut releases = status.candidate.iter().chain(&status.stable);
    let release = releases.find(|release| {
        let hash = release.template_hash.as_ref();
        hash.is_some_and(|hash| intent.is_hash(hash))
    })?;
    Some((
        release.commit.clone()?,
        release.subject.clone().unwrap_or_default(),
    ))
}
