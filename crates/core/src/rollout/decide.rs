//! The decision: requests of people first, then the phase, then what follows from both.

use std::time::Duration;

use jiff::Timestamp;

use crate::analysis::Evidence;
use crate::api::rollout::{HoldReason, Phase, RolloutSpec, RolloutStatus};
use crate::policy::Policy;

use super::context::DecisionContext;
use super::decision::{Decision, Gather, Write};
use super::gates;
use super::input::{Intent, Live};
use super::stable_health::SERVES_NOBODY;
use super::state::State;
use super::traffic;
use super::transition::Transition;
use super::words::brief;

/// More phases than one pass can ever go through; a loop in the table would end here.
const MOST_TURNS: usize = 16;

/// What the release of one service does next, and why.
///
/// Pure: the clock, the cluster and the evidence are arguments, and the same arguments
/// always give the same answer. Store [`Decision::status`] before carrying out
/// [`Decision::writes`], unless it [may wait](Decision::persist_deferred); then any crash in
/// between is made good by the next pass.
///
/// ```
/// use jiff::Timestamp;
/// use sluicegate_api::delivery::{Drift, Expand};
/// use sluicegate_api::object::TemplateHash;
/// use sluicegate_api::rollout::Phase;
/// use sluicegate_core::policy;
/// use sluicegate_core::rollout::{Gather, Intent, Live, Write, decide};
///
/// let intent = Intent {
///     namespace: "default".to_owned(),
///     name: "hello".to_owned(),
///     expand: Expand::Routes,
///     template_hash: TemplateHash("1f3a".to_owned()),
///     manifest: "9c07".to_owned(),
///     revision_name: None,
///     final_traffic: Vec::new(),
///     traffic_problem: None,
///     commit: None,
///     subject: None,
///     suspended: false,
///     withdrawn: false,
///     policy_problem: None,
///     memory_problem: None,
///     source_problem: None,
///     drift: Drift::Correct,
///     config_changes: Vec::new(),
/// };
/// let policy = policy::read(
///     "{apiVersion: sluice.dev/v1alpha1, kind: RolloutPolicy, metadata: {name: mine}, spec: {}}",
/// )?;
/// // Nothing of it is in the cluster yet: its template is written, and nothing is probed.
/// let decision = decide(
///     &policy,
///     &intent,
///     &Default::default(),
///     &Default::default(),
///     &Live::default(),
///     &Default::default(),
///     Timestamp::UNIX_EPOCH,
/// );
/// assert_eq!(decision.status.phase, Phase::Initial);
/// assert_eq!(decision.writes, [Write::Template { attempt: 0 }]);
/// assert_eq!(decision.gather, Gather::Nothing);
/// # Ok::<(), policy::PolicyError>(())
/// ```
pub fn decide(
    policy: &Policy,
    intent: &Intent,
    status: &RolloutStatus,
    spec: &RolloutSpec,
    live: &Live,
    evidence: &Evidence,
    now: Timestamp,
) -> Decision {
    let State {
        service,
        mut candidates,
    } = State::read(status);
    let mut pass = DecisionContext {
        policy,
        intent,
        spec,
        live,
        evidence,
        now,
        service,
        candidate: candidates.remove(0),
        others: candidates,
        events: Vec::new(),
        refused: live
            .refused
            .clone()
            .or_else(|| name_taken(intent, status, live)),
        gather: Gather::Nothing,
        traffic: None,
        template: None,
        keep: Vec::new(),
    };
    pass.mend_clock();
    pass.service.expand = Some(intent.expand);
    pass.vanished();
    pass.find_rollback();
    pass.ask_again();
    pass.lift();
    pass.requests();
    pass.note_config_changes();

    let mut wake_after = None;
    for _ in 0..MOST_TURNS {
        pass.traffic = None;
        pass.template = None;
        pass.gather = Gather::Nothing;
        let turn = match pass.phase() {
            Phase::Pending => pass.pending(),
            Phase::Initial => pass.initial(),
            Phase::Pinning => pass.pinning(),
            Phase::Staging => pass.staging(),
            Phase::Probing => pass.probing(),
            Phase::Stepping => pass.stepping(),
            Phase::Promoting => pass.promoting(),
            Phase::RollingBack => pass.rolling_back(),
            Phase::Stable | Phase::RolledBack => pass.at_rest(),
            Phase::Failed => pass.failed(),
            // A hold names the phase that it is on top of; one that does not is from a
            // status that somebody edited.
            Phase::Holding => pass.lost_hold(),
        };
        match turn {
            Transition::To(phase) => pass.enter(phase),
            Transition::Again => {}
            Transition::Wait(after) => {
                wake_after = after;
                break;
            }
        }
    }
    pass.conditions();
    pass.decision(wake_after)
}

