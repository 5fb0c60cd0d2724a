//! The loop of one Delivery: what Git says becomes a plan, the plan is carried out, and each
//! service's release gets a loop of its own.

mod attempts;
mod pass;
mod running_source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::attempts::Attempts;
use self::pass::Pass;
use self::running_source::{RunningSource, moved};
use super::context::Context;
use super::drift;
use super::report::{self, Knowledge};
use super::services::Services;
use super::source::SourceState;
use crate::api::delivery::{Delivery, DeliveryStatus, Problem};
use crate::api::object::ObjectKey;
use crate::api::{GROUP, VERSION};
use crate::backoff::Backoff;
use crate::cluster::{self, Changes, Connectivity};
use crate::plan::DeliveryId;

/// A pass that takes longer is broken off, said, and begun again.
const LONGEST_PASS: Duration = Duration::from_secs(300);
/// Least time between two plans.
pub(super) const GAP: Duration = Duration::from_millis(100);
/// How soon something that failed is tried again.
const FIRST_WAIT: Duration = Duration::from_secs(6);
/// At most how late it is.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Most time between two reports of services that move, however large the status.
const REPORT: Duration = Duration::from_secs(5);

/// Runs one Delivery until cancelled. `spec` brings each change of the object; `withdrawn`
/// says that the object was deleted, and ends the loop in good time as well.
pub async fn run(
    context: Arc<Context>,
    id: DeliveryId,
    spec: watch::Receiver<Arc<Delivery>>,
    cancel: CancellationToken,
    withdrawn: CancellationToken,
) {
    let changes = context.cluster.changes();
    let reach = context.cluster.reach();
    // Not the status that `spec` came with: while another agent led, that one wrote it.
    let status = context.status(&id).unwrap_or_default();
    let news = Arc::new(Notify::new());
    let mut this = DeliveryLoop {
        services: Services::new(context.clone(), news.clone(), cancel.child_token()),
        context,
        id,
        spec,
        changes,
        reach,
        source: None,
        seen: BTreeMap::new(),
        missing: false,
        planned: None,
        left_drift: BTreeMap::new(),
        attempts: Attempts::default(),
        status,
        news,
        backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        looked: SourceState::default(),
        began: Instant::now(),
        cancel,
        withdrawn,
    };
    this.run().await;
    this.stop().await;
}

/// A pass that took too long, for the status.
fn overdue() -> Problem {
    Problem {
        object: None,
        origin: None,
        message: format!(
            "not everything was applied within {} s; it is begun again (the API server or a webhook is slow, or a new \
             kind is never served)",
            LONGEST_PASS.as_secs()
        ),
    }
}

struct DeliveryLoop {
    context: Arc<Context>,
    id: DeliveryId,
    spec: watch::Receiver<Arc<Delivery>>,
    changes: Changes,
    reach: watch::Receiver<Connectivity>,
    source: Option<RunningSource>,
    services: Services,
    /// Content of every object of the inventory at the last plan.
    seen: BTreeMap<ObjectKey, Option<u64>>,
    /// The last plan left something for want of a namespace, a kind, or another Delivery's leave.
    missing: bool,
    /// The commit of the last plan, and since when it is planned with.
    planned: Option<(String, Instant)>,
    /// The drift that the last plan left alone.
    left_drift: BTreeMap<ObjectKey, String>,
    /// What was refused or vanished, and is tried again by its own back-off.
    attempts: Attempts,
    status: DeliveryStatus,
    news: Arc<Notify>,
    backoff: Backoff,
    /// What was known of the repository at the last plan: what is reported is about that,
    /// whatever has come since.
    looked: SourceState,
    began: Instant,
    cancel: CancellationToken,
    withdrawn: CancellationToken,
}

