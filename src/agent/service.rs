//! The loop of one service's release: look, decide, store, write, wait.
//!
//! Every decision is [`decide`]'s; this only keeps its promise that the status is
//! stored before anything is written, unless it may wait, so that a loop killed
//! anywhere is gone on with.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::context::Context;
use super::evidence::Gatherer;
use super::{observe, rollout_store};
use crate::api::delivery::Drift;
use crate::api::object::TemplateHash;
use crate::api::rollout::{Phase, Quarantine, RolloutStatus};
use crate::api::serving::{API_VERSION, annotation};
use crate::backoff::Backoff;
use crate::cluster::{self, Refusal, WriteError};
use crate::plan::{DeliveryId, FieldChange, LiveObject, Manager, ServiceIntent, normalize};
use crate::policy::{self, Policy};
use crate::rollout::{Decision, Event, Intent, Live, Write, decide};

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
    /// What is done about changes by hand.
    pub drift: Drift,
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
    /// The cluster has that status too.
    is_stored: bool,
    /// The last policy that could be read.
    policy: Option<Policy>,
    /// The digest of a manifest that the cluster refused, and its words.
    refused: Option<(String, String)>,
    /// The digest of a manifest that it would take.
    checked: Option<String>,
    problem: Option<String>,
    /// Writes that failed in a row.
    backoff: Backoff,
    /// The phase that the metrics have it in.
    counted: Option<Phase>,
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
        let status = rollout_store::status(&context.cluster, &first.intent);
        let gatherer = Gatherer::new(context.clone(), &first.intent.namespace, &first.intent.name);
        Self {
            context,
            wanted,
            summary,
            news,
            gatherer,
            status,
            is_stored: true,
            policy: None,
            refused: None,
            checked: None,
            problem: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            counted: None,
        }
    }

    /// Runs until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let (namespace, name) = {
            let first = self.wanted.borrow();
            (first.intent.namespace.clone(), first.intent.name.clone())
        };
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
        self.problem = wanted.policy.as_ref().err().cloned();
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
        let waits = wanted.suspended || spec.paused || wanted.policy.is_err();
        self.check_template(&wanted, &live, waits).await;
        live.refused = self
            .refused
            .clone()
            .filter(|(manifest, _)| *manifest == intent.manifest())
            .map(|(_, words)| words);
        let decided = decide(
            &policy,
            &intent_of(&wanted),
            &self.status,
            &spec,
            &live,
            self.gatherer.evidence(),
            Timestamp::now(),
        );
        let wait = match self.carry_out(&wanted, &policy, &live, decided).await {
            Ok(wait) => {
                self.backoff.reset();
                wait
            }
            Err(error) => {
                self.failed(&wanted, &error);
                Some(self.backoff.failed(0.0))
            }
        };
        if self.is_out_for_refusal(intent) {
            // Stored, it is remembered there; a person's retry asks the cluster again.
            self.refused = None;
            self.checked = None;
        }
        self.report(&wanted);
        wait
    }

    /// Stores the status, then writes, then says what is to be found out.
    async fn carry_out(
        &mut self,
        wanted: &DesiredService,
        policy: &Policy,
        live: &Live,
        decided: Decision,
    ) -> Result<Option<Duration>, WriteError> {
        let intent = &wanted.intent;
        // One that somebody deleted is written again: what is in quarantine must stay there.
        let cluster = &self.context.cluster;
        if cluster.get(&rollout_store::key(intent)).is_none() {
            rollout_store::create(cluster, intent).await?;
            self.is_stored = false;
        }
        self.is_stored &= decided.status == self.status;
        if !self.is_stored && !decided.persist_deferred {
            rollout_store::store(cluster, intent, &decided.status).await?;
            self.is_stored = true;
        }
        let before = std::mem::replace(&mut self.status, decided.status);
        self.count_endings(&intent.delivery, &before);
        for event in &decided.events {
            if matches!(event, Event::Retried { .. }) {
                self.refused = None;
                self.checked = None;
            }
            self.tell(wanted, event);
        }
        for write in &decided.writes {
            self.write(wanted, write).await?;
        }
        // What a deleted Delivery leaves behind stays as it is.
        if decided.writes.is_empty() && !wanted.withdrawn {
            self.follow_metadata(intent, live, wanted.drift).await?;
        }
        self.gatherer
            .wants(decided.gather, policy, &intent.template.value())
            .await;
        Ok(decided.wake_after)
    }

    /// A changed template of a service that serves is tried without effect first, once, so that
    /// one that the cluster refuses leaves the service untouched. While a release waits for its
    /// start (`waits`) nothing is tried: what the cluster says then is old when it may start.
    async fn check_template(&mut self, wanted: &DesiredService, live: &Live, waits: bool) {
        let intent = &wanted.intent;
        if waits && self.status.phase.rests() {
            self.refused = None;
            self.checked = None;
            return;
        }
        let new = live
            .configuration
            .as_ref()
            .is_some_and(|c| !c.template_written);
        let manifest = intent.manifest();
        let quarantined = self.status.quarantine.iter().any(|q| {
            q.template_hash == intent.template_hash
                && q.refused
                    .as_ref()
                    .is_none_or(|refused| *refused == manifest)
        });
        if !new || quarantined || self.checked.as_ref() == Some(&manifest) {
            return;
        }
        let object = intent.template_object(&intent.template.value());
        match self
            .context
            .cluster
            .dry_run(&object, Manager::Objects)
            .await
        {
            Ok(_) => {
                self.checked = Some(manifest);
                self.refused = None;
            }
            Err(error) => self.refuse(wanted, &error),
        }
    }

    /// Whether Git's template stays out because the cluster refused it.
    fn is_out_for_refusal(&self, intent: &ServiceIntent) -> bool {
        self.refusal(intent).is_some()
    }

    /// Why the cluster does not take Git's template, as it is remembered.
    fn refusal(&self, intent: &ServiceIntent) -> Option<String> {
        let manifest = intent.manifest();
        let kept_out = |q: &&Quarantine| {
            q.template_hash == intent.template_hash && q.refused.as_ref() == Some(&manifest)
        };
        let quarantine = self.status.quarantine.iter().find(kept_out)?;
        Some(format!(
            "{}; change it in Git, or `sluice rollout retry`",
            quarantine.reason
        ))
    }

    async fn write(&mut self, wanted: &DesiredService, write: &Write) -> Result<(), WriteError> {
        let intent = &wanted.intent;
        let cluster = self.context.cluster.clone();
        match write {
            Write::Template { attempt } => {
                let object = intent.template_object(&intent.template_of(*attempt));
                if let Err(error) = cluster.apply(&object, Manager::Objects).await {
                    self.refuse(wanted, &error);
                    return Err(error);
                }
            }
            Write::Traffic(targets) => {
                cluster
                    .apply(&intent.traffic_object(targets), Manager::Traffic)
                    .await?;
            }
            Write::KeepRevision { name, keep } => {
                let annotations = if *keep {
                    json!({annotation::NO_GC: "true"})
                } else {
                    json!({})
                };
                let object = json!({"apiVersion": API_VERSION, "kind": "Revision", "metadata":
                    {"name": name, "namespace": intent.namespace, "annotations": annotations}});
                // A revision that went away meanwhile needs no keeping.
                if let Err(error) = cluster.apply(&object, Manager::Objects).await
                    && error.is_transient()
                {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Labels and annotations follow Git without a release; the template stays what it is.
    async fn follow_metadata(
        &mut self,
        intent: &ServiceIntent,
        live: &Live,
        drift: Drift,
    ) -> Result<(), WriteError> {
        if !live
            .configuration
            .as_ref()
            .is_some_and(|c| c.template_written)
        {
            return Ok(());
        }
        let cluster = &self.context.cluster;
        if let Some(known) = cluster.get(&intent.template_key()) {
            // In the cluster's spelling: Knative makes a Revision for another one.
            let template = intent.template_object(&intent.template_as_in(&known));
            if self.follows(intent, drift, &known, &template, Manager::Objects) {
                cluster.apply(&template, Manager::Objects).await?;
            }
        }
        if let (Some(route), Some(known)) = (&live.route, cluster.get(&intent.traffic_key()))
            && intent.manager_of("Route") == Manager::Traffic
            && intent.traffic_key().kind == "Route"
        {
            let object = intent.traffic_object(&route.spec);
            if self.follows(intent, drift, &known, &object, Manager::Traffic) {
                cluster.apply(&object, Manager::Traffic).await?;
            }
        }
        Ok(())
    }

    /// Whether an object's labels and annotations are to be written: Git has others than it
    /// did, or somebody changed them by hand and that is not to be left so.
    fn follows(
        &self,
        intent: &ServiceIntent,
        drift: Drift,
        known: &LiveObject,
        object: &Value,
        manager: Manager,
    ) -> bool {
        if !intent.was_written_to(known, object) {
            return true;
        }
        if drift == Drift::Report {
            return false;
        }
        let changed = normalize::metadata_changes(object, known, manager);
        if changed.is_empty() {
            return false;
        }
        let fields: Vec<String> = changed.iter().map(FieldChange::to_string).collect();
        let message = format!(
            "{} was changed by hand ({}); corrected",
            known.key,
            fields.join(", ")
        );
        self.context
            .tell(&rollout_store::key(intent), "MetadataDrift", &message, true);
        true
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

    /// A template that is refused for good is a fact that the next decision is made from.
    fn refuse(&mut self, wanted: &DesiredService, error: &WriteError) {
        let intent = &wanted.intent;
        let for_good = matches!(
            error.cause,
            Refusal::Rejected { .. }
                | Refusal::Invalid(_)
                | Refusal::Forbidden(_)
                | Refusal::Conflict(_)
        );
        if for_good {
            let known = self.refused.replace((intent.manifest(), error.to_string()));
            if known != self.refused {
                // The next decision is due at once.
                self.context
                    .wakeups
                    .listen(&intent.namespace, &intent.name)
                    .notify_one();
            }
        }
        self.failed(wanted, error);
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
                .or_else(|| self.refusal(&wanted.intent)),
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

fn intent_of(wanted: &DesiredService) -> Intent {
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
        commit: Some(wanted.commit.clone()),
        subject: Some(wanted.subject.clone()),
        suspended: wanted.suspended,
        withdrawn: wanted.withdrawn,
        policy_problem: wanted.policy.as_ref().err().cloned(),
        drift: wanted.drift,
    }
}
