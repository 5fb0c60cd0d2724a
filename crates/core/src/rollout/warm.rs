//! Instances that a rollback, or the few percent of a release, would have to wait for.
//!
//! From the candidate's first probes until it is rolled back, or watched for long enough after its promotion, the revision
//! that everything goes back to keeps as many instances as it had: enough for the load, not just
//! one. The candidate keeps one, so that no user of its few percent meets a cold start. Knative takes the fewest instances
//! from the Revision's annotations and heeds them while a Route names it, be it by a tag alone.
//!
//! What is wanted follows from the phase alone and is compared with what the Revisions say, so that whatever an agent
//! left behind (a crash, a lost memory) is put back by the next pass.

use crate::api::min_scale::Raised;
use crate::api::rollout::Phase;

use super::context::DecisionContext;
use super::decision::Write;
use super::input::RevisionFacts;

impl DecisionContext<'_> {
    /// The writes that keep revisions warm, and those that put back what is needed no longer.
    pub fn scale_writes(&self) -> Vec<Write> {
        let own = |revision: &&RevisionFacts| revision.configuration == self.intent.name;
        let revisions = self.live.revisions.iter().filter(own);
        revisions
            .filter_map(|revision| match self.least_of(revision) {
                Some(least) => raise(revision, least),
                None => put_back(revision),
            })
            .collect()
    }

    /// Whether some Revision still has a minimum of ours.
    pub fn keeps_any_warm(&self) -> bool {
        let mut revisions = self.live.revisions.iter();
        revisions.any(|revision| {
            revision.configuration == self.intent.name && revision.scale.raised.is_some()
        })
    }

    /// The fewest instances that a revision is to have; `None` where that is its own affair.
    fn least_of(&self, revision: &RevisionFacts) -> Option<u32> {
        let is = |name: Option<&str>| name == Some(revision.name.as_str());
        // As many as it had at most since: with fewer users it would give them up, and they may all come back at once.
        let as_before = || {
            let before = revision
                .scale
                .raised
                .as_ref()
                .map_or(1, |raised| raised.now);
            before.max(revision.pods.ready)
        };
        let phase = self.phase();
        let goes_up = matches!(phase, Phase::Probing | Phase::Stepping | Phase::Promoting);
        if phase.rests() {
            let kept = is(self.kept_revision()) && !self.intent.withdrawn;
            return kept.then(as_before);
        }
        if is(self.stable_revision().as_deref()) {
            // A rollback asks for nothing but the traffic, and gives nothing up before that is confirmed.
            let raised = revision.scale.raised.as_ref().map(|raised| raised.now);
            let kept = raised.filter(|_| phase == Phase::RollingBack);
            return if goes_up { Some(as_before()) } else { kept };
        }
        (goes_up && is(self.candidate_revision().as_deref())).then_some(1)
    }
}

/// Raises a revision's minimum, as far as its own bounds allow and where it is not as high already.
fn raise(revision: &RevisionFacts, least: u32) -> Option<Write> {
    let scale = &revision.scale;
    let least = least.min(scale.most.unwrap_or(u32::MAX));
    if scale.least >= least {
        return None;
    }
    Some(Write::MinScale {
        revision: revision.name.clone(),
        min_scale: Some(least.to_string()),
        raised: Some(Raised {
            before: scale.without_sluice().cloned(),
            now: least,
        }),
    })
}

/// Puts back what a revision's minimum was before.
fn put_back(revision: &RevisionFacts) -> Option<Write> {
    let scale = &revision.scale;
    scale.raised.as_ref()?;
    Some(Write::MinScale {
        revision: revision.name.clone(),
        min_scale: scale.without_sluice().cloned(),
        raised: None,
    })
}
