//! What the cluster does not take: a template is tried before anything of a release is written; what was refused is
//! remembered, and the cluster is asked again by a back-off ([`Retry`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::retry::Retry;
use super::{DesiredService, ServiceLoop, intent_of};
use crate::api::delivery::Expand;
use crate::api::rollout::{Quarantine, RolloutSpec, RolloutStatus};
use crate::api::serving::TrafficTarget;
use crate::cluster::{Cluster, Refusal, WriteError};
use crate::plan::{Manager, ServiceIntent};
use crate::policy::Policy;
use crate::rollout::{Live, Write, asked_again, decide, way_out};

/// What the cluster refused of a service.
#[derive(Debug)]
pub(super) struct Refusals {
    /// The digest of a manifest that the cluster refused, and its words, until they are remembered in the status.
    template: Option<(String, String)>,
    /// The digest of a manifest that it would take.
    checked: Option<String>,
    /// When a template that is kept out for a refusal is tried again.
    template_retry: Retry<String>,
    /// Traffic that the cluster refused while Git had this block, and its words.
    traffic: Option<(Vec<TrafficTarget>, String)>,
    /// The form that this is about.
    form: Option<Expand>,
    traffic_retry: Retry<Vec<TrafficTarget>>,
    /// The cluster is being asked again about that traffic.
    traffic_trial: Option<Trial>,
    /// Writes that nothing else of a release waits for: of each revision its `no-gc`, and stable's template, under
    /// no name.
    others: BTreeMap<String, (Retry<Write>, String)>,
}

/// A question to the cluster that is under way beside the loop: a webhook that does not answer delays no rollback.
#[derive(Debug)]
struct Trial {
    /// Git's traffic then.
    block: Vec<TrafficTarget>,
    task: AbortOnDropHandle<TrialAnswer>,
    answer: Option<TrialAnswer>,
}

/// `Err` where the traffic is not taken, with the API server's words where it has any.
type TrialAnswer = Result<(), Option<String>>;

impl Refusals {
    /// Nothing is known to be refused.
    pub fn new() -> Self {
        Self {
            template: None,
            checked: None,
            template_retry: Retry::new(),
            traffic: None,
            form: None,
            traffic_retry: Retry::new(),
            traffic_trial: None,
            others: BTreeMap::new(),
        }
    }

    /// A person wants the template tried now.
    pub fn retried(&mut self) {
        self.template = None;
        self.checked = None;
        self.template_retry.forget();
    }

    /// The template is written: what was refused before is over.
    pub fn template_taken(&mut self) {
        self.template_retry.forget();
    }

    /// The cluster does not take Git's traffic, in these words.
    pub fn traffic_refused(&mut self, block: &[TrafficTarget], words: String, now: Instant) {
        self.traffic_retry.tried(block.to_vec(), now);
        self.traffic = Some((block.to_vec(), words));
    }

    /// Forgets what was refused of the service in another form: that of a Service that goes says nothing of the Route.
    pub fn traffic_is_of(&mut self, form: Expand) {
        if self.form.replace(form) != Some(form) {
            self.traffic = None;
            self.traffic_retry.forget();
            self.traffic_trial = None;
        }
    }

    /// Waits for the answer to the question that is under way; for ever where there is none. Nothing is lost where the
    /// wait is given up.
    pub async fn answered(&mut self) {
        match &mut self.traffic_trial {
            Some(trial) if trial.answer.is_none() => {
                // One that broke off has told nothing.
                let answer = (&mut trial.task).await.unwrap_or(Err(None));
                trial.answer = Some(answer);
            }
            _ => std::future::pending().await,
        }
    }

    /// Gives up the question that is under way, whose answer nobody needs any more: it would hold its turn among the
    /// requests.
    pub fn ask_no_more(&mut self) {
        self.traffic_trial = None;
    }

    /// Takes in what the cluster has said of traffic that it refused.
    fn hear_of_traffic(&mut self, intent: &ServiceIntent, now: Instant) {
        let heard = self.traffic_trial.take_if(|trial| trial.answer.is_some());
        let Some((block, answer)) = heard.and_then(|heard| Some((heard.block, heard.answer?)))
        else {
            return;
        };
        if block != intent.traffic || self.traffic(intent).is_none() {
            return;
        }
        match answer {
            Ok(()) => {
                self.traffic_retry.tried(block, now);
                self.traffic = None;
            }
            Err(words) => {
                let words = words.or_else(|| self.traffic(intent).cloned());
                self.traffic_refused(&block, words.unwrap_or_default(), now);
            }
        }
    }

    /// The cluster took traffic that was asked of it.
    pub fn traffic_taken(&mut self) {
        if self.traffic.is_none() {
            self.traffic_retry.forget();
        }
    }

    /// Why the API server does not take the traffic that Git wants, as far as it was asked.
    pub fn traffic(&self, intent: &ServiceIntent) -> Option<&String> {
        let (block, words) = self.traffic.as_ref()?;
        (*block == intent.traffic).then_some(words)
    }

