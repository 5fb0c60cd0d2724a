//! The way up, but for the part that users take in it: pinning, staging, promoting.

use crate::analysis::Judgement;
use crate::api::rollout::{
    HistoryEntry, HoldReason, Outcome, PendingOutcome, Phase, Release, TemplateState,
};

use super::allocate::Split;
use super::context::DecisionContext;
use super::event::Event;
use super::input::ConfigurationFacts;
use super::reason::Reason;
use super::rollback::is_known_good;
use super::traffic;
use super::transition::Transition;
use super::words::brief;

/// Past releases that are remembered.
const HISTORY: usize = 20;
/// Good ones among them, and beyond.
const GOOD: usize = 5;

impl DecisionContext<'_> {
    /// Begins the release of Git's template; stable is there.
    pub fn start_release(&mut self, attempt: u32) -> Transition {
        self.events.push(Event::Started {
            commit: self.intent.commit.clone(),
            subject: self.intent.subject.clone(),
            stable: self.stable_revision(),
        });
        self.begin(attempt);
        Transition::To(Phase::Pinning)
    }

    /// A clean sheet for Git's template.
    pub fn begin(&mut self, attempt: u32) {
        self.candidate.release = Some(self.new_release(attempt));
        self.candidate.step = None;
        self.candidate.weight = 0;
        self.candidate.failures = 0;
        self.candidate.evidence.clear();
        self.candidate.ledger = None;
        self.candidate.pending_outcome = None;
        self.service.preserve_adopted_traffic = false;
        self.service.ignored_traffic_drift = None;
        self.service.template = TemplateState::Unwritten;
    }

    /// Stable gets all of the share, by name, before anything else changes.
    pub fn pinning(&mut self) -> Transition {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        let Some(stable) = self.stable_revision() else {
            return Transition::To(Phase::Pending);
        };
        let wanted = self.target_traffic(Split::alone(&stable));
        let confirmed = self.want(wanted);
        self.candidate.message = format!("waiting for all traffic to be pinned to {stable}");
        if self.stands_still() {
            return Transition::Wait(None);
        }
        // A stable revision that is not well is never confirmed; that it is written by name
        // is enough to stage beside it, and nothing goes up before it is well again.
        let written = self.live.route.as_ref().is_some_and(|route| {
            let targets = self.traffic.as_deref().unwrap_or_default();
            traffic::same(&route.spec, targets)
        });
        if self.mark_is_gone() && (confirmed || (written && self.stable_trouble().is_some())) {
            self.go_on();
            return Transition::To(Phase::Staging);
        }
        // Whatever the Route says, it says it of stable: no release is to blame.
        let limit = self.policy.confirm_timeout;
        self.await_confirmation(limit, |pass, _| pass.hold_unconfirmed())
    }

    /// The template is written; its revision is found by the generation that asks for it.
    pub fn staging(&mut self) -> Transition {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        if let Some(message) = self.refused.clone() {
            return self.roll_back(Reason::Refused { message });
        }
        self.pin_to_stable();
        if self.intent.suspended && self.stands_still() {
            return Transition::Wait(None);
        }
        self.stage();
        match self.readiness(false) {
            Judgement::Fail { finding, .. } => return self.roll_back(Reason::Check(finding)),
            Judgement::Wait { .. } => return self.await_ready(Self::roll_back),
            Judgement::Pass(_) => {}
        }
        if self.stands_still() {
            return Transition::Wait(None);
        }
        self.heard();
        self.go_on();
        self.events.push(Event::Ready {
            revision: self.candidate_name(),
            waited: self.in_phase(),
        });
        Transition::To(Phase::Probing)
    }

    /// The candidate is not Ready. When its time is up it is to `blame`, but not while Knative has
    /// not come to its template: then it is held, and has its time anew once somebody does.
    pub fn await_ready(&mut self, blame: fn(&mut Self, Reason) -> Transition) -> Transition {
        let heard = !self.template_is_unheard();
        if heard {
            self.heard();
        }
        let waited = self.in_phase();
        let limit = self.policy.progress_deadline;
        if waited < limit {
            if self.candidate.hold.is_none() {
                self.candidate.message =
                    format!("waiting for {} to be Ready", self.candidate_name());
            }
            return Transition::Wait(Some(limit - waited));
        }
        if heard {
            let cause = self.why_not_ready();
            return blame(self, Reason::NeverReady { waited, cause });
        }
        self.hold(
            HoldReason::Unconfirmed,
            "Knative's controller has not looked at its template yet".to_owned(),
        );
        // An event wakes it; this is for one that was missed.
        Transition::Wait(Some(limit))
    }

    /// Whether the template is written and nobody has made anything of it: Knative's controller is
    /// away. No release can cause that.
    fn template_is_unheard(&self) -> bool {
        self.live.configuration.as_ref().is_some_and(|c| {
            let child_waits = c.template_taken_up && c.observed_generation < c.generation;
            c.template_written && (!c.written_observed || child_waits)
        })
    }

    /// Asks for the template where it is not written, and finds the revision made from it.
    pub fn stage(&mut self) {
        let Some(candidate) = &self.candidate.release else {
            return;
        };
        let attempt = candidate.attempt;
        let known = candidate.revision.is_some();
        let configuration = self.live.configuration.as_ref();
        let written = configuration
            .is_some_and(|c| c.template_written && (c.attempt == attempt || self.names_itself()));
        if !written {
            self.template = Some(attempt);
        }
        let Some(configuration) = configuration.filter(|c| written && c.template_taken_up) else {
            return;
        };
        let found = self.made_from(configuration);
        let generation = configuration.generation;
        let lost = found.is_none()
            && configuration.observed_generation >= generation
            && configuration.latest_created.is_some()
            && self.in_phase() >= self.policy.confirm_timeout
            && !self.names_itself();
        if !known && found.is_none() && !lost {
            // That it is written shows in the Configuration. To remember it before there is a
            // revision would be one more write for each of a thousand services.
            return;
        }
        self.service.template = TemplateState::Written;
        if known {
            return;
        }
        if let Some(candidate) = &mut self.candidate.release {
            candidate.generation = Some(generation);
            if let Some(revision) = &found {
                candidate.revision = Some(revision.clone());
            } else {
                // Its revision was deleted by hand: only a template that differs brings one.
                candidate.attempt += 1;
                self.template = Some(candidate.attempt);
            }
        }
        if let Some(revision) = found {
            self.events.push(Event::Staged { revision });
        }
    }

    /// Whether the manifest names its revisions itself; a name cannot be used for two
    /// templates, so such a revision is tried again as it is.
    pub fn names_itself(&self) -> bool {
        self.intent.revision_name.is_some()
    }

    /// The revision that a Configuration's present generation made.
    fn made_from(&self, configuration: &ConfigurationFacts) -> Option<String> {
        self.live
            .revisions
            .iter()
            .find(|revision| match &self.intent.revision_name {
                Some(name) => revision.name == *name,
                None => {
                    revision.configuration == self.intent.name
                        && revision.generation == configuration.generation
                }
            })
            .map(|revision| revision.name.clone())
    }

    /// The candidate gets all of the share.
    pub fn promote(&mut self, outcome: Outcome, reason: String) -> Transition {
        self.candidate.pending_outcome = Some(PendingOutcome {
            outcome,
            reason: brief(&reason),
            weight: 100,
        });
        self.candidate.weight = 100;
        Transition::To(Phase::Promoting)
    }

    /// 100 % is written; the cluster's word is awaited. A newer template waits that moment.
    pub fn promoting(&mut self) -> Transition {
        if let Some(reason) = self.fault() {
            return self.roll_back(reason);
        }
        let Some(candidate) = self.candidate_revision() else {
            return Transition::To(Phase::RollingBack);
        };
        let wanted = self.target_traffic(Split::alone(&candidate));
        if self.want(wanted) {
            self.go_on();
            return self.promoted();
        }
        self.candidate.message = format!("waiting for {candidate} to have all traffic");
        self.await_confirmation(self.policy.confirm_timeout, Self::roll_back)
    }

    /// The candidate is the stable revision now.
    pub fn promoted(&mut self) -> Transition {
        let Some(release) = self.candidate.release.take() else {
            return Transition::To(Phase::Stable);
        };
        let (outcome, reason) = self
            .candidate
            .pending_outcome
            .take()
            .map_or((Outcome::Promoted, String::new()), |e| {
                (e.outcome, e.reason)
            });
        self.events.push(Event::Promoted {
            revision: release.revision.clone().unwrap_or_default(),
            outcome,
            reason: reason.clone(),
        });
        self.remember(release.clone(), outcome, reason, 100);
        // Its Pods have read what was changed before it began, and it was judged with that.
        let begun = release.since;
        let changes = &mut self.service.config_changes;
        changes.retain(|change| begun.is_none_or(|begun| change.since >= begun));
        self.service.stable = Some(release);
        self.candidate.step = None;
        self.candidate.weight = 0;
        self.candidate.failures = 0;
        Transition::To(Phase::Stable)
    }

    /// Adds to the history, newest first.
    pub fn remember(&mut self, release: Release, outcome: Outcome, reason: String, weight: u8) {
        let reason = brief(&reason);
        self.service.history.insert(
            0,
            HistoryEntry {
                release,
                outcome,
                reason,
                weight,
                ended_at: self.now,
            },
        );
        self.forget_the_oldest();
    }

    /// Of what is too much, good releases are forgotten last: `undo` and a stable revision that is gone need them.
    fn forget_the_oldest(&mut self) {
        let (mut seen, mut good) = (0, 0);
        self.service.history.retain(|entry| {
            seen += 1;
            let is_good = is_known_good(entry);
            good += usize::from(is_good);
            seen <= HISTORY || (is_good && good <= GOOD)
        });
    }

    /// Keeps stable where it is while the candidate is made.
    fn pin_to_stable(&mut self) {
        if let Some(stable) = self.stable_revision() {
            let wanted = self.target_traffic(Split::alone(&stable));
            self.want(wanted);
        }
    }
}
