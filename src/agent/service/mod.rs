//! The loop of one service's release: look, decide, store, write, wait.
//!
//! Every decision is [`decide`]'s; this only keeps its promises: going up, the status is
//! stored before anything is written, unless it may wait, so that a loop killed anywhere is
//! gone on with; going down, the traffic is written first (`carry_out.rs`).

mod carry_out;
mod metadata;
mod refusals;
mod retry;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::refusals::Refusals;
use super::context::Context;
use super::evidence::Gatherer;
use super::{observe, rollout_store};
use crate::api::delivery::Drift;
use crate::api::object::TemplateHash;
use crate::api::rollout::{ConfigChange, HoldReason, Phase, RolloutStatus};
use crate::backoff::Backoff;
use crate::cluster::{self, WriteError};
use crate::plan::{DeliveryId, ServiceIntent};
use crate::policy::{self, Policy};
use crate::rollout::memory::Memory;
use crate::rollout::{Event, Intent, LEFT_OUT, decide, serves_nobody};

/// How long a loop waits after a write that failed, at first.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What Git wants of a service, and how it is let in.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredService {
    /// The service.
    pub intent: Arc<ServiceIntent>,
    /// The policy, or why there is none: then nothing new starts and nothing goes up.
    pub policy: Result<Policy, String>,
    /// The commit that brought the present template.
    pub commit: String,
    /// That commit's first line.
    pub subject: String,
    /// The Delivery is suspended.
    pub suspended: bool,
    /// The Delivery was deleted.
    pub withdrawn: bool,
    /// Why it is not known what Git wants, where `intent` is but what the cluster has.
    pub source_problem: Option<String>,
    /// What is done about changes by hand.
    pub drift: Drift,
    /// What commits have changed of the ConfigMaps and Secrets that its template names, since this agent began.
    pub config_changes: Vec<ConfigChange>,
}

/// Where the loop of a service stands, for its Delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceSummary {
    /// The machine's phase.
    pub phase: Phase,
    /// Its sentence.
    pub message: String,
    /// The template that this is about; none before the first look.
    pub template: Option<TemplateHash>,
    /// That template is the one at rest.
    pub settled: bool,
    /// What a person must mend, if anything.
    pub problem: Option<String>,
    /// The Delivery was deleted, and nothing is on its way any more.
    pub withdrawn: bool,
}

/// One service's loop.
pub struct ServiceLoop {
    context: Arc<Context>,
    wanted: watch::Receiver<Arc<DesiredService>>,
    summary: watch::Sender<ServiceSummary>,
    news: Arc<Notify>,
    gatherer: Gatherer,
    status: RolloutStatus,
    /// What was found at the beginning.
    memory: Memory,
    /// The cluster has that status too.
    is_stored: bool,
    /// The last policy that could be read.
    policy: Option<Policy>,
    /// What the cluster refused.
    refusals: Refusals,
    problem: Option<String>,
    /// Writes that failed in a row.
    backoff: Backoff,
    /// The phase that the metrics have it in.
    counted: Option<Phase>,
    /// Ends it: also where another agent leads its Delivery.
    cancel: CancellationToken,
}

impl ServiceLoop {
    /// A loop that goes on from what the cluster remembers; `news` is told when `standing` changes.
    pub fn new(
        context: Arc<Context>,
        wanted: watch::Receiver<Arc<DesiredService>>,
        summary: watch::Sender<ServiceSummary>,
        news: Arc<Notify>,
    ) -> Self {
        let first = wanted.borrow().clone();
        let memory = rollout_store::memory(&context.cluster, &first.intent);
        let gatherer = Gatherer::new(context.clone(), &first.intent.namespace, &first.intent.name);
        Self {
            context,
            wanted,
            summary,
            news,
            gatherer,
            status: memory.status.clone(),
            memory,
            is_stored: true,
            policy: None,
            refusals: Refusals::new(),
            problem: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            counted: None,
            cancel: CancellationToken::new(),
        }
    }