impl DeliveryLoop {
    async fn run(&mut self) {
        let mut due = true;
        let mut pass = self.only(Vec::new());
        let mut retry = None;
        let mut gap = GAP;
        while !self.cancel.is_cancelled() {
            if due {
                let started = Instant::now();
                let Some(looked) = self.uninterrupted_pass().await else {
                    if self.withdrawn.is_cancelled() {
                        self.services.roll_back_all().await;
                        return;
                    }
                    continue;
                };
                if let Some(done) = looked {
                    let good = done.problems.is_empty();
                    let took = started.elapsed();
                    self.context.metrics.synced(&self.id, good, took);
                    pass = done;
                } else {
                    // Whatever was wrong before is not known to be wrong now.
                    pass.problems.clear();
                }
                retry = self.next_try(&pass);
                // A plan over many services is not made again and again while they all move.
                gap = GAP.max(started.elapsed() * 4);
            }
            // What else happens meanwhile is told in the same report. A new commit waits for
            // nothing: its plan is news.
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = moved(&mut self.source) => {
                    due = true;
                    continue;
                }
                () = tokio::time::sleep(gap) => {}
            }
            let started = Instant::now();
            self.report(&pass).await;
            // A status with a thousand objects in it is not written for every step of each.
            gap = GAP.max(started.elapsed() * 4).min(REPORT);
            let withdrawn = self.withdrawn.clone();
            due = tokio::select! {
                due = self.wait(retry) => due,
                () = withdrawn.cancelled() => {
                    self.services.roll_back_all().await;
                    return;
                }
            };
        }
    }

    /// A pass; `None` where it was broken off, since the Delivery was deleted or changed meanwhile. A write that was on
    /// its way then is like one of an agent that was killed behind it: the next pass looks at what came of it.
    async fn uninterrupted_pass(&mut self) -> Option<Option<Pass>> {
        let (cancel, withdrawn) = (self.cancel.clone(), self.withdrawn.clone());
        let mut spec = self.spec.clone();
        spec.mark_unchanged();
        // From what the pass begins with: what came before is in it.
        let seen = self.spec.borrow_and_update().clone();
        let changed = async {
            let other = |now: &Arc<Delivery>| now.spec != seen.spec;
            // Nobody tells any more where the sender is gone; then the loop ends anyway.
            if spec.wait_for(other).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            () = withdrawn.cancelled() => None,
            done = tokio::time::timeout(LONGEST_PASS, self.pass()) => Some(match done {
                Ok(done) => done,
                Err(_) => Some(self.only(vec![overdue()])),
            }),
            () = changed => None,
        }
    }

    /// Waits for something to do; `true` when a new plan is due, `false` for a report.
    async fn wait(&mut self, retry: Option<Duration>) -> bool {
        let retry = async {
            match retry {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.cancel.cancelled() => false,
            changed = self.spec.changed() => changed.is_ok(),
            () = moved(&mut self.source) => true,
            changed = self.changes.next() => changed.iter().any(|key| self.is_news(key)),
            () = self.news.notified() => false,
            // What failed for want of a server is not left waiting once it is back.
            () = cluster::back(&mut self.reach) => {
                self.backoff.reset();
                true
            }
            () = retry => true,
        }
    }

    /// Whether a change is one that a plan might answer: a status is not.
    fn is_news(&self, key: &ObjectKey) -> bool {
        match (key.group.as_str(), key.kind.as_str()) {
            (GROUP, "RolloutPolicy") => return true,
            // What could not be written for want of these may be written now.
            (GROUP, "Delivery") if key.name != self.id.name => return self.missing,
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition")
                if self.missing =>
            {
                return true;
            }
            (GROUP, _) => return false,
            _ => {}
        }
        let now = self.context.cluster.get(key).map(|live| live.content);
        self.seen.get(key).is_some_and(|then| *then != now)
    }

    fn next_try(&mut self, pass: &Pass) -> Option<Duration> {
        if pass.problems.is_empty() {
            self.backoff.reset();
            return pass.again;
        }
        let wait = self.backoff.failed(0.0);
        Some(pass.again.map_or(wait, |again| again.min(wait)))
    }

    /// Writes the status where it says something new.
    async fn report(&mut self, pass: &Pass) {
        let delivery = self.spec.borrow().clone();
        let summaries = self.services.summaries();
        let mut problems = pass.problems.clone();
        problems.extend(self.services.problems());
        // All of them: the status lists only so many.
        let number = problems.len();
        let knowledge = Knowledge {
            generation: delivery.metadata.generation,
            suspended: delivery.spec.suspend,
            source: &self.looked,
            planned: self.planned.as_ref().map(|(commit, _)| commit.as_str()),
            applied: pass.applied,
            services: &summaries,
            problems,
            inventory: pass.inventory.clone(),
            drifted: drift::summary(&self.left_drift),
            handled_sync: self.looked.answered.clone(),
        };
        let status = report::status(&self.status, knowledge, Timestamp::now());
        self.context
            .metrics
            .says(&self.id, report::is_ready(&status), number);
        if let Err(problem) = self.store(status).await {
            debug!(delivery = %self.id, "{}", problem.message);
        }
    }

    async fn store(&mut self, status: DeliveryStatus) -> Result<(), Problem> {
        if status == self.status {
            return Ok(());
        }
        let object = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Delivery",
            "metadata": {"name": self.id.name, "namespace": self.id.namespace}, "status": status});
        match self.context.cluster.apply_status(&object).await {
            Ok(_) => {
                self.status = status;
                Ok(())
            }
            Err(error) => Err(Problem {
                object: Some(error.object.clone()),
                origin: None,
                message: error.to_string(),
            }),
        }
    }

    /// Ends every loop that this one started.
    async fn stop(&mut self) {
        if let Some(source) = self.source.take() {
            source.stop().await;
        }
        self.services.stop().await;
    }
}
