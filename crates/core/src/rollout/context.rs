//! One pass over one release: what it looks at, what it has found out so far, and the moves
//! that several phases share.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::analysis::{Check, Evidence, Verdict};
use crate::api::condition::{Condition, set_condition};
use crate::api::rollout::{
    EvidenceSource, EvidenceVerdict, HoldReason, Outcome, Release, RolloutSpec, StepEvidence,
};
use crate::api::serving::TrafficTarget;
use crate::policy::Policy;

use super::allocate::{Known, Part, Split, TargetTraffic, allocate};
use super::decision::{Gather, Write};
use super::event::Event;
use super::input::{Intent, Live};
use super::reason::Reason;
use super::state::{CandidateState, ServiceState};
use super::traffic::{self, LEFT_OUT};
use super::transition::Transition;
use super::words::{self, brief, briefer};

/// A verdict on a step is recorded this often at most while nothing changes.
const RECORD_EVERY: Duration = Duration::from_secs(5);

/// One pass.
pub(super) struct DecisionContext<'a> {
    pub policy: &'a Policy,
    pub intent: &'a Intent,
    pub spec: &'a RolloutSpec,
    pub live: &'a Live,
    pub evidence: &'a Evidence,
    pub now: Timestamp,
    pub service: ServiceState,
    /// The one that is decided.
    pub candidate: CandidateState,
    /// Those that have their share beside it.
    pub others: Vec<CandidateState>,
    pub events: Vec<Event>,
    /// Why the cluster does not take Git's template, until it is to be tried again.
    pub refused: Option<String>,
    pub gather: Gather,
    /// The traffic that the present phase wants; `None` leaves it alone.
    pub traffic: Option<Vec<TrafficTarget>>,
    /// The template (and attempt) that the present phase wants written.
    pub template: Option<u32>,
    pub keep: Vec<Write>,
}

impl<'a> DecisionContext<'a> {
    /// The time since then, as far as the cluster was watched: an outage blames nobody.
    pub fn since(&self, then: Option<Timestamp>) -> Duration {
        let from = then.max(self.live.watching_since).unwrap_or(self.now);
        Duration::try_from(self.now.duration_since(from)).unwrap_or_default()
    }

    /// The time in the present phase.
    pub fn in_phase(&self) -> Duration {
        self.since(self.candidate.phase_since)
    }

    /// The candidate's revision, or what it is called before it has one.
    pub fn candidate_name(&self) -> String {
        self.candidate_revision()
            .unwrap_or_else(|| "the new template".to_owned())
    }

    /// The candidate's revision.
    pub fn candidate_revision(&self) -> Option<String> {
        self.candidate.release.as_ref()?.revision.clone()
    }

    /// The stable revision.
    pub fn stable_revision(&self) -> Option<String> {
        self.service.stable.as_ref()?.revision.clone()
    }

    /// The revision that the watched one is rolled back to after a fault.
    pub fn kept_revision(&self) -> Option<&str> {
        self.service.watch.as_ref()?.previous.revision.as_deref()
    }

    /// Git's template as a release.
    pub fn new_release(&self, attempt: u32) -> Release {
        Release {
            revision: None,
            template_hash: Some(self.intent.template_hash.clone()),
            generation: None,
            commit: self.intent.commit.clone(),
            subject: self.intent.subject.as_deref().map(words::name),
            attempt,
            since: Some(self.now),
        }
    }

