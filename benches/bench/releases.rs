//! Follows every Rollout of a cluster, and keeps each moment with the time it was seen at.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::TryStreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use sluice::api::rollout::{Phase, RolloutStatus, ServiceRollout};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fixture::NAMESPACE;

/// A release's status, and when it was seen.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// What.
    pub status: RolloutStatus,
}

/// All releases so far.
pub struct Releases {
    seen: Arc<Mutex<HashMap<String, Vec<Moment>>>>,
    news: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Releases {
    /// Begins to follow.
    pub fn follow(client: kube::Client) -> Self {
        let seen: Arc<Mutex<HashMap<String, Vec<Moment>>>> = Arc::default();
        let (tell, news) = watch::channel(0);
        let moments = seen.clone();
        let task = tokio::spawn(async move {
            let api: Api<ServiceRollout> = Api::namespaced(client, NAMESPACE);
            let changes = watcher(api, watcher::Config::default())
                .default_backoff()
                .applied_objects();
            let mut changes = std::pin::pin!(changes);
            loop {
                match changes.try_next().await {
                    Ok(Some(rollout)) => {
                        let moment = Moment {
                            at: Instant::now(),
                            status: rollout.status.clone().unwrap_or_default(),
                        };
                        moments
                            .lock()
                            .entry(rollout.name_any())
                            .or_default()
                            .push(moment);
                        tell.send_modify(|count| *count += 1);
                    }
                    Ok(None) => return,
                    // The agent may not have brought its kinds yet; the watcher tries again.
                    Err(_) => {}
                }
            }
        });
        Self { seen, news, task }
    }

    /// Everything that was seen of a service.
    pub fn of(&self, service: &str) -> Vec<Moment> {
        self.seen.lock().get(service).cloned().unwrap_or_default()
    }

    /// Waits for the first moment at which `reached` says yes, and gives it.
    pub async fn until(
        &self,
        service: &str,
        what: &str,
        patience: Duration,
        reached: impl Fn(&RolloutStatus) -> bool,
    ) -> anyhow::Result<Moment> {
        let mut news = self.news.clone();
        let wait = async {
            loop {
                news.borrow_and_update();
                let found = self
                    .seen
                    .lock()
                    .get(service)
                    .and_then(|all| all.iter().find(|moment| reached(&moment.status)).cloned());
                if let Some(moment) = found {
                    return Some(moment);
                }
                news.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(Some(moment)) => Ok(moment),
            Ok(None) => bail!("the watch ended"),
            Err(_) => {
                let last = self.of(service).pop().map(|moment| moment.status);
                bail!(
                    "{service} did not come to {what} within {} s; it is {}",
                    patience.as_secs(),
                    last.map_or_else(
                        || "unknown".to_owned(),
                        |status| format!("{}: {}", status.phase, status.message)
                    )
                )
            }
        }
    }

    /// Waits until a service rests on what a commit brought.
    pub async fn promoted(
        &self,
        service: &str,
        commit: &str,
        patience: Duration,
    ) -> anyhow::Result<Moment> {
        self.until(service, "the end of its release", patience, |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.commit.as_deref() == Some(commit))
        })
        .await
    }
}

impl Drop for Releases {
    fn drop(&mut self) {
        self.task.abort();
    }
}
