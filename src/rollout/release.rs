//! The way up: pinning, staging, probing, stepping, promoting.

use std::time::Duration;

use crate::api::duration::HumanDuration;
use crate::api::rollout::{EvidenceVerdict, HistoryEntry, HoldReason, Outcome, Phase, Release};
use crate::health::{Finding, Verdict, judge_probes, judge_window};

use super::decision::{Gather, ProbeTargets};
use super::event::Event;
use super::input::ConfigurationFacts;
use super::pass::{Pass, Turn};
use super::reason::Reason;
use super::traffic::{self, Parts};

/// Past releases that are remembered.
const HISTORY: usize = 20;

impl Pass<'_> {
    /// Begins the release of Git's template; stable is there.
    pub fn start_release(&mut self, attempt: u32) -> Turn {
        self.events.push(Event::Started {
            commit: self.intent.commit.clone(),
            subject: self.intent.subject.clone(),
            stable: self.stable_revision(),
        });
        self.begin(attempt);
        self.enter(Phase::Pinning)
    }

    /// A clean sheet for Git's template.
    pub fn begin(&mut self, attempt: u32) {
        self.status.candidate = Some(self.new_release(attempt));
        self.status.step = None;
        self.status.weight = 0;
        self.status.failures = 0;
        self.status.evidence.clear();
        self.status.ending = None;
        self.status.keeps_found_traffic = false;
    }

    /// Stable gets all of the share, by name, before anything else changes.
    pub fn pinning(&mut self) -> Turn {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        let Some(stable) = self.stable_revision() else {
            return self.enter(Phase::Pending);
        };
        let wanted = self.shape(Parts {
            stable: &stable,
            candidate: None,
            tag_stable: false,
        });
        let confirmed = self.want(wanted);
        self.status.message = format!("waiting for all traffic to be pinned to {stable}");
        if let Some(reason) = self.blocked() {
            self.hold(reason, blocked_text(reason));
            return Turn::Wait(None);
        }
        if confirmed {
            self.go_on();
            return self.enter(Phase::Staging);
        }
        let waited = self.unconfirmed_for();
        let limit = self.policy.confirm_timeout;
        if waited >= limit {
            let cause = traffic::cause(self.live.route.as_ref());
            self.hold(
                HoldReason::Unconfirmed,
                format!("the cluster does not confirm that {stable} has all traffic: {cause}"),
            );
            // An event of the Route wakes it; this is for one that was missed.
            return Turn::Wait(Some(limit));
        }
        Turn::Wait(Some(limit - waited))
    }

    /// The template is written; its revision is found by the generation that asks for it.
    pub fn staging(&mut self) -> Turn {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        if let Some(message) = &self.live.refused {
            let message = message.clone();
            return self.roll_back(Reason::Refused { message });
        }
        self.pin_to_stable();
        if let Some(HoldReason::Suspended) = self.blocked() {
            self.hold(HoldReason::Suspended, blocked_text(HoldReason::Suspended));
            return Turn::Wait(None);
        }
        self.stage();
        if let Some(reason) = self.fault(false) {
            return self.roll_back(reason);
        }
        let waited = self.in_phase();
        let ready = self
            .candidate_revision()
            .is_some_and(|name| self.live.is_usable(&name));
        if ready {
            if let Some(reason) = self.blocked() {
                self.hold(reason, blocked_text(reason));
                return Turn::Wait(None);
            }
            self.go_on();
            self.events.push(Event::Ready {
                revision: self.candidate_name(),
                waited,
            });
            return self.enter(Phase::Probing);
        }
        let limit = self.policy.progress_deadline;
        if waited >= limit {
            let cause = self.why_not_ready();
            return self.roll_back(Reason::NeverReady { waited, cause });
        }
        self.status.message = format!("waiting for {} to be Ready", self.candidate_name());
        Turn::Wait(Some(limit - waited))
    }

    /// Asks for the template where it is not written, and finds the revision made from it.
    pub fn stage(&mut self) {
        let Some(candidate) = &self.status.candidate else {
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
        if known {
            return;
        }
        let found = self.made_from(configuration);
        let generation = configuration.generation;
        let lost = found.is_none()
            && configuration.observed_generation >= generation
            && configuration.latest_created.is_some()
            && self.in_phase() >= self.policy.confirm_timeout
            && !self.names_itself();
        if let Some(candidate) = &mut self.status.candidate {
            candidate.generation = Some(generation);
            if let Some(revision) = &found {
                candidate.revision = Some(revision.clone());
            } else if lost {
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

    /// The candidate is tagged at 0 %, and asked on its tag URL.
    pub fn probing(&mut self) -> Turn {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        if let Some(reason) = self.fault(true) {
            return self.roll_back(reason);
        }
        let (Some(stable), Some(candidate)) = (self.stable_revision(), self.candidate_revision())
        else {
            return self.enter(Phase::Staging);
        };
        let wanted = self.shape(Parts {
            stable: &stable,
            candidate: Some((&candidate, 0)),
            tag_stable: true,
        });
        let confirmed = self.want(wanted);
        if let Some(turn) = self.unwell_or_unconfirmed(confirmed) {
            return turn;
        }
        let verdict = match self.probe_verdict(&candidate) {
            Probed::Pass(finding) => finding,
            Probed::Fail(finding) => return self.roll_back(Reason::Probes(finding)),
            Probed::Wait(after) => return Turn::Wait(Some(after)),
        };
        if let Some(reason) = self.blocked() {
            self.hold(reason, blocked_text(reason));
            return Turn::Wait(None);
        }
        if self.share() == 0 {
            self.hold(
                HoldReason::NoShare,
                "the traffic in Git gives the newest revision no share".to_owned(),
            );
            return Turn::Wait(None);
        }
        self.go_on();
        if let Some(finding) = &verdict {
            self.events.push(Event::Probed {
                revision: candidate,
                finding: finding.clone(),
            });
        }
        self.go_up(verdict)
    }

    /// What the probes say: of the first delivery as well.
    pub fn probe_verdict(&mut self, candidate: &str) -> Probed {
        if self.policy.probes.count == 0 {
            return Probed::Pass(None);
        }
        let round = self.evidence.probes.as_ref();
        let verdict = round
            .filter(|round| round.revision == candidate)
            .map(|round| (judge_probes(self.policy, round), round.at));
        if let Some((verdict, at)) = verdict {
            self.record(&verdict, at);
            match verdict {
                Verdict::Pass(finding) => return Probed::Pass(Some(finding)),
                Verdict::Fail { finding, .. } => return Probed::Fail(finding),
                Verdict::Inconclusive(finding) => self.no_verdict(&finding),
            }
        } else {
            self.status.message = format!("probing {candidate} before any user meets it");
            self.time_out();
        }
        if let Some(targets) = self.probe_targets(candidate, self.policy.probes.count) {
            self.gather = Gather::Probes(targets);
        }
        Probed::Wait(self.policy.interval)
    }

    /// Where probes go, from what the Route's status says.
    fn probe_targets(&self, candidate: &str, count: u32) -> Option<ProbeTargets> {
        let (candidate_tag, stable_tag) =
            traffic::tags(&self.intent.final_traffic, &self.intent.name);
        let route = self.live.route.as_ref()?;
        let url = |tag: &str| {
            route
                .status
                .iter()
                .find(|entry| entry.tag.as_deref() == Some(tag))
                .and_then(|entry| entry.url.clone())
        };
        // Stable's own tag may have been taken from the user's entry; any tag of it will do.
        let stable_url = url(&stable_tag).or_else(|| {
            let stable = self.stable_revision()?;
            route
                .status
                .iter()
                .find(|entry| {
                    entry.revision_name.as_deref() == Some(&stable) && entry.tag.is_some()
                })
                .and_then(|entry| entry.url.clone())
        });
        Some(ProbeTargets {
            revision: candidate.to_owned(),
            candidate_url: url(&candidate_tag)?,
            stable_url,
            count,
        })
    }

    /// The candidate has its share; what users meet is judged.
    pub fn stepping(&mut self) -> Turn {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        if let Some(reason) = self.fault(true) {
            return self.roll_back(reason);
        }
        let (Some(stable), Some(candidate)) = (self.stable_revision(), self.candidate_revision())
        else {
            return self.enter(Phase::Staging);
        };
        let weight = self.status.weight;
        let wanted = self.shape(Parts {
            stable: &stable,
            candidate: Some((&candidate, weight)),
            tag_stable: true,
        });
        let confirmed = self.want(wanted);
        let verdict = self.judge(&candidate, weight);
        if let Some(Verdict::Fail { finding, at_once }) = &verdict
            && let Some(turn) = self.failed_judgement(finding, *at_once)
        {
            return turn;
        }
        if let Some(turn) = self.unwell_or_unconfirmed(confirmed) {
            return turn;
        }
        if let Some(Verdict::Pass(finding)) = &verdict {
            self.status.failures = 0;
            if let Some(turn) = self.passed(finding) {
                return turn;
            }
        } else {
            let finding = verdict.as_ref().map(Verdict::finding);
            match finding {
                Some(finding) => self.no_verdict(finding),
                None => {
                    self.status.message = format!("{candidate} has {weight} %; nothing seen yet");
                    self.time_out();
                }
            }
        }
        self.watch(&stable, &candidate, verdict.as_ref());
        Turn::Wait(Some(self.policy.interval))
    }

    /// The verdict on the present step, recorded; `None` before anything was seen of it.
    fn judge(&mut self, candidate: &str, weight: u8) -> Option<Verdict> {
        let step = self.policy.step_at(weight)?;
        let window = self
            .evidence
            .window
            .as_ref()
            .filter(|window| window.revision == candidate && window.weight == weight)?;
        let verdict = judge_window(self.policy, step, window);
        let is_new = self.record(&verdict, window.at);
        match &verdict {
            Verdict::Fail { .. } if is_new => self.status.failures += 1,
            Verdict::Inconclusive(Finding::Baking { .. }) => self.status.failures = 0,
            _ => {}
        }
        if is_new && let Verdict::Fail { finding, .. } = &verdict {
            self.events.push(Event::Doubtful {
                revision: candidate.to_owned(),
                finding: finding.clone(),
                failures: self.status.failures,
                limit: self.policy.analysis.consecutive_failures,
            });
        }
        Some(verdict)
    }

    fn failed_judgement(&mut self, finding: &Finding, at_once: bool) -> Option<Turn> {
        let limit = self.policy.analysis.consecutive_failures;
        if at_once || self.status.failures >= limit {
            // The rollback says it; the doubt need not be said before it.
            self.events
                .retain(|event| !matches!(event, Event::Doubtful { .. }));
            return Some(self.roll_back(Reason::Evidence {
                weight: self.status.weight,
                finding: finding.clone(),
            }));
        }
        None
    }

    /// A step passed: on, or to whoever must say so. `None` while it stands still.
    fn passed(&mut self, finding: &Finding) -> Option<Turn> {
        if let Some(reason) = self.blocked() {
            self.hold(reason, blocked_text(reason));
            return None;
        }
        let approval = self
            .policy
            .step_at(self.status.weight)
            .is_some_and(|step| step.approval && step.weight == self.status.weight);
        if approval {
            self.hold(
                HoldReason::Approval,
                format!("{finding}; this step waits for `sluice rollout promote`"),
            );
            return None;
        }
        self.go_on();
        Some(self.go_up(Some(finding.clone())))
    }

    /// To the next step, or to 100 % after the last.
    pub fn go_up(&mut self, because: Option<Finding>) -> Turn {
        let revision = self.candidate_name();
        let next = self
            .policy
            .step_after(self.status.weight)
            .map(|(number, step)| (number, step.weight));
        self.status.failures = 0;
        let weight = match next {
            Some((number, weight)) => {
                self.status.step = Some(number);
                self.status.weight = weight;
                weight
            }
            None => 100,
        };
        self.events.push(Event::Raising {
            revision,
            weight,
            because: because.filter(|_| self.phase() != Phase::Probing),
        });
        if weight < 100 {
            return self.enter(Phase::Stepping);
        }
        let reason = match self.status.evidence.last() {
            Some(last) if last.verdict == EvidenceVerdict::Pass => {
                format!("every step passed; at {} %: {}", last.weight, last.reason)
            }
            _ => "every step passed".to_owned(),
        };
        self.promote(Outcome::Promoted, reason)
    }

    /// The candidate gets all of the share.
    pub fn promote(&mut self, outcome: Outcome, reason: String) -> Turn {
        self.status.ending = Some(crate::api::rollout::Ending {
            outcome,
            reason,
            weight: 100,
        });
        self.status.weight = 100;
        self.enter(Phase::Promoting)
    }

    /// 100 % is written; the cluster's word is awaited. A newer template waits that moment.
    pub fn promoting(&mut self) -> Turn {
        if let Some(reason) = self.fault(true) {
            return self.roll_back(reason);
        }
        let Some(candidate) = self.candidate_revision() else {
            return self.enter(Phase::RollingBack);
        };
        let wanted = self.shape(Parts {
            stable: &candidate,
            candidate: None,
            tag_stable: false,
        });
        if self.want(wanted) {
            return self.promoted();
        }
        let waited = self.unconfirmed_for();
        let limit = self.policy.confirm_timeout;
        if waited >= limit {
            let cause = traffic::cause(self.live.route.as_ref());
            return self.roll_back(Reason::NotConfirmed { waited, cause });
        }
        self.status.message = format!("waiting for {candidate} to have all traffic");
        Turn::Wait(Some(limit - waited))
    }

    /// The candidate is the stable revision now.
    pub fn promoted(&mut self) -> Turn {
        let Some(release) = self.status.candidate.take() else {
            return self.enter(Phase::Stable);
        };
        let (outcome, reason) = self
            .status
            .ending
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
        self.status.stable = Some(release);
        self.status.step = None;
        self.status.weight = 0;
        self.status.failures = 0;
        self.enter(Phase::Stable)
    }

    /// Adds to the history, newest first.
    pub fn remember(&mut self, release: Release, outcome: Outcome, reason: String, weight: u8) {
        self.status.history.insert(
            0,
            HistoryEntry {
                release,
                outcome,
                reason,
                weight,
                ended_at: self.now,
            },
        );
        self.status.history.truncate(HISTORY);
    }

    /// Keeps stable where it is while the candidate is made.
    fn pin_to_stable(&mut self) {
        if let Some(stable) = self.stable_revision() {
            let wanted = self.shape(Parts {
                stable: &stable,
                candidate: None,
                tag_stable: false,
            });
            self.want(wanted);
        }
    }

    /// Nothing goes up while stable is not well, or while the cluster has not confirmed what
    /// was asked. `None`: all is well.
    fn unwell_or_unconfirmed(&mut self, confirmed: bool) -> Option<Turn> {
        if let Some(cause) = self.stable_trouble() {
            self.hold(
                HoldReason::StableUnhealthy,
                format!(
                    "the stable revision is not well ({cause}); nothing goes up because of that"
                ),
            );
            return Some(Turn::Wait(Some(self.policy.interval)));
        }
        if !confirmed {
            if let Some(reason) = self.blocked() {
                self.hold(reason, blocked_text(reason));
                return Some(Turn::Wait(None));
            }
            let waited = self.unconfirmed_for();
            let limit = self.policy.confirm_timeout;
            if waited >= limit {
                let cause = traffic::cause(self.live.route.as_ref());
                return Some(self.roll_back(Reason::NotConfirmed { waited, cause }));
            }
            self.status.message = format!(
                "waiting for the cluster to confirm {} %",
                self.status.weight
            );
            return Some(Turn::Wait(Some(limit - waited)));
        }
        None
    }

    /// What is wrong with stable, by the cluster's word.
    pub fn stable_trouble(&self) -> Option<String> {
        let stable = self.stable_revision()?;
        match self.live.revision(&stable) {
            None => Some(format!("{stable} is gone")),
            Some(revision) if revision.has_failed() => {
                let ready = revision.ready.as_ref()?;
                Some(format!(
                    "{stable} is not Ready: {}",
                    super::pass::said(&ready.reason, &ready.message)
                ))
            }
            Some(_) => None,
        }
    }

    /// Neither pass nor fail: waits, and holds after the step's time.
    fn no_verdict(&mut self, finding: &Finding) {
        self.status.message = format!(
            "{} at {} %: {finding}",
            self.candidate_name(),
            self.status.weight
        );
        self.time_out();
    }

    fn time_out(&mut self) {
        if let Some(reason) = self.blocked() {
            self.hold(reason, blocked_text(reason));
            return;
        }
        if self.in_phase() >= self.policy.step_timeout {
            let detail = format!(
                "no verdict within {}: {}",
                HumanDuration(self.policy.step_timeout),
                self.status
                    .evidence
                    .last()
                    .map_or("nothing was seen", |last| last.reason.as_str())
            );
            self.hold(HoldReason::Evidence, detail);
            return;
        }
        // What a person lifted, or what is well again.
        let over = matches!(
            self.status.hold.as_ref().map(|hold| hold.reason),
            Some(
                HoldReason::Paused
                    | HoldReason::Suspended
                    | HoldReason::StableUnhealthy
                    | HoldReason::NoShare
            )
        );
        if over {
            self.go_on();
        }
    }

    /// Says what is to be gathered about the present step.
    fn watch(&mut self, stable: &str, candidate: &str, verdict: Option<&Verdict>) {
        let weight = self.status.weight;
        let bake = self
            .policy
            .step_at(weight)
            .map_or(Duration::ZERO, |step| step.bake);
        let window = self
            .evidence
            .window
            .as_ref()
            .filter(|window| window.revision == candidate && window.weight == weight);
        // Our own requests speak where users are too few to, and where nothing is counted.
        let users_are_silent = match verdict {
            Some(Verdict::Inconclusive(
                Finding::TooFew { .. } | Finding::NoData { .. } | Finding::Undecided(_),
            )) => true,
            Some(Verdict::Inconclusive(Finding::Baking { .. })) => {
                window.is_some_and(|window| window.metrics.is_err())
            }
            _ => false,
        };
        let baked = window.is_some_and(|window| window.elapsed >= bake || window.metrics.is_err());
        let count = self.policy.analysis.synthetic_probes;
        let synthetic = if users_are_silent && baked && count > 0 {
            self.probe_targets(candidate, count)
        } else {
            None
        };
        self.gather = Gather::Metrics {
            candidate: candidate.to_owned(),
            stable: stable.to_owned(),
            weight,
            warm_up: if self.status.step == Some(0) {
                self.policy.analysis.warm_up
            } else {
                Duration::ZERO
            },
            synthetic,
        };
    }
}

/// What the probes before the first step say.
pub(super) enum Probed {
    /// Enough of them passed; without a finding where the policy asks for none.
    Pass(Option<Finding>),
    /// The candidate is bad.
    Fail(Finding),
    /// Not yet.
    Wait(Duration),
}

/// Why a person's word holds it, in words.
pub(super) fn blocked_text(reason: HoldReason) -> String {
    match reason {
        HoldReason::Suspended => "the Delivery is suspended".to_owned(),
        _ => "paused; `sluice rollout resume` goes on".to_owned(),
    }
}
