//! What users were shown: every state of a Route's `status.traffic`, in order.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use sluice::api::serving::TrafficTarget;
use tokio::task::JoinHandle;

/// One state of a Route's `status.traffic`.
pub type Split = Vec<TrafficTarget>;

/// A Route that is being watched.
pub struct TrafficHistory {
    seen: Arc<Mutex<Vec<Split>>>,
    task: JoinHandle<()>,
}

impl TrafficHistory {
    /// Begins to watch.
    pub fn of(routes: Api<DynamicObject>, name: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                let changes = watcher(routes, config).default_backoff().applied_objects();
                let mut changes = std::pin::pin!(changes);
                while let Ok(Some(route)) = changes.try_next().await {
                    let split: Split = split_of(&route, "/status/traffic");
                    let mut seen = seen.lock().unwrap();
                    if !split.is_empty() && seen.last() != Some(&split) {
                        seen.push(split);
                    }
                }
            }
        });
        Self { seen, task }
    }

    /// What was seen by now.
    pub fn so_far(&self) -> Vec<Split> {
        self.seen.lock().unwrap().clone()
    }

    /// The shares that a revision had, one after the other.
    pub fn shares(&self, revision: &str) -> Vec<i64> {
        let mut shares: Vec<i64> = self
            .so_far()
            .iter()
            .map(|split| share(split, revision))
            .collect();
        shares.dedup();
        shares
    }
}

impl Drop for TrafficHistory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The traffic of an object, at `/spec/traffic` or `/status/traffic`.
pub fn split_of(object: &DynamicObject, at: &str) -> Split {
    object
        .data
        .pointer(at)
        .and_then(|traffic| serde_json::from_value(traffic.clone()).ok())
        .unwrap_or_default()
}

/// What a revision has of a split, in percent.
pub fn share(split: &[TrafficTarget], revision: &str) -> i64 {
    split
        .iter()
        .filter(|entry| entry.revision_name.as_deref() == Some(revision))
        .filter_map(|entry| entry.percent)
        .sum()
}

/// Whether a Route is Ready as it is now: a real one names a new split a moment before the gateway has it.
pub fn in_force(route: &DynamicObject) -> bool {
    let status = route.data.get("status");
    let observed = status.and_then(|status| status["observedGeneration"].as_i64());
    let conditions = status.and_then(|status| status["conditions"].as_array());
    let is_ready =
        |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    observed == route.metadata.generation && conditions.is_some_and(|all| all.iter().any(is_ready))
}
