//! The loop of one Delivery: what Git says becomes a plan, the plan is carried out, and each
//! service's release gets a loop of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::context::Context;
use super::report::{self, Knowledge};
use super::services::Services;
use super::source::{self, Checkout, Poll, SourceError, SourceState};
use super::{drift, planning, reading};
use crate::api::delivery::{Delivery, DeliveryStatus, Problem, SYNC};
use crate::api::object::ObjectKey;
use crate::api::{GROUP, VERSION, serving};
use crate::cluster::{self, Changes, Connectivity, Done, StepOutcome};
use crate::manifest;
use crate::plan::{DeliveryId, Plan, Stage, Why};

/// Least time between two plans.
pub(super) const GAP: Duration = Duration::from_millis(100);
/// How soon something that failed is tried again, and at most how late.
const RETRY: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));
/// How soon it is looked again at what another Delivery has seen, or a new kind is watched.
const SOON: Duration = Duration::from_secs(1);
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
        status,
        news,
        failures: 0,
        looked: SourceState::default(),
        cancel,
        withdrawn,
    };
    this.run().await;
    this.stop().await;
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
    status: DeliveryStatus,
    news: Arc<Notify>,
    failures: u32,
    /// What was known of the repository at the last plan: what is reported is about that,
    /// whatever has come since.
    looked: SourceState,
    cancel: CancellationToken,
    withdrawn: CancellationToken,
}