    /// The traffic block for these parts.
    pub fn target_traffic<'s>(&'s self, mut split: Split<'s>) -> TargetTraffic {
        split
            .candidates
            .extend(self.others.iter().filter_map(|other| {
                Some(Part {
                    revision: other.release.as_ref()?.revision.as_deref()?,
                    weight: other.weight,
                    tag: other.tag.as_deref(),
                })
            }));
        let tainted = self.tainted(split.stable);
        let candidate = self.candidate_revision();
        allocate(
            &self.shape(),
            &split,
            &Known {
                service: &self.intent.name,
                usable: &|name| self.live.is_usable(name),
                tainted: &tainted,
                newest: [candidate.as_deref(), self.intent.revision_name.as_deref()],
            },
        )
    }

    /// Git's traffic block; where it cannot be used, the one that the cluster has, without what a release adds to it.
    pub fn shape(&self) -> Cow<'_, [TrafficTarget]> {
        let stable = self
            .stable_revision()
            .filter(|_| self.traffic_problem().is_some());
        match (stable, &self.live.route) {
            (Some(stable), Some(route)) => Cow::Owned(traffic::traffic_without_release(
                &route.spec,
                &stable,
                self.candidate_revision().as_deref(),
                self.kept_revision(),
                &self.intent.name,
            )),
            _ => Cow::Borrowed(&self.intent.final_traffic),
        }
    }

    /// Why Git's traffic block cannot be used: it is wrong in itself, or the API server does not take it.
    pub fn traffic_problem(&self) -> Option<&String> {
        let refused = || self.live.route.as_ref()?.refused.as_ref();
        self.intent.traffic_problem.as_ref().or_else(refused)
    }

    /// Revisions that Git's traffic may not name: rolled back, or never judged.
    fn tainted(&self, stable: &str) -> BTreeSet<String> {
        let bad = |outcome| {
            matches!(
                outcome,
                Outcome::RolledBack | Outcome::Superseded | Outcome::Interrupted | Outcome::Failed
            )
        };
        let mut tainted: BTreeSet<String> = self
            .service
            .history
            .iter()
            .filter(|entry| bad(entry.outcome))
            .filter_map(|entry| entry.release.revision.clone())
            .chain(
                self.service
                    .quarantine
                    .iter()
                    .filter_map(|q| q.revision.clone()),
            )
            .chain(self.candidate_revision())
            .collect();
        // What was good at another time (an undone release that was retried, say) is good.
        for entry in &self.service.history {
            if !bad(entry.outcome)
                && let Some(revision) = &entry.release.revision
                && !self
                    .service
                    .quarantine
                    .iter()
                    .any(|q| q.revision.as_ref() == Some(revision))
            {
                tainted.remove(revision);
            }
        }
        tainted.remove(stable);
        tainted
    }

    /// Asks for this traffic, and says whether the cluster has it.
    pub fn want(&mut self, wanted: TargetTraffic) -> bool {
        self.say_left_out(&wanted.left_out);
        self.want_targets(wanted.targets)
    }

    /// Says which entries of Git's traffic cannot be had: once in an event, and in a condition for as long as it is so.
    fn say_left_out(&mut self, left_out: &[(String, &'static str)]) {
        let mut said = self.service.conditions.iter();
        let said = said.find(|condition| condition.type_ == LEFT_OUT && condition.is_true());
        let said = said.map(|condition| condition.message.clone());
        if left_out.is_empty() {
            if said.is_some() {
                self.condition(LEFT_OUT, false, "AsInGit", String::new());
            }
            return;
        }
        let said = said.unwrap_or_default();
        let events = left_out.iter().map(|(revision, why)| Event::EntryLeftOut {
            revision: revision.clone(),
            why: (*why).to_owned(),
        });
        let events: Vec<(String, Event)> = events.map(|event| (event.to_string(), event)).collect();
        let all: Vec<&str> = events.iter().map(|(words, _)| words.as_str()).collect();
        let all = words::stand_in(all.join("; "));
        if all == said {
            return;
        }
        let new = events
            .into_iter()
            .filter(|(words, _)| !said.contains(words));
        self.events.extend(new.map(|(_, event)| event));
        self.condition(LEFT_OUT, true, "NoSuchRevision", all);
    }

    /// Asks for exactly these targets, and says whether the cluster has them.
    pub fn want_targets(&mut self, targets: Vec<TrafficTarget>) -> bool {
        let text = traffic::describe(&targets);
        let spec = self.live.route.as_ref().map(|route| route.spec.as_slice());
        let asked = spec.is_some_and(|spec| traffic::same(spec, &targets));
        if self.service.traffic != text {
            self.service.traffic = text;
            self.service.traffic_requested_at = Some(self.now);
            self.service.confirmed_at = None;
        } else if !asked && self.service.confirmed_at.is_some() && !self.intent.suspended {
            self.events.push(Event::TrafficDrift {
                found: spec.map_or_else(|| "no Route at all".to_owned(), traffic::describe),
                wanted: text,
                left: false,
            });
            self.service.traffic_requested_at = Some(self.now);
            self.service.confirmed_at = None;
        }
        let confirmed = self
            .live
            .route
            .as_ref()
            .is_some_and(|route| traffic::confirmed(route, &targets));
        if confirmed && self.service.confirmed_at.is_none() {
            self.service.confirmed_at = Some(self.now);
            self.candidate.analysis_started_at = Some(self.now);
        }
        self.traffic = Some(targets);
        confirmed
    }

    /// How long the traffic that was asked for has not been confirmed.
    pub fn unconfirmed_for(&self) -> Duration {
        self.since(self.service.traffic_requested_at)
    }

    /// The wait for the cluster's word on what was asked, and `blame` where it did not come in
    /// time. No release is to blame while nobody has looked at the Route: then it is held, and
    /// goes on once the word comes.
    pub fn await_confirmation(
        &mut self,
        limit: Duration,
        blame: fn(&mut Self, Reason) -> Transition,
    ) -> Transition {
        // It was in force, and is not any more: the wait begins now.
        if self.service.confirmed_at.take().is_some() {
            self.service.traffic_requested_at = Some(self.now);
        }
        let waited = self.unconfirmed_for();
        if waited < limit {
            return Transition::Wait(Some(limit - waited));
        }
        let route = self.live.route.as_ref();
        if traffic::unheard(route, self.traffic.as_deref().unwrap_or_default()) {
            return self.hold_unconfirmed();
        }
        let cause = traffic::cause(route);
        blame(self, Reason::NotConfirmed { waited, cause })
    }

    /// The cluster does not confirm the traffic, and no release is to blame.
    pub fn hold_unconfirmed(&mut self) -> Transition {
        let cause = traffic::cause(self.live.route.as_ref());
        self.hold(
            HoldReason::Unconfirmed,
            format!("the cluster does not confirm its traffic: {cause}"),
        );
        // An event of the Route wakes it; this is for one that was missed.
        Transition::Wait(Some(self.policy.confirm_timeout))
    }

    /// The share that a release moves, given what it names now.
    pub fn canary_share(&self) -> i64 {
        let stable = self.stable_revision().unwrap_or_default();
        self.target_traffic(Split::alone(&stable)).canary_share
    }

    /// What the cluster says of a candidate that is not Ready.
    pub fn why_not_ready(&self) -> String {
        let Some(name) = self.candidate_revision() else {
            return match self
                .live
                .configuration
                .as_ref()
                .and_then(|c| c.ready.as_ref())
            {
                Some(ready) if ready.is_false() => ready.cause(),
                _ => "the cluster has made no Revision of it".to_owned(),
            };
        };
        let Some(revision) = self.live.revision(&name) else {
            return "its Revision is gone".to_owned();
        };
        if let Some(waiting) = &revision.pods.waiting_reason {
            return waiting.clone();
        }
        match &revision.ready {
            Some(ready) if !ready.reason.is_empty() => ready.cause(),
            _ => "the cluster gives no reason".to_owned(),
        }
    }

    /// Writes what a check says into the record: one entry a weight, the last one, and not more
    /// often than people read. Says whether this evidence is new; of a check that says nothing, or of which no
    /// record is kept, none is.
    pub fn record(&mut self, check: &Check, at: Timestamp) -> bool {
        self.record_at(self.candidate.weight, check, at)
    }

    /// The same of any weight.
    pub fn record_at(&mut self, weight: u8, check: &Check, at: Timestamp) -> bool {
        let (Some(verdict), Some(source)) = (&check.verdict, check.source()) else {
            return false;
        };
        let word = match verdict {
            Verdict::Pass(_) => EvidenceVerdict::Pass,
            Verdict::Fail { .. } => EvidenceVerdict::Fail,
            Verdict::Inconclusive(_) => EvidenceVerdict::Inconclusive,
        };
        let entry = StepEvidence {
            weight,
            at,
            verdict: word,
            reason: briefer(&verdict.finding().to_string()),
            source,
        };
        let probes = |source| source == EvidenceSource::Probes;
        // A hold that is about to begin says how things stand then.
        let holds = self.candidate.hold.is_none() && self.in_phase() >= self.policy.step_timeout;
        match self
            .candidate
            .evidence
            .iter_mut()
            .find(|old| old.weight == entry.weight && probes(old.source) == probes(entry.source))
        {
            None => self.candidate.evidence.push(entry),
            Some(old) if old.at >= at => return false,
            Some(old) => {
                let age = Duration::try_from(at.duration_since(old.at)).unwrap_or_default();
                let repeats = old.verdict == entry.verdict && word == EvidenceVerdict::Inconclusive;
                if !repeats || ((age >= RECORD_EVERY || holds) && old.reason != entry.reason) {
                    *old = entry;
                }
            }
        }
        true
    }

    /// Sets a condition of the rollout.
    pub fn condition(&mut self, type_: &str, is: bool, reason: &str, message: String) {
        set_condition(
            &mut self.service.conditions,
            Condition {
                type_: type_.to_owned(),
                status: if is { "True" } else { "False" }.to_owned(),
                reason: reason.to_owned(),
                message: brief(&message),
                observed_generation: None,
                last_transition_time: self.now,
            },
        );
    }

    /// Whether a condition has this reason already: what is said once is said in it.
    pub fn has_said(&self, type_: &str, reason: &str) -> bool {
        self.service
            .conditions
            .iter()
            .any(|condition| condition.type_ == type_ && condition.reason == reason)
    }
}
