//! Which kinds the cluster has. Asked once, and again when an unknown kind turns up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kube::Client;
use kube::core::ApiResource;
use kube::discovery::{Discovery, Scope as KubeScope};

use crate::api::object::split_api_version;
use crate::plan::Scope;

/// An unknown kind makes us ask again, but not more often than this.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// One version of a kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Names and version, as requests need them.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

type Known = HashMap<(String, String), Vec<Kind>>;

/// The kinds of a cluster.
pub(super) struct Kinds {
    known: ArcSwap<Known>,
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Kinds {
    pub(super) fn new() -> Self {
        Self {
            known: ArcSwap::default(),
            asked: tokio::sync::Mutex::new(None),
        }
    }

    /// A kind in exactly this version.
    pub(super) fn exactly(&self, api_version: &str, kind: &str) -> Option<Kind> {
        let (group, version) = split_api_version(api_version);
        let known = self.known.load();
        let versions = known.get(&(group.to_owned(), kind.to_owned()))?;
        versions
            .iter()
            .find(|known| known.resource.version == version)
            .cloned()
    }

    /// A kind in the version that the server prefers.
    pub(super) fn preferred(&self, group: &str, kind: &str) -> Option<Kind> {
        let known = self.known.load();
        known
            .get(&(group.to_owned(), kind.to_owned()))?
            .first()
            .cloned()
    }

    /// Whether the server was ever asked.
    pub(super) fn is_filled(&self) -> bool {
        !self.known.load().is_empty()
    }

    pub(super) fn scope(&self, api_version: &str, kind: &str) -> Scope {
        match self.exactly(api_version, kind) {
            Some(found) if found.namespaced => Scope::Namespaced,
            Some(_) => Scope::Cluster,
            None => Scope::Unknown,
        }
    }

    /// Asks the cluster, unless it was asked a moment ago.
    pub(super) async fn refresh(&self, client: &Client, force: bool) -> Result<(), kube::Error> {
        let mut asked = self.asked.lock().await;
        if !force && asked.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return Ok(());
        }
        // Two requests where the server knows aggregated discovery, one a group otherwise.
        let found = match Discovery::new(client.clone()).run_aggregated().await {
            Ok(found) => found,
            Err(_) => Discovery::new(client.clone()).run().await?,
        };
        let mut known = Known::new();
        for group in found.groups() {
            let preferred = group.preferred_version_or_latest().to_owned();
            let mut versions: Vec<&str> = group.versions().collect();
            versions.sort_by_key(|version| *version != preferred);
            for version in versions {
                for (resource, capabilities) in group.versioned_resources(version) {
                    known
                        .entry((resource.group.clone(), resource.kind.clone()))
                        .or_default()
                        .push(Kind {
                            namespaced: capabilities.scope == KubeScope::Namespaced,
                            resource,
                        });
                }
            }
        }
        self.known.store(Arc::new(known));
        *asked = Some(Instant::now());
        Ok(())
    }
}
