//! The checks of a candidate: from what the cluster says of it, and what was gathered.

use std::time::Duration;

use crate::analysis::{
    Check, CheckId, Judgement, Verdict, combine, judge_gone, judge_pods, judge_ready,
};

use super::context::DecisionContext;
use super::reason::Reason;

impl DecisionContext<'_> {
    /// What is wrong with a candidate that was Ready before, by the cluster's word.
    pub fn fault(&self) -> Option<Reason> {
        self.fault_of(self.candidate_revision().as_deref())
    }

    /// The same of any revision.
    pub fn fault_of(&self, revision: Option<&str>) -> Option<Reason> {
        match combine(&self.cluster_checks(revision, true)) {
            Judgement::Fail { finding, .. } => Some(Reason::Check(finding)),
            Judgement::Pass(_) | Judgement::Wait { .. } => None,
        }
    }

    /// Whether the candidate is Ready, or will never be; `settled`: it was before.
    pub fn readiness(&self, settled: bool) -> Judgement {
        let [pods, mut revision] =
            self.cluster_checks(self.candidate_revision().as_deref(), settled);
        revision.asked = true;
        combine(&[pods, revision])
    }

    /// All checks of a step, with the one of its requests.
    pub fn step_checks(&self, requests: Check) -> [Check; 3] {
        let [mut pods, revision] = self.cluster_checks(self.candidate_revision().as_deref(), true);
        // One crash may be bad luck: it is watched twice as long for the second.
        let crashed = matches!(pods.verdict, Some(Verdict::Inconclusive(_)));
        let step = self.policy.step_at(self.candidate.weight);
        let bake = step.map_or(Duration::ZERO, |step| step.bake);
        pods.asked = crashed && self.since(self.candidate.analysis_started_at) < bake * 2;
        [requests, pods, revision]
    }

    /// Pods come first: they tell of a crash minutes before any condition does.
    fn cluster_checks(&self, name: Option<&str>, settled: bool) -> [Check; 2] {
        let (pods, ready) = match name.map(|name| self.live.revision(name)) {
            // The cluster has made none yet.
            None => (None, None),
            Some(None) => (None, Some(judge_gone())),
            Some(Some(revision)) => (
                judge_pods(revision.pods.crashes, revision.pods.last_exit.as_deref()),
                judge_ready(revision.ready.as_ref(), settled),
            ),
        };
        [
            Check::beside(CheckId::Pods, pods),
            Check::beside(CheckId::Revision, ready),
        ]
    }
}