    /// Takes the writes out that were refused and are not due yet.
    pub fn hold(&mut self, writes: &mut Vec<Write>, now: Instant) {
        let wanted: BTreeSet<&str> = writes.iter().filter_map(slot).collect();
        self.others.retain(|slot, _| wanted.contains(slot.as_str()));
        writes.retain(|write| {
            let refused = slot(write).and_then(|slot| self.others.get(slot));
            refused.is_none_or(|(retry, _)| retry.due_in(write, now).is_zero())
        });
    }

    /// One of the other writes was refused, in these words.
    pub fn refused(&mut self, write: &Write, words: String, now: Instant) {
        let slot = slot(write).unwrap_or_default().to_owned();
        let known = self.others.entry(slot);
        let (retry, said) = known.or_insert_with(|| (Retry::new(), String::new()));
        retry.tried(write.clone(), now);
        *said = words;
    }

    /// One of the other writes was taken.
    pub fn written(&mut self, write: &Write) {
        if let Some(slot) = slot(write) {
            self.others.remove(slot);
        }
    }

    /// When the next of the other writes is due.
    pub fn others_due_in(&self, now: Instant) -> Option<Duration> {
        let left = self
            .others
            .values()
            .filter_map(|(retry, _)| retry.left(now));
        left.min()
    }

    /// What of the traffic, or of stable's template, the cluster refuses.
    pub fn said(&self, intent: &ServiceIntent) -> Option<String> {
        let template = || Some(&self.others.get(STABLE_TEMPLATE)?.1);
        let words = self.traffic(intent).or_else(template)?;
        Some(format!("{words}; {}", asked_again()))
    }
}

/// The slot of a write that puts stable's template back: no revision has this name.
const STABLE_TEMPLATE: &str = "";

/// Under which name a write is remembered that is refused, where it is one that nothing else waits for.
fn slot(write: &Write) -> Option<&str> {
    match write {
        Write::KeepRevision { name, .. } => Some(name),
        Write::StableTemplate { .. } => Some(STABLE_TEMPLATE),
        Write::Traffic { .. } | Write::Template { .. } => None,
    }
}

impl ServiceLoop {
    /// A changed template of a service that serves is tried without effect first, once, so that
    /// one that the cluster refuses leaves the service untouched; one that it refused is tried again when it is due.
    /// While a release waits for its start (`waits`) nothing is tried: what the cluster says then is old when it may
    /// start.
    pub(super) async fn check_template(
        &mut self,
        wanted: &DesiredService,
        live: &Live,
        waits: bool,
        now: Instant,
    ) {
        let intent = &wanted.intent;
        if waits && self.status.phase.rests() {
            self.refusals.template = None;
            self.refusals.checked = None;
            return;
        }
        // A newer template comes after the candidate's end, and is tried then.
        if has_users(&self.status, live) {
            return;
        }
        let manifest = intent.manifest();
        let kept_out = self.kept_out(intent).map(|q| q.refused.is_some());
        let due = match kept_out {
            // Kept out for what it did.
            Some(false) => false,
            Some(true) => {
                let wait = self.refusals.template_retry.due_in(&manifest, now);
                wait.is_zero() && self.status.phase.rests()
            }
            None => live
                .configuration
                .as_ref()
                .is_some_and(|c| !c.template_written),
        };
        if !due || self.refusals.checked.as_ref() == Some(&manifest) {
            return;
        }
        let object = intent.template_object(&intent.template.value());
        let cluster = &self.context.cluster;
        let answer = cluster.dry_run(&object, Manager::Objects).await;
        if kept_out.is_some() {
            self.refusals.template_retry.tried(manifest.clone(), now);
        }
        match answer {
            Ok(_) => {
                self.refusals.checked = Some(manifest);
                self.refusals.template = None;
            }
            // It is said of the template all the while, and remembered in its present words.
            Err(error) if kept_out.is_some() => {
                debug!(delivery = %intent.delivery, "still refused: {error}");
                if is_for_good(&error) {
                    self.refusals.template = Some((manifest, error.to_string()));
                }
            }
            Err(error) => self.refuse(wanted, &error, now),
        }
    }

    /// What the cluster says of Git's template goes into a decision.
    pub(super) fn template_facts(&self, intent: &ServiceIntent, live: &mut Live) {
        let manifest = intent.manifest();
        let refused = self.refusals.template.as_ref();
        live.refused = refused
            .filter(|(refused, _)| *refused == manifest)
            .map(|(_, words)| words.clone());
        live.accepted = self.refusals.checked.as_ref() == Some(&manifest);
    }

    /// A refusal that is in the status is remembered there.
    pub(super) fn hand_over_refusal(&mut self, intent: &ServiceIntent) {
        if self.refusal(intent).is_some() {
            self.refusals.template = None;
        }
    }

    /// Git's template, as it is kept out.
    fn kept_out(&self, intent: &ServiceIntent) -> Option<&Quarantine> {
        let manifest = intent.manifest();
        self.status.quarantine.iter().find(|q| {
            q.template_hash == intent.template_hash
                && q.refused
                    .as_ref()
                    .is_none_or(|refused| *refused == manifest)
        })
    }