struct RunningSource {
    poll: Poll,
    state: watch::Receiver<SourceState>,
    wishes: watch::Sender<Option<String>>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

/// A problem with the repository or its Secret.
fn about_source(words: &impl ToString) -> Problem {
    Problem {
        object: None,
        origin: None,
        message: words.to_string(),
    }
}

/// Resolves when the repository was looked at and there is something new to say of it.
async fn moved(source: &mut Option<RunningSource>) {
    // One that ended by itself has said why, and has no more to say.
    let changed = match source {
        Some(running) => running.state.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

/// What a pass came to.
#[derive(Default)]
struct Pass {
    applied: bool,
    problems: Vec<Problem>,
    inventory: Vec<ObjectKey>,
    /// Another one is due by then, whatever happens.
    again: Option<Duration>,
}

impl DeliveryLoop {
    async fn run(&mut self) {
        let mut due = true;
        let mut pass = Pass {
            inventory: self.status.inventory.clone(),
            ..Pass::default()
        };
        let mut retry = None;
        let mut gap = GAP;
        while !self.cancel.is_cancelled() {
            if due {
                let started = Instant::now();
                if let Some(done) = self.pass().await {
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
                self.failures = 0;
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

    fn contents(&self, keys: &[ObjectKey]) -> BTreeMap<ObjectKey, Option<u64>> {
        let now = |key: &ObjectKey| self.context.cluster.get(key).map(|live| live.content);
        keys.iter().map(|key| (key.clone(), now(key))).collect()
    }

    fn next_try(&mut self, pass: &Pass) -> Option<Duration> {
        if pass.problems.is_empty() {
            self.failures = 0;
            return pass.again;
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = RETRY.0.saturating_mul(1 << self.failures.min(8));
        let wait = doubled.min(RETRY.1);
        Some(pass.again.map_or(wait, |again| again.min(wait)))
    }

    /// One plan, carried out. `None` while there is nothing to plan with.
    async fn pass(&mut self) -> Option<Pass> {
        let delivery = self.spec.borrow_and_update().clone();
        if let Err(error) = self.look_at_source(&delivery).await {
            return Some(self.only(about_source(&error)));
        }
        self.hear_wish(&delivery);
        self.looked = self.source.as_mut()?.state.borrow_and_update().clone();
        let trouble = self.looked.trouble.as_ref().map(about_source);
        let Some(checkout) = self.looked.checkout.clone() else {
            return trouble.map(|problem| self.only(problem));
        };
        let mut problems = self.watch_kinds(&checkout).await;
        problems.extend(trouble);
        // Before the plan is made: what changes from now on is news, also while it is carried out.
        let before = self.contents(&self.status.inventory);
        let plan = self.plan(&delivery, &checkout);
        self.seen = self.contents(&plan.inventory);
        self.seen.extend(before);
        self.context.cluster.settle(&plan.settled);
        self.services.stop_unowned(&plan).await;
        let corrections = planning::corrections(&plan);
        self.context.metrics.corrected(&self.id, corrections);
        // What is written down first is never lost, whoever dies in between.
        if plan.inventory != self.status.inventory {
            let mut status = self.status.clone();
            status.inventory.clone_from(&plan.inventory);
            if let Err(error) = self.store(status).await {
                problems.push(error);
                return Some(Pass {
                    problems,
                    inventory: self.status.inventory.clone(),
                    ..Pass::default()
                });
            }
        }
        let head = checkout.snapshot.commit.to_string();
        if self
            .planned
            .as_ref()
            .is_none_or(|(commit, _)| *commit != head)
        {
            self.planned = Some((head, Instant::now()));
        }
        if delivery.spec.suspend {
            self.sync(&delivery, &checkout, &plan);
            return Some(Pass {
                problems,
                inventory: plan.inventory,
                ..Pass::default()
            });
        }
        if !plan.is_empty() {
            info!(delivery = %self.id, commit = %checkout.snapshot.commit.short(), "plan:\n{plan}");
        }
        let mut outcomes = self
            .context
            .cluster
            .carry_out(&plan, Stage::Namespaces..=Stage::Objects)
            .await;
        self.sync(&delivery, &checkout, &plan);
        self.services.stop_pruned(&plan).await;
        outcomes.extend(
            self.context
                .cluster
                .carry_out(&plan, Stage::Admission..=Stage::Prune)
                .await,
        );
        self.tell_drift(&plan, &outcomes);
        problems.extend(outcomes.iter().filter_map(reading::failure));
        problems.extend(reading::problems(&checkout.loaded));
        problems.extend(reading::left(&plan));
        for outcome in &outcomes {
            if let Ok(Done::Applied(applied)) = &outcome.result {
                self.seen
                    .insert(outcome.key.clone(), Some(applied.live.content));
            }
        }
        // What is still going has to go before it can be there again.
        let going = plan
            .left
            .iter()
            .any(|left| left.why == Why::Terminating && left.origin.is_some());
        let applied = !going && outcomes.iter().all(|outcome| outcome.result.is_ok());
        let left = |why: fn(&Why) -> bool| plan.left.iter().any(|left| why(&left.why));
        self.missing = left(|why| {
            matches!(
                why,
                Why::NoNamespace | Why::NoSuchKind { .. } | Why::OwnedBy(_)
            )
        });
        // Objects of a kind that came with this plan are not watched yet.
        let new_kinds = plan
            .steps
            .iter()
            .any(|step| step.stage == Stage::Definitions);
        let awaits = left(|why| matches!(why, Why::Awaits(_)));
        Some(Pass {
            applied,
            problems,
            inventory: plan.inventory,
            again: (new_kinds || awaits).then_some(SOON),
        })
    }

    /// A pass that came to nothing but this.
    fn only(&self, problem: Problem) -> Pass {
        Pass {
            problems: vec![problem],
            inventory: self.status.inventory.clone(),
            ..Pass::default()
        }
    }

    /// Says what was changed by hand: that it was corrected, or, once, that it is left so.
    fn tell_drift(&mut self, plan: &Plan, outcomes: &[StepOutcome]) {
        for (key, message) in drift::corrected(plan, outcomes) {
            self.context.tell(&key, "DriftCorrected", &message, true);
        }
        let left = drift::left(plan);
        for (key, message) in &left {
            if self.left_drift.get(key) != Some(message) {
                self.context.tell(key, "DriftLeft", message, true);
            }
        }
        self.left_drift = left;
    }

    /// Sees to it that the repository of the present spec is followed.
    async fn look_at_source(&mut self, delivery: &Delivery) -> Result<(), SourceError> {
        let spec = &delivery.spec.source;
        let poll = Poll {
            owner: self.id.clone(),
            source: source::wanted(spec, self.context.file_repositories)?,
            secret: spec.secret_ref.as_ref().map(|secret| secret.name.clone()),
            interval: planning::interval(&delivery.spec),
            cache_dir: self.context.cache_dir.clone(),
            options: manifest::Options {
                namespace: planning::namespace(&self.id, delivery),
                ..manifest::Options::default()
            },
        };
        if self
            .source
            .as_ref()
            .is_some_and(|running| running.poll == poll)
        {
            return Ok(());
        }
        let mut read = SourceState::default();
        if let Some(old) = self.source.take() {
            old.cancel.cancel();
            let _ = old.task.await;
            // Looked at more often or less: what was read stays good while the remote is away.
            if (&old.poll.source, &old.poll.options) == (&poll.source, &poll.options) {
                read = old.state.borrow().clone();
            }
        }
        let (state, seen) = watch::channel(read);
        let (wishes, wished) = watch::channel(None);
        let cancel = self.cancel.child_token();
        let known = self.status.observed_commit.clone();
        let task = tokio::spawn(source::follow(
            self.context.clone(),
            poll.clone(),
            known,
            state,
            wished,
            cancel.clone(),
        ));
        self.source = Some(RunningSource {
            wishes,
            poll,
            state: seen,
            cancel,
            task,
        });
        Ok(())
    }

    /// A person wants the remote looked at now.
    fn hear_wish(&mut self, delivery: &Delivery) {
        let Some(wish) = delivery
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(SYNC))
        else {
            return;
        };
        let Some(source) = &self.source else { return };
        if self.status.handled_sync.as_ref() != Some(wish) {
            source.wishes.send_if_modified(|known| {
                let new = known.as_ref() != Some(wish);
                *known = Some(wish.clone());
                new
            });
        }
    }

    /// Watches every kind that Git or the inventory has; a kind that cannot be watched is said.
    async fn watch_kinds(&self, checkout: &Checkout) -> Vec<Problem> {
        let manifests = checkout
            .loaded
            .objects
            .iter()
            .map(|m| (m.api_version.clone(), m.key.kind.clone()));
        let mut kinds: std::collections::BTreeSet<(String, String)> = manifests.collect();
        kinds.remove(&(serving::API_VERSION.to_owned(), "Service".to_owned()));
        let cluster = &self.context.cluster;
        let mut problems = Vec::new();
        // What left Git can only be pruned where it can be seen.
        for key in &self.status.inventory {
            if let Err(error) = cluster.watch_kind_of(key).await {
                let object = Some(key.clone());
                problems.push(Problem {
                    object,
                    origin: None,
                    message: error.to_string(),
                });
            }
        }
        for (api_version, kind) in kinds {
            match cluster.watch(&api_version, &kind, None).await {
                // The plan says so of the objects, and a definition in Git may bring the kind.
                Ok(()) | Err(crate::cluster::WatchError::NoSuchKind { .. }) => {}
                Err(error) => problems.push(Problem {
                    object: None,
                    origin: None,
                    message: error.to_string(),
                }),
            }
        }
        problems
    }

    fn plan(&self, delivery: &Delivery, checkout: &Checkout) -> Plan {
        let commit = checkout.snapshot.commit.to_string();
        let since = match &self.planned {
            Some((planned, since)) if *planned == commit => since.elapsed(),
            _ => Duration::ZERO,
        };
        planning::plan(
            &self.context,
            &self.id,
            delivery,
            checkout,
            &self.status.inventory,
            since,
        )
    }

    fn sync(&mut self, delivery: &Delivery, checkout: &Checkout, plan: &Plan) {
        let policies = planning::policies(&self.context.cluster, &self.id.namespace);
        self.services
            .sync(&delivery.spec, checkout, &policies, plan);
    }

    /// Writes the status where it says something new.
    async fn report(&mut self, pass: &Pass) {
        let delivery = self.spec.borrow().clone();
        let summaries = self.services.summaries();
        let mut problems = pass.problems.clone();
        problems.extend(self.services.problems());
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
        let problems = status.problems.len();
        self.context
            .metrics
            .says(&self.id, report::is_ready(&status), problems);
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
            source.cancel.cancel();
            let _ = source.task.await;
        }
        self.services.stop().await;
    }
}
