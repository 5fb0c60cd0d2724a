//! The checks of a candidate: from what the cluster says of it, and what was gathered.

use std::time::Duration;

use crate::analysis::{
    Check, CheckId, Judgement, Verdict, combine, judge_gone, judge_pods, judge_ready, judge_unready,
};

use super::context::DecisionContext;
use super::input::{PodFacts, RevisionFacts};
use super::reason::Reason;

impl DecisionContext<'_> {
    /// What is wrong with a candidate that was Ready before, by the cluster's word.
    pub fn fault(&self) -> Option<Reason> {
        match combine(&self.cluster_checks(true)) {
            Judgement::Fail { finding, .. } => Some(Reason::Check(finding)),
            Judgement::Pass(_) | Judgement::Wait { .. } => None,
        }
    }

    /// Whether the candidate is Ready, or will never be; `settled`: it was before.
    pub fn readiness(&self, settled: bool) -> Judgement {
        let mut checks = self.cluster_checks(settled);
        for check in &mut checks {
            check.asked = check.id == CheckId::Revision;
        }
        combine(&checks)
    }

    /// All checks of a step, with the one of its requests.
    pub fn step_checks(&self, requests: Check) -> [Check; 4] {
        let [mut crashes, mut unready, revision] = self.cluster_checks(true);
        let is_open = |check: &Check| matches!(check.verdict, Some(Verdict::Inconclusive(_)));
        // One crash may be bad luck: it is watched twice as long for the second.
        let step = self.policy.step_at(self.candidate.weight);
        let bake = step.map_or(Duration::ZERO, |step| step.bake);
        crashes.asked =
            is_open(&crashes) && self.since(self.candidate.analysis_started_at) < bake * 2;
        // What was counted before speaks for no Pod that serves now.
        unready.asked = is_open(&unready);
        [requests, crashes, unready, revision]
    }

    /// Pods come first: they tell of a crash minutes before any condition does.
    fn cluster_checks(&self, settled: bool) -> [Check; 3] {
        let name = self.candidate_revision();
        let (crashes, unready, ready) = match name.map(|name| self.live.revision(&name)) {
            // The cluster has made none yet.
            None => (None, None, None),
            Some(None) => (None, None, Some(judge_gone())),
            Some(Some(revision)) => (
                judge_pods(revision.pods.crashes, revision.pods.last_exit.as_deref()),
                self.unready(revision).filter(|_| settled),
                judge_ready(revision.ready.as_ref(), settled),
            ),
        };
        [
            Check::beside(CheckId::Pods, crashes),
            Check::beside(CheckId::Pods, unready),
            Check::beside(CheckId::Revision, ready),
        ]
    }

    /// What it is worth that a revision has Pods and none of them is Ready. One without Pods is scaled to zero.
    fn unready(&self, revision: &RevisionFacts) -> Option<Verdict> {
        let (waited, patience) = self.without_ready_pods(&revision.pods)?;
        let running = revision.pods.running;
        let cause = revision.pods.waiting_reason.as_deref();
        Some(judge_unready(running, waited, patience, cause))
    }

    /// For how long there have been Pods of which none is Ready, and how long that may be: those that lost their readiness
    /// have as long as any word of the cluster's that is waited for, those of a cold start as long as a new revision.
    pub fn without_ready_pods(&self, pods: &PodFacts) -> Option<(Duration, Duration)> {
        let lost = pods
            .unready_since
            .map(|since| (since, self.policy.confirm_timeout));
        let starts = || Some((pods.starting_since?, self.policy.progress_deadline));
        let (since, patience) = lost.or_else(starts)?;
        Some((self.since(Some(since)), patience))
    }

    /// When the patience with a revision whose Pods are not Ready is over: no event of the cluster's says it.
    pub fn patience_left(&self) -> Option<Duration> {
        let both = [self.candidate_revision(), self.stable_revision()];
        let revisions = both.into_iter().flatten();
        let left = revisions.filter_map(|name| {
            let revision = self.live.revision(&name)?;
            let (waited, patience) = self.without_ready_pods(&revision.pods)?;
            patience.checked_sub(waited).filter(|left| !left.is_zero())
        });
        left.min()
    }
}
