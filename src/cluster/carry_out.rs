//! A plan's steps, carried out stage by stage, side by side within a stage.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::{FutureExt, StreamExt};

use crate::api::object::ObjectKey;
use crate::backoff::Backoff;
use crate::plan::{Action, Manager, Plan, Stage, Step};

use super::delete::Deleted;
use super::error::WriteError;
use super::writers::WRITERS;
use super::{Applied, Cluster, FIRST_WAIT};

/// How long a new definition may take until its kind is served.
const ESTABLISH: Duration = Duration::from_secs(30);

/// How one step went.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// The object.
    pub key: ObjectKey,
    /// What was done, or why not.
    pub result: Result<Done, WriteError>,
}

/// What was done.
#[derive(Clone, Debug)]
pub enum Done {
    /// It was applied.
    Applied(Applied),
    /// It was deleted, or will be.
    Deleted(Deleted),
}

impl Cluster {
    /// Carries out the steps of some stages. Releases are left to their rollouts.
    ///
    /// A step that fails costs only itself: the steps after it are tried all the same
    /// and, where they needed it, say so themselves.
    pub async fn carry_out(&self, plan: &Plan, stages: RangeInclusive<Stage>) -> Vec<StepOutcome> {
        let steps: Vec<&Step> = plan
            .steps
            .iter()
            .filter(|step| stages.contains(&step.stage))
            .collect();
        let mut outcomes = Vec::with_capacity(steps.len());
        for together in steps.chunk_by(|a, b| a.stage == b.stage && same_rank(a, b)) {
            // Boxed, so that whoever awaits this can still be spawned.
            let writes: Vec<_> = together
                .iter()
                .map(|step| self.step(step).boxed())
                .collect();
            let done: Vec<Option<StepOutcome>> = futures::stream::iter(writes)
                .buffer_unordered(WRITERS)
                .collect()
                .await;
            let done: Vec<StepOutcome> = done.into_iter().flatten().collect();
            let new_kinds = together.first().map(|step| step.stage) == Some(Stage::Definitions);
            if new_kinds {
                let applied = done.iter().filter(|outcome| outcome.result.is_ok());
                let definitions: Vec<_> = applied.map(|outcome| outcome.key.clone()).collect();
                if let Err(late) = self.await_served(&definitions).await {
                    tracing::warn!(?late, "the server does not tell of its new kinds");
                }
            }
            outcomes.extend(done);
        }
        outcomes
    }

    async fn step(&self, step: &Step) -> Option<StepOutcome> {
        let result = match &step.action {
            Action::Create { object }
            | Action::Update { object, .. }
            | Action::Adopt { object, .. } => self
                .apply(object, Manager::Objects)
                .await
                .map(Done::Applied),
            Action::Prune { uid, version } => self
                .delete(&step.key, version, uid)
                .await
                .map(Done::Deleted),
            Action::Release { .. } => return None,
        };
        Some(StepOutcome {
            key: step.key.clone(),
            result,
        })
    }

    /// Waits until these definitions are served and their kinds are known. The names of those
    /// that are not in time are the error.
    pub async fn await_served(&self, definitions: &[ObjectKey]) -> Result<(), Vec<String>> {
        let mut late = Vec::new();
        let mut kinds = Vec::new();
        for key in definitions {
            if self.established(key, ESTABLISH).await {
                kinds.push(key);
            } else {
                late.push(key.name.clone());
            }
        }
        let told = |key: &&ObjectKey| {
            let Some(definition) = self.get(key) else {
                return false;
            };
            let mut served = served_by(&definition.value()).into_iter();
            served.all(|(version, kind)| self.0.kinds.exactly(&version, &kind).is_some())
        };
        // A real API server serves a new kind first, and tells of it a moment later.
        let mut backoff = Backoff::new(FIRST_WAIT, Duration::from_secs(1));
        let all_told = async {
            loop {
                if let Err(error) = self.discover().await {
                    tracing::warn!(%error, "the new kinds are not known yet");
                }
                if kinds.iter().all(told) {
                    return;
                }
                tokio::time::sleep(backoff.failed(rand::random())).await;
            }
        };
        if tokio::time::timeout(ESTABLISH, all_told).await.is_err() {
            let untold = kinds.iter().filter(|key| !told(key));
            late.extend(untold.map(|key| key.name.clone()));
        }
        if late.is_empty() { Ok(()) } else { Err(late) }
    }

    /// Waits until a CustomResourceDefinition is established; `false` where it is not in time.
    async fn established(&self, definition: &ObjectKey, limit: Duration) -> bool {
        let changes = self.changes();
        let watched = self
            .watch("apiextensions.k8s.io/v1", "CustomResourceDefinition", None)
            .await;
        if watched.is_err() {
            return false;
        }
        let established = async {
            loop {
                if self
                    .get(definition)
                    .is_some_and(|live| is_established(&live.value()))
                {
                    return;
                }
                changes.next().await;
            }
        };
        tokio::time::timeout(limit, established).await.is_ok()
    }
}

fn same_rank(a: &Step, b: &Step) -> bool {
    crate::plan::rank(&a.key) == crate::plan::rank(&b.key)
}

/// The kind that a definition is of, in each version that is served.
fn served_by(definition: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: Option<&serde_json::Value>| Some(value?.as_str()?.to_owned());
    let (Some(group), Some(kind)) = (
        text(definition.pointer("/spec/group")),
        text(definition.pointer("/spec/names/kind")),
    ) else {
        return Vec::new();
    };
    let versions = definition.pointer("/spec/versions");
    versions
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter(|version| version.get("served") == Some(&true.into()))
        .filter_map(|version| text(version.get("name")))
        .map(|version| (format!("{group}/{version}"), kind.clone()))
        .collect()
}

fn is_established(definition: &serde_json::Value) -> bool {
    let conditions = definition.pointer("/status/conditions");
    conditions
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .any(|condition| {
            let is = |name: &str, value: &str| {
                condition.get(name).and_then(serde_json::Value::as_str) == Some(value)
            };
            is("type", "Established") && is("status", "True")
        })
}
