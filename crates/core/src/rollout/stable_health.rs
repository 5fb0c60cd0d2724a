//! Whether stable serves its users, and what a candidate may do where it does not.
//!
//! Going up is careful for the sake of the users whom stable serves. Where it serves nobody there is none to be careful
//! for: a candidate that is Ready and has passed the probes, or its present step, goes straight up. So nothing that is
//! broken keeps its fix out.

use std::time::Duration;

use jiff::Timestamp;

use crate::analysis::{Judgement, stable_fails_everybody, stable_is_worse};
use crate::api::duration::HumanDuration;
use crate::api::rollout::{Phase, RolloutStatus};

use super::context::DecisionContext;
use super::transition::Transition;

/// The condition that says since when stable is not well.
const STABLE_HEALTHY: &str = "StableHealthy";

/// The reason of `Ready` on a service whose users get nothing but errors.
pub(super) const SERVES_NOBODY: &str = "ServesNobody";

/// What keeps every user of a service from being served, where its status says so.
pub fn serves_nobody(status: &RolloutStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter();
    let ready = conditions.find(|c| c.type_ == "Ready" && c.reason == SERVES_NOBODY)?;
    Some(&ready.message)
}

/// What is wrong with stable, by the cluster's word.
struct Trouble {
    cause: String,
    /// No Pod of it is Ready, or it is gone.
    serves_nobody: bool,
    /// That has lasted longer than a restart or a cold start takes.
    lasts: bool,
}

impl DecisionContext<'_> {
    /// What is wrong with stable, by the cluster's word.
    pub fn stable_trouble(&self) -> Option<String> {
        self.trouble().map(|trouble| trouble.cause)
    }

    /// The same, where no user of it can be served.
    pub fn stable_is_down(&self) -> Option<String> {
        let trouble = self.trouble().filter(|trouble| trouble.serves_nobody);
        trouble.map(|trouble| trouble.cause)
    }

    /// Why users of the service get nothing but errors, where that is known: by the cluster's word, or by what they meet.
    pub fn serves_nobody(&self) -> Option<String> {
        // A promotion that waits for its confirmation has another revision than stable beside it.
        if self.phase() == Phase::Promoting {
            return None;
        }
        match self.trouble() {
            Some(trouble) => Some(trouble.cause).filter(|_| trouble.serves_nobody),
            None => self.stable_yields(),
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        let stable = self.stable_revision()?;
        let Some(revision) = self.live.revision(&stable) else {
            return Some(Trouble {
                cause: format!("{stable} is gone"),
                serves_nobody: true,
                // A good one before it takes its place first.
                lasts: self.is_unwell_for_long() && self.best_left(&stable).is_none(),
            });
        };
        let pods = &revision.pods;
        let serves_nobody = pods.ready == 0;
        if revision.has_failed() {
            let ready = revision.ready.as_ref()?;
            return Some(Trouble {
                cause: format!("{stable} is not Ready: {}", ready.cause()),
                serves_nobody,
                lasts: self.is_unwell_for_long(),
            });
        }
        // No condition tells of Pods that lost their readiness. Words without a time: they are stored.
        let (waited, patience) = self.without_ready_pods(pods).filter(|_| serves_nobody)?;
        let why = pods.waiting_reason.as_deref().or(pods.last_exit.as_deref());
        let why = why.map(|why| format!(", {why}")).unwrap_or_default();
        (waited >= patience).then(|| Trouble {
            cause: format!(
                "{stable} has had no Ready Pod for {} (0 of {}{why})",
                HumanDuration(patience),
                pods.running
            ),
            serves_nobody,
            lasts: true,
        })
    }

    /// It may be well again in a moment, so it has the time of any word of the cluster's that is waited for.
    fn is_unwell_for_long(&self) -> bool {
        self.stable_unwell_for()
            .is_some_and(|time| time >= self.policy.confirm_timeout)
    }

    /// For how long something has been wrong with stable, if so.
    pub fn stable_unwell_for(&self) -> Option<Duration> {
        let since = self.stable_unwell_since()?;
        Some(self.since(Some(since)))
    }

    /// Since when, by its condition.
    pub fn stable_unwell_since(&self) -> Option<Timestamp> {
        let mut conditions = self.service.conditions.iter();
        let said = conditions.find(|c| c.type_ == STABLE_HEALTHY && !c.is_true())?;
        Some(said.last_transition_time)
    }

    /// Says whether stable is well, once there was any doubt of it.
    pub fn say_stable_health(&mut self) {
        let trouble = self.trouble();
        let was_unwell = self.stable_unwell_for().is_some();
        match trouble {
            Some(Trouble { cause, .. }) => {
                self.condition(STABLE_HEALTHY, false, "StableUnhealthy", cause);
            }
            None if was_unwell => {
                self.condition(STABLE_HEALTHY, true, "AsExpected", String::new());
            }
            None => {}
        }
    }

    /// Why stable stands in nobody's way, if so: the figure that decides. It serves nobody, by the cluster's word or by
    /// what users meet; or no share beside it can be had, and users fare better with the candidate.
    pub fn stable_yields(&self) -> Option<String> {
        let trouble = self.trouble();
        if let Some(down) = trouble.as_ref().filter(|t| t.serves_nobody && t.lasts) {
            return Some(down.cause.clone());
        }
        let (stable, candidate) = (self.stable_revision()?, self.candidate_revision()?);
        let window = self.window(&candidate, self.candidate.weight)?;
        let users = window.metrics.as_ref().ok()?;
        let decides = match &trouble {
            Some(trouble) => {
                trouble.lasts && stable_is_worse(&users.stable.tally, &users.candidate.tally)
            }
            None => stable_fails_everybody(&users.stable.tally, &users.candidate.tally),
        };
        decides.then(|| {
            format!(
                "{stable} failed {} of {} requests, and {candidate} {} of {}",
                users.stable.tally.errors,
                users.stable.tally.requests,
                users.candidate.tally.errors,
                users.candidate.tally.requests
            )
        })
    }

    /// Whether a Route can give a share to stable: with one target that is not Ready it follows nothing.
    pub fn stable_is_routable(&self) -> bool {
        let stable = self.stable_revision();
        stable.is_some_and(|stable| self.live.is_usable(&stable))
    }

    /// The way up of a candidate in a step, beside a stable that yields and that no Route can name: the cluster confirms
    /// no further step. What has passed goes on; and so does what never had the present share, since nothing can be
    /// seen of it there.
    pub fn fix_forward(&mut self, judgement: &Judgement) -> Option<Transition> {
        if self.stable_is_routable() || self.stable_yields().is_none() {
            return None;
        }
        match judgement {
            Judgement::Pass(finding) => self.passed(finding.clone()),
            Judgement::Wait { .. } if self.service.confirmed_at.is_none() => self.passed(None),
            Judgement::Wait { .. } | Judgement::Fail { .. } => None,
        }
    }

    /// What is said while nothing goes up because of stable, with what helps.
    pub fn words_on_stable(&self, cause: &str) -> String {
        format!(
            "the stable revision is not well ({cause}), and nothing goes up because of that; `sluice rollout promote {}` gives all traffic to {}",
            self.intent.name,
            self.candidate_name()
        )
    }
}