    /// Runs until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let (namespace, name) = {
            let first = self.wanted.borrow();
            (first.intent.namespace.clone(), first.intent.name.clone())
        };
        self.cancel = cancel.clone();
        let wake = self.context.wakeups.listen(&namespace, &name);
        let mut reach = self.context.cluster.reach();
        loop {
            let turn = self.turn().await;
            if cancel.is_cancelled() {
                break;
            }
            // Boxed: a thousand services at rest shall not each keep room for a pass.
            let wait = Box::pin(self.pass()).await;
            drop(turn);
            tokio::select! {
                () = cancel.cancelled() => break,
                // A rollback that could not be written must not wait for its turn.
                () = cluster::back(&mut reach) => self.backoff.reset(),
                () = wake.notified() => {}
                () = self.gatherer.news() => {}
                () = self.refusals.answered() => {}
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = sleep(wait) => {}
            }
        }
        self.gatherer.stop().await;
        let delivery = self.wanted.borrow().intent.delivery.clone();
        self.context.metrics.moved(&delivery, self.counted, None);
        self.context.wakeups.forget(&namespace, &name, wake);
    }

    /// Waits its turn where no release is between two revisions: when a thousand services begin at once, each
    /// pass holds what it is about to write, and a release under way goes before all of them.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let phase = self.status.phase;
        if phase.rests() || phase == Phase::Initial {
            // Nobody closes it.
            self.context.turns.clone().acquire_owned().await.ok()
        } else {
            None
        }
    }

    /// One look and one decision; gives how long nothing needs to happen.
    async fn pass(&mut self) -> Option<Duration> {
        let wanted = self.wanted.borrow_and_update().clone();
        let intent = &wanted.intent;
        // A release on its way is watched on whatever becomes of its policy.
        if let Ok(policy) = &wanted.policy {
            self.policy = Some(policy.clone());
        }
        let policy = self.policy.clone().unwrap_or_else(policy::of_last_resort);
        let memory = self.memory.problem.as_ref().map(ToString::to_string);
        self.problem = memory.or_else(|| wanted.policy.as_ref().err().cloned());
        let mut live = observe::read(&self.context.cluster, &self.context.wakeups, intent);
        live.watching_since = Some(
            self.context
                .watching_since(&intent.delivery, &intent.namespace),
        );
        // What an agent before this one named by another hash is named anew.
        if observe::recognise(&self.context.cluster, intent, &live, &mut self.status) {
            self.is_stored = false;
        }
        let spec = rollout_store::spec(&self.context.cluster, intent);
        let waits = wanted.suspended || spec.is_paused(Timestamp::now()) || wanted.policy.is_err();
        let now = Instant::now();
        self.refusals.traffic_is_of(intent.mode);
        self.check_template(&wanted, &live, waits, now).await;
        self.template_facts(intent, &mut live);
        self.check_traffic(&wanted, &policy, &spec, &live, now);
        if let Some(route) = &mut live.route {
            route.refused = self.refusals.traffic(intent).cloned();
        }
        let decided = decide(
            &policy,
            &intent_of(&wanted, &self.memory),
            &self.status,
            &spec,
            &live,
            self.gatherer.evidence(),
            Timestamp::now(),
        );
        let wait = match self.carry_out(&wanted, &policy, &live, decided, now).await {
            Ok(wait) => {
                self.backoff.reset();
                let asks = self.asks_again_in(&wanted, waits, now);
                wait.into_iter().chain(asks).min()
            }
            Err(error) => {
                self.failed(&wanted, &error);
                Some(self.backoff.failed(0.0))
            }
        };
        self.hand_over_refusal(intent);
        self.report(&wanted);
        wait
    }

    /// Counts the releases that a new status remembers and the one before it did not.
    fn count_endings(&self, delivery: &DeliveryId, before: &RolloutStatus) {
        let new = self.status.history.iter().take_while(|entry| {
            let newest = before.history.first();
            newest.is_none_or(|newest| newest != *entry)
        });
        for entry in new {
            self.context.metrics.ended(delivery, entry.outcome);
        }
    }

    /// Something was not written; it is tried again.
    fn failed(&mut self, wanted: &DesiredService, error: &WriteError) {
        let (service, revision, commit) = self.subject(wanted);
        warn!(delivery = %wanted.intent.delivery, service, revision, commit, "{error}");
        self.problem = Some(error.to_string());
    }

    /// What a line of the log is about: service, revision and commit.
    fn subject<'a>(&'a self, wanted: &'a DesiredService) -> (String, &'a str, &'a str) {
        let intent = &wanted.intent;
        let release = self
            .status
            .candidate
            .as_ref()
            .or(self.status.stable.as_ref());
        let revision = release.and_then(|r| r.revision.as_deref()).unwrap_or("-");
        let commit = release
            .and_then(|r| r.commit.as_deref())
            .unwrap_or(&wanted.commit);
        let service = format!("{}/{}", intent.namespace, intent.name);
        (service, revision, commit)
    }

    fn tell(&self, wanted: &DesiredService, event: &Event) {
        let intent = &wanted.intent;
        let (service, revision, commit) = self.subject(wanted);
        if event.is_warning() {
            warn!(delivery = %intent.delivery, service, revision, commit, reason = event.word(), "{event}");
        } else {
            info!(delivery = %intent.delivery, service, revision, commit, reason = event.word(), "{event}");
        }
        self.context.tell(
            &rollout_store::key(intent),
            event.word(),
            &event.to_string(),
            event.is_warning(),
        );
    }

    fn report(&mut self, wanted: &DesiredService) {
        let stable = self
            .status
            .stable
            .as_ref()
            .and_then(|stable| stable.template_hash.as_ref());
        let summary = ServiceSummary {
            phase: self.status.phase,
            message: self.status.message.clone(),
            template: Some(wanted.intent.template_hash.clone()),
            settled: self.status.phase == Phase::Stable
                && stable == Some(&wanted.intent.template_hash),
            problem: self
                .problem
                .clone()
                .or_else(|| self.refusal(&wanted.intent))
                .or_else(|| self.refusals.said(&wanted.intent))
                .or_else(|| not_as_in_git(&self.status))
                .or_else(|| down(&self.status).map(str::to_owned)),
            withdrawn: wanted.withdrawn && !is_on_its_way(&self.status),
        };
        let known = self.counted.replace(summary.phase);
        let metrics = &self.context.metrics;
        metrics.moved(&wanted.intent.delivery, known, self.counted);
        let (service, revision, commit) = self.subject(wanted);
        debug!(delivery = %wanted.intent.delivery, service, revision, commit, phase = %summary.phase, "a pass");
        let changed = self.summary.send_if_modified(|known| {
            let changed = *known != summary;
            *known = summary;
            changed
        });
        if changed {
            self.news.notify_one();
        }
    }
}

