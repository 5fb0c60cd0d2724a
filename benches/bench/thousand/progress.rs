//! How far a sync has come, seen from outside: the templates in the cluster, the services
//! at rest.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context;
use futures::TryStreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use sluice::api::delivery::Expand;
use sluice::api::rollout::{Phase, ServiceRollout};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::PATIENCE;
use crate::fixture::NAMESPACE;

/// What was seen so far.
pub struct Progress {
    seen: Arc<Mutex<Seen>>,
    news: watch::Receiver<u64>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

#[derive(Default)]
struct Seen {
    /// The `TARGET` in each service's template.
    targets: HashMap<String, String>,
    at_rest: HashSet<String>,
}

impl Progress {
    /// Begins to look.
    pub fn follow(client: &kube::Client, expand: Expand) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (tell, news) = watch::channel(0);
        let kind = match expand {
            Expand::Routes => "Configuration",
            Expand::Service => "Service",
        };
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("serving.knative.dev", "v1", kind));
        let templates: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), NAMESPACE, &resource);
        let rollouts: Api<ServiceRollout> = Api::namespaced(client.clone(), NAMESPACE);
        let by_template = {
            let (seen, tell) = (seen.clone(), tell.clone());
            async move {
                let changes = watcher(templates, watcher::Config::default())
                    .default_backoff()
                    .applied_objects();
                let taken = changes.try_for_each(|object| {
                    let target = object
                        .data
                        .pointer("/spec/template/spec/containers/0/env/0/value")
                        .and_then(|value| value.as_str())
                        .unwrap_or_default()
                        .to_owned();
                    seen.lock().targets.insert(object.name_any(), target);
                    tell.send_modify(|count| *count += 1);
                    futures::future::ready(Ok(()))
                });
                let _ = taken.await;
            }
        };
        let by_rollout = {
            let seen = seen.clone();
            async move {
                let changes = watcher(rollouts, watcher::Config::default())
                    .default_backoff()
                    .applied_objects();
                let taken = changes.try_for_each(|rollout| {
                    let phase = rollout.status.as_ref().map(|status| status.phase);
                    if phase == Some(Phase::Stable) {
                        seen.lock().at_rest.insert(rollout.name_any());
                    }
                    tell.send_modify(|count| *count += 1);
                    futures::future::ready(Ok(()))
                });
                let _ = taken.await;
            }
        };
        Self {
            seen,
            news,
            _tasks: [
                AbortOnDropHandle::new(tokio::spawn(by_template)),
                AbortOnDropHandle::new(tokio::spawn(by_rollout)),
            ],
        }
    }

    /// Waits until `count` services have a template with this `TARGET`.
    pub async fn applied(&self, count: usize, target: &str) -> anyhow::Result<()> {
        self.until("every template in the cluster", |seen| {
            seen.targets.values().filter(|has| *has == target).count() >= count
        })
        .await
    }

    /// Waits until `count` services are at rest.
    pub async fn at_rest(&self, count: usize) -> anyhow::Result<()> {
        self.until("every service at rest", |seen| seen.at_rest.len() >= count)
            .await
    }

    /// Waits until one service's template has this `TARGET`.
    pub async fn shows(&self, name: &str, target: &str) -> anyhow::Result<()> {
        self.until("the change in the cluster", |seen| {
            seen.targets.get(name).is_some_and(|has| has == target)
        })
        .await
    }

    async fn until(&self, what: &str, reached: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let mut news = self.news.clone();
        let wait = async {
            loop {
                news.borrow_and_update();
                if reached(&self.seen.lock()) {
                    return Ok(());
                }
                news.changed().await.context("the watches ended")?;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .with_context(|| {
                let seen = self.seen.lock();
                format!(
                    "{what}: not within {} s; {} templates, {} at rest",
                    PATIENCE.as_secs(),
                    seen.targets.len(),
                    seen.at_rest.len()
                )
            })?
    }
}
