//! The candidate before its first user, and before more of them: probing and stepping.

use jiff::Timestamp;

use crate::analysis::{
    Check, CheckId, Finding, Judgement, Verdict, Window, combine, judge_probes, judge_window,
    wants_synthetic,
};
use crate::api::duration::HumanDuration;
use crate::api::rollout::{EvidenceVerdict, HoldReason, Outcome, Phase};
use crate::api::serving::{self, TrafficTarget};

use super::allocate::Split;
use super::context::DecisionContext;
use super::decision::{Gather, ProbeTargets};
use super::event::Event;
use super::own_tags;
use super::reason::Reason;
use super::transition::Transition;

impl<'a> DecisionContext<'a> {
    /// The candidate is tagged at 0 %, and asked on its tag URL.
    pub fn probing(&mut self) -> Transition {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        if let Some(reason) = self.fault() {
            return self.roll_back(reason);
        }
        let (Some(stable), Some(candidate)) = (self.stable_revision(), self.candidate_revision())
        else {
            return Transition::To(Phase::Staging);
        };
        // With one target that is not Ready the Route shows no tag: beside a stable that serves nobody, it is probed as a
        // first delivery is.
        let alone = !self.stable_is_routable() && self.stable_yields().is_some();
        let wanted = self.target_traffic(if alone {
            Split::first(&candidate)
        } else {
            Split::beside(&stable, &candidate, 0)
        });
        let confirmed = self.want(wanted);
        if let Some(turn) = self.unwell_or_unconfirmed(confirmed) {
            return turn;
        }
        if self.cannot_be_probed(&candidate) {
            self.hold(HoldReason::NoTag, self.words_on_no_tag());
            return Transition::Wait(None);
        }
        let verdict = match self.probes(&candidate) {
            Judgement::Pass(finding) => finding,
            Judgement::Fail { finding, .. } => return self.roll_back(Reason::Check(finding)),
            Judgement::Wait { .. } => return Transition::Wait(Some(self.policy.interval)),
        };
        if self.stands_still() {
            return Transition::Wait(None);
        }
        if self.canary_share() == 0 {
            self.hold(
                HoldReason::NoShare,
                "the traffic in Git gives the newest revision no share".to_owned(),
            );
            return Transition::Wait(None);
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
    pub fn probes(&mut self, candidate: &str) -> Judgement {
        let release_since = self.release_since();
        let round = self.evidence.probes.as_ref();
        let round = round
            .filter(|round| round.revision == candidate && round.release_since == release_since);
        let check = (self.policy.probes.count > 0).then(|| {
            let verdict = round.map(|round| judge_probes(self.policy, round));
            Check::asked(CheckId::Probes, verdict)
        });
        if let (Some(check), Some(round)) = (&check, round) {
            self.record(check, round.at);
        }
        let judgement = combine(check.as_slice());
        match &judgement {
            Judgement::Pass(_) | Judgement::Fail { .. } => return judgement,
            Judgement::Wait {
                finding: Some(_), ..
            } => self.no_verdict(),
            Judgement::Wait { finding: None, .. } => {
                self.candidate.message = format!("probing {candidate} before any user meets it");
                self.time_out();
            }
        }
        if let Some(targets) = self.probe_targets(candidate, self.policy.probes.count) {
            self.gather = Gather::Probes(targets);
        }
        judgement
    }

    /// Whether probes are asked for and the candidate has no tag that they could go to.
    fn cannot_be_probed(&self, candidate: &str) -> bool {
        let mut wanted = self.traffic.iter().flatten();
        let shows = |entry: &TrafficTarget| entry.revision_name.as_deref() == Some(candidate);
        self.policy.probes.count > 0 && !wanted.any(|e| e.tag.is_some() && shows(e))
    }

    fn words_on_no_tag(&self) -> String {
        format!(
            "it cannot be probed before its first step: {}; shorten the name, or set probes.count: 0 in its policy",
            serving::no_room_for_a_tag(&self.intent.name)
        )
    }

    /// Where probes go, from what the Route's status says.
    fn probe_targets(&self, candidate: &str, count: u32) -> Option<ProbeTargets> {
        let tags = own_tags::tags(&self.shape(), &self.intent.name);
        let route = self.live.route.as_ref()?;
        // Its own tag may have been taken from the user's entry, or not fit: any tag of it will do.
        let url = |tag: Option<&str>, revision: &str| {
            let shows = |e: &&TrafficTarget| e.revision_name.as_deref() == Some(revision);
            let tagged = |e: &&TrafficTarget| e.tag.is_some() && e.url.is_some();
            let mut tagged = route.status.iter().filter(shows).filter(tagged);
            let own = tagged.clone().find(|entry| entry.tag.as_deref() == tag);
            own.or_else(|| tagged.next())?.url.clone()
        };
        // Where nothing else serves, the service's own host will do as well.
        let alone = || {
            let has_all = |e: &TrafficTarget| {
                e.revision_name.as_deref() == Some(candidate) && e.percent == Some(100)
            };
            route
                .url
                .clone()
                .filter(|_| route.status.iter().any(has_all))
        };
        let stable = self.stable_revision();
        let stable_url = stable
            .as_deref()
            .and_then(|stable| url(tags.stable.as_deref(), stable));
        let candidate_url = url(tags.candidate.as_deref(), candidate).or_else(alone)?;
        Some(ProbeTargets {
            revision: candidate.to_owned(),
            release_since: self.release_since(),
            candidate_url,
            candidate_sleeps: self.sleeps(candidate),
            stable_url,
            stable_sleeps: stable.is_some_and(|stable| self.sleeps(&stable)),
            count,
        })
    }

    /// Whether a revision has no Pod that could answer at once.
    pub fn sleeps(&self, revision: &str) -> bool {
        let revision = self.live.revision(revision);
        revision.is_none_or(|revision| revision.pods.ready == 0)
    }

    /// When the release of the candidate began, which tells a revision that is tried again from what it was before.
    fn release_since(&self) -> Option<Timestamp> {
        self.candidate.release.as_ref()?.since
    }

    /// The candidate has its share; what users meet is judged.
    pub fn stepping(&mut self) -> Transition {
        if let Some(turn) = self.superseded() {
            return turn;
        }
        if let Some(reason) = self.fault() {
            return self.roll_back(reason);
        }
        let (Some(stable), Some(candidate)) = (self.stable_revision(), self.candidate_revision())
        else {
            return Transition::To(Phase::Staging);
        };
        let weight = self.candidate.weight;
        let wanted = self.target_traffic(Split::beside(&stable, &candidate, weight));
        let confirmed = self.want(wanted);
        let requests = self.judge(&candidate, weight);
        let judgement = combine(&self.step_checks(requests.clone()));
        if let Judgement::Fail {
            finding, at_once, ..
        } = &judgement
            && let Some(turn) = self.failed_judgement(finding, *at_once)
        {
            return turn;
        }
        if let Some(turn) = self.fix_forward(&judgement) {
            return turn;
        }
        if let Some(turn) = self.unwell_or_unconfirmed(confirmed) {
            // What users meet is watched on: the gateway may be ahead of the Route's word.
            if self.candidate.phase == Phase::Holding {
                self.watch(&stable, &candidate, requests.verdict.as_ref());
            }
            return turn;
        }
        if let Some(Verdict::Pass(_)) = &requests.verdict {
            self.candidate.failures = 0;
        }
        match judgement {
            Judgement::Pass(finding) => {
                if let Some(turn) = self.passed(finding) {
                    return turn;
                }
            }
            Judgement::Wait { by, finding } => self.wait_for(by, finding),
            // Not often enough yet.
            Judgement::Fail { .. } => self.no_verdict(),
        }
        self.watch(&stable, &candidate, requests.verdict.as_ref());
        Transition::Wait(Some(self.policy.interval))
    }

    /// A check that is asked for has not passed.
    fn wait_for(&mut self, check: CheckId, finding: Option<Finding>) {
        let candidate = self.candidate_name();
        match (check, finding) {
            (CheckId::Requests, Some(finding @ Finding::ReadinessOnly(_))) => {
                // Waiting alone brings nothing else.
                let detail = format!("{finding}{}", self.way_on());
                self.hold(HoldReason::Evidence, detail);
            }
            (CheckId::Requests | CheckId::Probes, Some(_)) => self.no_verdict(),
            (_, None) => {
                let weight = self.candidate.weight;
                self.candidate.message = format!("{candidate} has {weight} %; nothing seen yet");
                self.time_out();
            }
            // What users meet has passed, and this is about time alone.
            (CheckId::Pods | CheckId::Revision, Some(finding)) => {
                if !self.stands_still() {
                    self.candidate.message = format!("{candidate} {finding}");
                }
            }
        }
    }

    /// The check of the requests at the present step, recorded; without a verdict before anything was seen of it.
    fn judge(&mut self, candidate: &str, weight: u8) -> Check {
        let step = self.policy.step_at(weight);
        let Some((step, window)) = step.zip(self.window(candidate, weight)) else {
            return Check::asked(CheckId::Requests, None);
        };
        let verdict = judge_window(self.policy, step, window);
        let check = Check::asked(CheckId::Requests, Some(verdict.clone()));
        let written = |pass: &Self| {
            let mut entries = pass.candidate.evidence.iter();
            entries.find(|e| e.weight == weight).map(|e| e.at)
        };
        let before = written(self);
        let is_new = self.record(&check, window.at);
        if written(self) != before {
            // Not more often than the record, which is what people read.
            self.candidate.ledger = Some(window.ledger.clone());
        }
        match &verdict {
            Verdict::Fail { .. } if is_new => self.candidate.failures += 1,
            Verdict::Inconclusive(Finding::Baking { .. }) => self.candidate.failures = 0,
            // What was counted while everything was bad speaks for nobody; it must not
            // outweigh what comes after it either.
            Verdict::Inconclusive(Finding::StableAsBad { .. }) if window.elapsed >= step.bake => {
                self.candidate.analysis_started_at = Some(self.now);
            }
            _ => {}
        }
        if is_new && let Verdict::Fail { finding, .. } = verdict {
            self.events.push(Event::Doubtful {
                revision: candidate.to_owned(),
                finding,
                failures: self.candidate.failures,
                limit: self.policy.analysis.consecutive_failures,
            });
        }
        check
    }

    fn failed_judgement(&mut self, finding: &Finding, at_once: bool) -> Option<Transition> {
        let limit = self.policy.analysis.consecutive_failures;
        if at_once || self.candidate.failures >= limit {
            // The rollback says it; the doubt need not be said before it.
            self.events
                .retain(|event| !matches!(event, Event::Doubtful { .. }));
            return Some(self.roll_back(Reason::Evidence {
                weight: self.candidate.weight,
                finding: finding.clone(),
            }));
        }
        None
    }

    /// A step passed: on, or to whoever must say so. `None` while it stands still.
    pub fn passed(&mut self, finding: Option<Finding>) -> Option<Transition> {
        let approval = self
            .policy
            .step_at(self.candidate.weight)
            .is_some_and(|step| step.approval && step.weight == self.candidate.weight);
        if approval {
            let finding = finding.map(|finding| format!("{finding}; "));
            self.hold(
                HoldReason::Approval,
                format!(
                    "{}this step waits for `sluice rollout promote`",
                    finding.unwrap_or_default()
                ),
            );
            return None;
        }
        if self.stands_still() {
            return None;
        }
        self.go_on();
        Some(self.go_up(finding))
    }

    /// To the next step, or to 100 % after the last, or where stable serves nobody.
    pub fn go_up(&mut self, because: Option<Finding>) -> Transition {
        let revision = self.candidate_name();
        let yields = self.stable_yields();
        let next = self
            .policy
            .step_after(self.candidate.weight)
            .filter(|_| yields.is_none())
            .map(|(number, step)| (number, step.weight));
        self.candidate.failures = 0;
        let weight = match next {
            Some((number, weight)) => {
                self.candidate.step = Some(number);
                self.candidate.weight = weight;
                weight
            }
            None => 100,
        };
        if let Some(figure) = yields.clone() {
            self.events.push(Event::StableYields { figure });
        }
        self.events.push(Event::Raising {
            revision,
            weight,
            because: because.filter(|_| self.phase() != Phase::Probing),
        });
        if weight < 100 {
            return Transition::To(Phase::Stepping);
        }
        let so_far = match &yields {
            Some(figure) => format!("no further step was needed: {figure}"),
            None => "every step passed".to_owned(),
        };
        let reason = match self.candidate.evidence.last() {
            Some(last) if last.verdict == EvidenceVerdict::Pass => {
                format!("{so_far}; at {} %: {}", last.weight, last.reason)
            }
            _ => so_far,
        };
        self.promote(Outcome::Promoted, reason)
    }

    /// Nothing goes up while stable is not well, unless it serves nobody, or while the cluster has not confirmed what
    /// was asked. `None`: all is well.
    fn unwell_or_unconfirmed(&mut self, confirmed: bool) -> Option<Transition> {
        let is_probed_alone = self.phase() == Phase::Probing;
        let yields = self.stable_yields().is_some();
        let is_no_hindrance = yields && (is_probed_alone || self.stable_is_routable());
        if let Some(cause) = self.stable_trouble().filter(|_| !is_no_hindrance) {
            self.hold(HoldReason::StableUnhealthy, self.words_on_stable(&cause));
            if let Some(reason) = self.stable_stays_away() {
                return Some(self.roll_back(reason));
            }
            return Some(Transition::Wait(Some(self.policy.interval)));
        }
        if !confirmed {
            if self.stands_still() {
                return Some(Transition::Wait(None));
            }
            self.candidate.message = format!(
                "waiting for the cluster to confirm {} %",
                self.candidate.weight
            );
            let limit = self.policy.confirm_timeout;
            return Some(self.await_confirmation(limit, Self::roll_back));
        }
        self.heard();
        None
    }

    /// Knative makes a Configuration's newest revision again by itself, and stable is not the
    /// newest any more: there is nothing to wait for but a cache that is behind. A good one before it takes its place.
    fn stable_stays_away(&self) -> Option<Reason> {
        let stable = self.stable_revision()?;
        let held = self.held_by(HoldReason::StableUnhealthy)?;
        let gone = self.live.revision(&stable).is_none() && self.best_left(&stable).is_some();
        (gone && self.since(Some(held.since)) >= self.policy.confirm_timeout)
            .then_some(Reason::StableGone { stable })
    }

    /// Neither pass nor fail: waits, and holds after the step's time. The message says what
    /// the record says, so that a status is not written for every second of a bake.
    fn no_verdict(&mut self) {
        let reason = self.last_word();
        self.candidate.message = format!(
            "{} at {} %: {reason}",
            self.candidate_name(),
            self.candidate.weight
        );
        self.time_out();
    }

    /// What the record says of the present weight.
    fn last_word(&self) -> String {
        self.candidate
            .evidence
            .iter()
            .rev()
            .find(|entry| entry.weight == self.candidate.weight)
            .map_or_else(
                || "nothing was seen".to_owned(),
                |entry| entry.reason.clone(),
            )
    }

    fn time_out(&mut self) {
        if self.stands_still() {
            return;
        }
        if self.in_phase() >= self.policy.step_timeout {
            let detail = format!(
                "no verdict within {}: {}{}",
                HumanDuration(self.policy.step_timeout),
                self.last_word(),
                self.way_on()
            );
            self.hold(HoldReason::Evidence, detail);
            return;
        }
        self.well_again();
    }

    /// The command that promotes what no evidence speaks for; of a first delivery there is none.
    fn way_on(&self) -> String {
        if self.phase() == Phase::Initial {
            return String::new();
        }
        format!(
            "; `sluice rollout promote {}` promotes it all the same",
            self.intent.name
        )
    }

    /// What was seen of the present step, and of nothing before it.
    pub fn window(&self, candidate: &str, weight: u8) -> Option<&'a Window> {
        self.evidence.window.as_ref().filter(|window| {
            window.revision == candidate
                && window.weight == weight
                && Some(window.since) == self.candidate.analysis_started_at
        })
    }

    /// Says what is to be gathered about the present step.
    fn watch(&mut self, stable: &str, candidate: &str, verdict: Option<&Verdict>) {
        let weight = self.candidate.weight;
        let wanted = match (
            verdict,
            self.window(candidate, weight),
            self.policy.step_at(weight),
        ) {
            (Some(verdict), Some(window), Some(step)) => wants_synthetic(verdict, window, step),
            _ => false,
        };
        let count = self.policy.analysis.synthetic_probes;
        let synthetic = if wanted && count > 0 {
            self.probe_targets(candidate, count).map(Box::new)
        } else {
            None
        };
        self.gather = Gather::Metrics {
            candidate: candidate.to_owned(),
            stable: stable.to_owned(),
            weight,
            since: self.candidate.analysis_started_at.unwrap_or(self.now),
            warm_until: self.warm_until(),
            remembered: self.candidate.ledger.clone().map(Box::new),
            synthetic,
        };
    }

    /// Until when answer times are those of a warm-up: of the instance that was Ready last; where no Pod is known, of the
    /// first step.
    fn warm_until(&self) -> Option<Timestamp> {
        let of_instance = self.warm_until_of(&self.candidate_revision()?);
        let of_step = || {
            let started = self.candidate.analysis_started_at?;
            (self.candidate.step == Some(0)).then(|| started + self.policy.analysis.warm_up)
        };
        of_instance.or_else(of_step)
    }

    /// Until when the newest instance of a revision warms up.
    pub fn warm_until_of(&self, revision: &str) -> Option<Timestamp> {
        let newest = self.live.revision(revision)?.pods.newest_ready?;
        Some(newest + self.policy.analysis.warm_up)
    }
}
