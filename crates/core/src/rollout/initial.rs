//! The first delivery: nothing serves yet, and there is nothing to roll back to.
//!
//! A Route's percentages must add up to 100, so the first revision cannot be tagged at 0 %
//! beside something else. It gets its Route when it is Ready, is probed on its tag URL,
//! and only then counts as stable.
//!
//! Its beginning is the one status that need not be stored before the write that it leads to: where there was
//! nothing to remember, an agent that is killed and remembers nothing begins in the same way. That is one write
//! fewer for each of a thousand services that are delivered for the first time.

use std::time::Duration;

use crate::analysis::Judgement;
use crate::api::rollout::{Outcome, Phase};

use super::allocate::Split;
use super::context::DecisionContext;
use super::event::Event;
use super::reason::Reason;
use super::refusal::way_out;
use super::transition::Transition;

/// How long nothing of a first delivery is to be read in its ServiceRollout, where the cluster makes nothing of it.
const UNSTORED: Duration = Duration::from_secs(10);

impl DecisionContext<'_> {
    /// How long the status may stay unstored, if it may: a first delivery has begun, nothing has come of it, and
    /// there is nothing else to remember.
    pub fn beginning_may_wait(&self) -> Option<Duration> {
        let (service, candidate) = (&self.service, &self.candidate);
        let has_just_begun = candidate.phase == Phase::Initial
            && candidate
                .release
                .as_ref()
                .is_some_and(|candidate| candidate.revision.is_none() && candidate.attempt == 0);
        let remembers = !service.history.is_empty()
            || !service.quarantine.is_empty()
            || !service.answers.is_empty();
        let left = UNSTORED.saturating_sub(self.in_phase());
        (has_just_begun && !remembers && !left.is_zero()).then_some(left)
    }

    /// Begins the first delivery.
    pub fn start_first(&mut self, attempt: u32) -> Transition {
        self.events.push(Event::Started {
            commit: self.intent.commit.clone(),
            subject: self.intent.subject.clone(),
            stable: None,
        });
        self.begin(attempt);
        Transition::To(Phase::Initial)
    }

    /// Readiness, then the Route, then probes.
    pub fn initial(&mut self) -> Transition {
        let git = Some(&self.intent.template_hash);
        match &self.candidate.release {
            Some(candidate) if candidate.template_hash.as_ref() == git => {}
            _ => return self.start_over(),
        }
        if let Some(message) = self.refused.clone() {
            return self.fail(Reason::Refused { message });
        }
        if self.candidate_revision().is_none() && self.stands_still() {
            return Transition::Wait(None);
        }
        self.stage();
        let readiness = self.readiness(self.service.confirmed_at.is_some());
        match (readiness, self.candidate_revision()) {
            (Judgement::Fail { finding, .. }, _) => self.fail(Reason::Check(finding)),
            (Judgement::Pass(_), Some(candidate)) => self.serve_first(candidate),
            _ => self.await_ready(Self::fail),
        }
    }

    fn serve_first(&mut self, candidate: String) -> Transition {
        if self.stands_still() {
            return Transition::Wait(None);
        }
        if self.candidate.weight == 0 {
            self.events.push(Event::Ready {
                revision: candidate.clone(),
                waited: self.in_phase(),
            });
            self.candidate.weight = 100;
        }
        let wanted = self.target_traffic(Split::first(&candidate));
        if !self.want(wanted) {
            let limit = self
                .policy
                .confirm_timeout
                .max(self.policy.progress_deadline);
            self.candidate.message = format!("waiting for the Route to {candidate}");
            return self.await_confirmation(limit, Self::fail);
        }
        match self.probes(&candidate) {
            Judgement::Wait { .. } => Transition::Wait(Some(self.policy.interval)),
            Judgement::Fail { finding, .. } => self.fail(Reason::Check(finding)),
            Judgement::Pass(finding) => {
                self.go_on();
                let reason = match &finding {
                    Some(finding) => format!("first delivery; {finding}"),
                    None => "first delivery".to_owned(),
                };
                self.candidate.pending_outcome = Some(crate::api::rollout::PendingOutcome {
                    outcome: Outcome::Promoted,
                    reason,
                    weight: 100,
                });
                self.promoted()
            }
        }
    }

    /// Git has another template before the first one came to anything.
    fn start_over(&mut self) -> Transition {
        if let Some(old) = self.candidate.release.take() {
            let reason = Reason::Superseded {
                by: self.intent.commit.clone(),
            };
            let weight = self.candidate.weight;
            self.remember(old, Outcome::Superseded, reason.to_string(), weight);
        }
        if self.git_is_quarantined().is_some() {
            return Transition::To(Phase::Failed);
        }
        self.start_first(0)
    }

    /// The first delivery failed. What it has of a Route stays: a service that answers
    /// badly and one that answers nothing are equally down.
    pub fn fail(&mut self, reason: Reason) -> Transition {
        let text = reason.to_string();
        if let Some(candidate) = self.candidate.release.take() {
            self.quarantine(&candidate, &reason);
            self.events.push(Event::Failed {
                revision: candidate.revision.clone(),
                reason,
            });
            let weight = self.candidate.weight;
            self.remember(candidate, Outcome::Failed, text, weight);
        }
        self.candidate.weight = 0;
        self.candidate.step = None;
        Transition::To(Phase::Failed)
    }

    /// Waits for another template, or for a person.
    pub fn failed(&mut self) -> Transition {
        match self.git_is_quarantined() {
            None if self.is_free() => self.start_first(0),
            None => {
                self.candidate.message = self.shut_words();
                Transition::Wait(None)
            }
            Some(quarantine) => {
                self.candidate.message = format!(
                    "the first delivery failed ({}): {}",
                    quarantine.reason,
                    way_out(quarantine)
                );
                Transition::Wait(None)
            }
        }
    }
}