/// Why the name that the manifest gives its revision cannot be had, if it cannot: Knative would make none, and whoever
/// looked for it by name would find the old one.
fn name_taken(intent: &Intent, status: &RolloutStatus, live: &Live) -> Option<String> {
    let name = intent.revision_name.as_deref()?;
    let taken = live.revision(name)?.made_from_git == Some(false);
    // A Revision that is remembered as made from it may have what a webhook of the cluster added.
    let mut made = status
        .history
        .iter()
        .map(|entry| &entry.release)
        .chain(&status.stable);
    let is_known = made.any(|release| {
        release.revision.as_deref() == Some(name)
            && release.template_hash.as_ref() == Some(&intent.template_hash)
    });
    (taken && !is_known).then(|| {
        format!("the revision name {name} was used before, for another template: give this one a name of its own")
    })
}

impl DecisionContext<'_> {
    /// A clock that was set back leaves times in the future behind; nothing may wait for them.
    fn mend_clock(&mut self) {
        let now = self.now;
        let back = |time: &mut Option<Timestamp>| {
            if time.is_some_and(|time| time > now) {
                *time = Some(now);
            }
        };
        back(&mut self.candidate.phase_since);
        back(&mut self.service.traffic_requested_at);
        back(&mut self.service.confirmed_at);
        back(&mut self.candidate.analysis_started_at);
        if let Some(hold) = &mut self.candidate.hold {
            gates::mend_times(hold, now);
        }
        for condition in &mut self.service.conditions {
            condition.last_transition_time = condition.last_transition_time.min(now);
        }
        for entry in &mut self.candidate.evidence {
            entry.at = entry.at.min(now);
        }
    }

    fn lost_hold(&mut self) -> Transition {
        let phase = match (&self.service.stable, &self.candidate.release) {
            (None, _) => Phase::Pending,
            (Some(_), None) => Phase::Stable,
            (Some(_), Some(_)) => Phase::RollingBack,
        };
        Transition::To(phase)
    }

    /// `Ready`, `Progressing`, `Degraded` and, once there was any, `Drifted`.
    fn conditions(&mut self) {
        self.candidate.message = brief(&self.candidate.message);
        let message = self.candidate.message.clone();
        let phase = self.candidate.phase;
        let word = phase.to_string();
        let resting = matches!(phase, Phase::Stable | Phase::RolledBack | Phase::Failed);
        let ready = phase == Phase::Stable && self.service.confirmed_at.is_some();
        let ready = ready || (phase == Phase::Stable && self.service.preserve_adopted_traffic);
        match self.serves_nobody() {
            Some(cause) => self.condition("Ready", false, SERVES_NOBODY, cause),
            None => self.condition("Ready", ready, &word, message.clone()),
        }
        self.condition(
            "Progressing",
            !resting && phase != Phase::Holding && phase != Phase::Pending,
            &word,
            message,
        );
        let degraded = self.degraded();
        match degraded {
            Some((reason, message)) => self.condition("Degraded", true, reason, message),
            None => self.condition("Degraded", false, "AsExpected", String::new()),
        }
        self.say_stable_health();
        match self.left_drift() {
            Some(drift) => self.condition("Drifted", true, "ChangedByHand", drift),
            None if self.has_said("Drifted", "ChangedByHand") => {
                self.condition("Drifted", false, "AsDelivered", String::new());
            }
            None => {}
        }
    }

    /// What a person should look at.
    fn degraded(&self) -> Option<(&'static str, String)> {
        let status = &self.candidate;
        if status.phase == Phase::RollingBack
            && self.unconfirmed_for() >= self.policy.confirm_timeout
        {
            return Some((
                "RollbackUnconfirmed",
                traffic::cause(self.live.route.as_ref()),
            ));
        }
        if let Some(cause) = self.stable_trouble() {
            return Some(("StableUnhealthy", self.with_config_change(cause)));
        }
        if status.phase == Phase::Failed {
            return Some(("Failed", status.message.clone()));
        }
        let held = [
            (HoldReason::Evidence, "NoVerdict"),
            (HoldReason::Unconfirmed, "Unconfirmed"),
        ];
        let held = held
            .into_iter()
            .find(|(gate, _)| self.held_by(*gate).is_some());
        held.map(|(_, reason)| (reason, status.message.clone()))
    }

    fn decision(mut self, wake_after: Option<Duration>) -> Decision {
        let unstored = self.beginning_may_wait();
        let times = [
            wake_after,
            unstored,
            self.next_opening(),
            self.patience_left(),
        ];
        let wake_after = times.into_iter().flatten().min();
        // Suspended, nothing is written but the way back (and the last word of a promotion).
        let frozen =
            self.intent.suspended && !matches!(self.phase(), Phase::RollingBack | Phase::Promoting);
        let mut writes = Vec::new();
        if !frozen {
            writes.extend(self.traffic_write());
            writes.extend(self.stable_template());
            if let Some(attempt) = self.template {
                writes.push(Write::Template { attempt });
            }
            writes.append(&mut self.keep);
        }
        Decision {
            order: self.order(),
            status: self.service.stored_with(self.candidate),
            persist_deferred: unstored.is_some(),
            writes,
            events: self.events,
            gather: self.gather,
            wake_after,
        }
    }
}