/// What Git asks for and the service cannot have, until Git is changed.
fn not_as_in_git(status: &RolloutStatus) -> Option<String> {
    let hold = status.hold.as_ref().map(|hold| hold.reason);
    if hold == Some(HoldReason::NoTag) {
        return Some(status.message.clone());
    }
    let mut conditions = status.conditions.iter();
    let left_out = conditions.find(|c| c.type_ == LEFT_OUT && c.is_true())?;
    Some(left_out.message.clone())
}

/// What keeps every user from being served, unless a release that may mend it is on its way.
fn down(status: &RolloutStatus) -> Option<&str> {
    serves_nobody(status).filter(|_| !is_on_its_way(status))
}

/// Whether a release is between two revisions, or held there.
pub fn is_on_its_way(status: &RolloutStatus) -> bool {
    let under = status.hold.as_ref().map_or(status.phase, |hold| hold.phase);
    matches!(
        under,
        Phase::Pinning
            | Phase::Staging
            | Phase::Probing
            | Phase::Stepping
            | Phase::Promoting
            | Phase::RollingBack
    )
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn intent_of(wanted: &DesiredService, memory: &Memory) -> Intent {
    let intent = &wanted.intent;
    Intent {
        namespace: intent.namespace.clone(),
        name: intent.name.clone(),
        expand: intent.mode,
        template_hash: intent.template_hash.clone(),
        manifest: intent.manifest(),
        revision_name: intent
            .template
            .value()
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .map(str::to_owned),
        final_traffic: intent.traffic.clone(),
        traffic_problem: intent.traffic_problem.clone(),
        commit: Some(wanted.commit.clone()),
        subject: Some(wanted.subject.clone()),
        suspended: wanted.suspended,
        withdrawn: wanted.withdrawn,
        policy_problem: wanted.policy.as_ref().err().cloned(),
        memory_problem: memory.problem.as_ref().map(ToString::to_string),
        source_problem: wanted.source_problem.clone(),
        drift: wanted.drift,
        config_changes: wanted.config_changes.clone(),
    }
}