    /// Why the cluster does not take Git's template, as it is remembered.
    pub(super) fn refusal(&self, intent: &ServiceIntent) -> Option<String> {
        let quarantine = self.kept_out(intent).filter(|q| q.refused.is_some())?;
        Some(format!("{}; {}", quarantine.reason, way_out(quarantine)))
    }

    /// A template that is refused for good is a fact that the next decision is made from.
    pub(super) fn refuse(&mut self, wanted: &DesiredService, error: &WriteError, now: Instant) {
        let intent = &wanted.intent;
        if is_for_good(error) {
            let refusals = &mut self.refusals;
            refusals.checked = None;
            refusals.template_retry.tried(intent.manifest(), now);
            let known = refusals
                .template
                .replace((intent.manifest(), error.to_string()));
            if known != refusals.template {
                // The next decision is due at once.
                self.context
                    .wakeups
                    .listen(&intent.namespace, &intent.name)
                    .notify_one();
            }
        }
        self.failed(wanted, error);
    }

    /// Traffic that the cluster refused is tried without effect when it is due: what would be written if nobody
    /// had refused it. Where there is nothing to write any more, nothing is refused. The answer comes in with a later pass.
    pub(super) fn check_traffic(
        &mut self,
        wanted: &DesiredService,
        policy: &Policy,
        spec: &RolloutSpec,
        live: &Live,
        now: Instant,
    ) {
        let intent = &wanted.intent;
        self.refusals.hear_of_traffic(intent, now);
        let waits = self.refusals.traffic_retry.due_in(&intent.traffic, now);
        let is_asked = self.refusals.traffic_trial.is_some();
        // Suspended, nothing is written.
        let is_due = self.refusals.traffic(intent).is_some() && waits.is_zero();
        if !is_due || is_asked || wanted.suspended {
            return;
        }
        let decided = decide(
            policy,
            &intent_of(wanted, &self.memory),
            &self.status,
            spec,
            live,
            self.gatherer.evidence(),
            Timestamp::now(),
        );
        let write = decided.writes.iter().find_map(|write| match write {
            Write::Traffic {
                targets,
                rolled_back,
                ..
            } => Some(intent.traffic_write(targets, rolled_back.as_ref())),
            _ => None,
        });
        let Some(object) = write else {
            let block = intent.traffic.clone();
            self.refusals.traffic_retry.tried(block, now);
            self.refusals.traffic = None;
            return;
        };
        let cluster = self.context.cluster.clone();
        let task = tokio::spawn(async move { try_traffic(&cluster, &object).await });
        self.refusals.traffic_trial = Some(Trial {
            block: intent.traffic.clone(),
            task: AbortOnDropHandle::new(task),
            answer: None,
        });
    }

    /// How long until the cluster is to be asked again about template or traffic, if it is.
    pub(super) fn asks_again_in(
        &self,
        wanted: &DesiredService,
        waits: bool,
        now: Instant,
    ) -> Option<Duration> {
        let intent = &wanted.intent;
        let (template, traffic) = (&self.refusals.template_retry, &self.refusals.traffic_retry);
        let manifest = intent.manifest();
        let template = (!waits
            && self.status.phase.rests()
            && self.refusal(intent).is_some()
            && self.refusals.checked.as_ref() != Some(&manifest))
        .then(|| template.due_in(&manifest, now));
        let is_asked = self.refusals.traffic_trial.is_some();
        let traffic = (!wanted.suspended && !is_asked && self.refusals.traffic(intent).is_some())
            .then(|| traffic.due_in(&intent.traffic, now));
        template.into_iter().chain(traffic).min()
    }
}

async fn try_traffic(cluster: &Cluster, object: &Value) -> TrialAnswer {
    let answer = cluster.dry_run(object, Manager::Traffic).await;
    answer.map(drop).map_err(|error| {
        debug!("the traffic is still refused: {error}");
        traffic_refused_for_good(&error)
    })
}

/// Whether users are on a candidate, by what the Route has or is asked for. Its rollback waits for nothing.
fn has_users(status: &RolloutStatus, live: &Live) -> bool {
    let candidate = status.candidate.as_ref().and_then(|c| c.revision.as_ref());
    let (Some(candidate), Some(route)) = (candidate, &live.route) else {
        return false;
    };
    route.spec.iter().chain(&route.status).any(|target| {
        target.revision_name.as_ref() == Some(candidate) && target.percent.unwrap_or(0) > 0
    })
}

/// Whether the cluster would say the same of the same object at once.
fn is_for_good(error: &WriteError) -> bool {
    matches!(
        error.cause,
        Refusal::Rejected { .. }
            | Refusal::Invalid(_)
            | Refusal::Forbidden(_)
            | Refusal::Conflict(_)
    )
}

/// The API server's words, where it will not take traffic that was written.
pub(super) fn traffic_refused_for_good(error: &WriteError) -> Option<String> {
    match &error.cause {
        Refusal::Rejected { message, .. } | Refusal::Invalid(message) => Some(message.clone()),
        _ => None,
    }
}
