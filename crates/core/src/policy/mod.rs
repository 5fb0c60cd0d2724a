//! Holds rollout policies, typed and checked: how careful a release is.
//!
//! A [`Policy`] is what a name (`standard`, or a RolloutPolicy in the cluster) stands for,
//! with every default filled in and every number within its range; whoever holds one need
//! not check it again. Nothing here asks a cluster: the objects come in as arguments.

mod preset;
mod probes;
mod validate;

use std::time::Duration;

use crate::api::rollout_policy::{LatencyLimit, ReadinessOnly, RolloutPolicySpec};

#[cfg(test)]
pub(crate) use preset::preset;
pub use preset::{Presets, of_last_resort};
pub use probes::{ProbeAnnotationError, Probes};
pub use validate::{FieldProblem, PolicyError, read};

/// A service names its policy with this annotation, on top of its Delivery's `spec.policy`.
pub const ANNOTATION: &str = "sluice.dev/policy";

/// The policy of a Delivery that names none.
pub const DEFAULT: &str = "standard";

/// How a release goes from 0 to 100 %, and what rolls it back.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// Weights between 0 and 100 %, rising.
    pub steps: Vec<Step>,
    /// How often evidence is gathered and judged.
    pub interval: Duration,
    /// A step without a verdict for this long holds.
    pub step_timeout: Duration,
    /// A candidate that is not Ready after this long is rolled back.
    pub progress_deadline: Duration,
    /// A traffic write must be confirmed within this time.
    pub confirm_timeout: Duration,
    /// Requests to the tag URL before the first step.
    pub probes: Probes,
    /// What the evidence of a step must show.
    pub analysis: Analysis,
}

/// One weight on the way up.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The candidate's share, 1 to 99 %.
    pub weight: u8,
    /// Least time at this weight.
    pub bake: Duration,
    /// Least number of requests to the candidate at this weight.
    pub min_requests: u64,
    /// Whether a person must say `promote` here.
    pub approval: bool,
}

/// What the evidence of a step must show.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// So many failed judgements one after the other roll the release back.
    pub consecutive_failures: u32,
    /// Highest share of failed answers, in percent.
    pub max_error_rate: f64,
    /// Limits on the 99th percentile.
    pub p99: LatencyLimit,
    /// Limits on the median.
    pub p50: LatencyLimit,
    /// First requests that do not count.
    pub warm_up_requests: u32,
    /// Time after the first step whose latencies do not count.
    pub warm_up: Duration,
    /// How many requests of our own speak for a service with too few users; 0: none do.
    pub synthetic_probes: u32,
    /// What becomes of a step for which only a readiness path spoke.
    pub readiness_only: ReadinessOnly,
}

impl Policy {
    /// The step after the given weight; `None` when only 100 % is left.
    ///
    /// By weight and not by number, so that a policy that changes in the middle of a
    /// release never lowers or repeats a step.
    pub fn step_after(&self, weight: u8) -> Option<(u32, &Step)> {
        (0u32..)
            .zip(&self.steps)
            .find(|(_, step)| step.weight > weight)
    }

    /// What is asked of a candidate at the given weight: the step's own terms, or those of
    /// the nearest step below for a weight that the policy no longer has.
    pub fn step_at(&self, weight: u8) -> Option<&Step> {
        self.steps
            .iter()
            .rev()
            .find(|step| step.weight <= weight)
            .or(self.steps.first())
    }

    /// The policy that a spec stands for; its numbers must have been checked.
    fn from_checked(name: &str, spec: &RolloutPolicySpec) -> Self {
        Self {
            name: name.to_owned(),
            steps: spec
                .steps
                .iter()
                .map(|step| Step {
                    weight: step.weight,
                    bake: step.bake.unwrap_or(spec.bake).get(),
                    min_requests: step.min_requests.unwrap_or(spec.analysis.min_requests),
                    approval: step.approval,
                })
                .collect(),
            interval: spec.interval.get(),
            step_timeout: spec.step_timeout.get(),
            progress_deadline: spec.progress_deadline.get(),
            confirm_timeout: spec.confirm_timeout.get(),
            probes: Probes::from_checked(spec),
            analysis: Analysis {
                consecutive_failures: spec.analysis.consecutive_failures,
                max_error_rate: spec.analysis.max_error_rate,
                p99: spec.analysis.p99.clone(),
                p50: spec.analysis.p50.clone(),
                warm_up_requests: spec.analysis.warm_up.requests,
                warm_up: spec.analysis.warm_up.duration.get(),
                synthetic_probes: if spec.analysis.low_traffic.synthetic_probes {
                    spec.analysis.low_traffic.requests
                } else {
                    0
                },
                readiness_only: spec.analysis.low_traffic.readiness_only,
            },
        }
    }
}

/// The policy of a service: the first of its own annotation, its Delivery's, and `standard`
/// that is set, looked up among the namespace's RolloutPolicies and then the presets.
///
/// # Errors
/// When nothing has that name, or its numbers are out of range.
pub fn resolve<'a>(
    annotation: Option<&str>,
    delivery: Option<&str>,
    find: impl FnOnce(&str) -> Option<&'a RolloutPolicySpec>,
    presets: Presets,
) -> Result<Policy, PolicyError> {
    let name = annotation.or(delivery).unwrap_or(DEFAULT);
    match find(name) {
        Some(spec) => validate::check(name, spec),
        None => presets.policy(name),
    }
}
