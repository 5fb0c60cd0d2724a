//! `RolloutPolicy`: how carefully a new revision is let in.
//!
//! Every field has a default (the preset `standard`), so a policy says only
//! where it differs. The presets in `policies/` are files of this kind.

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::HumanDuration;
use super::probe::{ExpectedBody, ExpectedStatus, ProbeMethod};

/// How a release goes from 0 to 100 %, and what rolls it back.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "RolloutPolicy",
    plural = "rolloutpolicies",
    namespaced,
    category = "sluice",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Bake","type":"string","jsonPath":".spec.bake"}"#,
    printcolumn = r#"{"name":"Deadline","type":"string","jsonPath":".spec.progressDeadline"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RolloutPolicySpec {
    /// Weights between 0 and 100 %, rising; 100 % is the promotion and is not listed.
    #[schemars(length(max = 50))]
    pub steps: Vec<Step>,
    /// Least time at a step before its evidence may pass, where the step names none.
    pub bake: HumanDuration,
    /// How often evidence is gathered and judged.
    pub interval: HumanDuration,
    /// A step without a verdict for this long holds and asks for a person.
    pub step_timeout: HumanDuration,
    /// A candidate that is not Ready after this long is rolled back.
    pub progress_deadline: HumanDuration,
    /// A traffic write that `status.traffic` has not confirmed after this long is written again
    /// and, while a release is going up, counts against it.
    pub confirm_timeout: HumanDuration,
    /// Requests to the candidate's tag URL before it gets any user traffic.
    pub probes: Probes,
    /// What the evidence of a step must show.
    pub analysis: Analysis,
}

impl Default for RolloutPolicySpec {
    /// The preset `standard`.
    fn default() -> Self {
        Self {
            steps: [5, 20, 50].into_iter().map(Step::weight).collect(),
            bake: HumanDuration::from_secs(300),
            interval: HumanDuration::from_secs(5),
            step_timeout: HumanDuration::from_secs(1800),
            progress_deadline: HumanDuration::from_secs(600),
            confirm_timeout: HumanDuration::from_secs(30),
            probes: Probes::default(),
            analysis: Analysis::default(),
        }
    }
}

/// One weight on the way up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// The candidate's share of user traffic, in percent.
    #[schemars(range(min = 1, max = 99))]
    pub weight: u8,
    /// Least time at this weight, instead of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake: Option<HumanDuration>,
    /// Least number of requests to the candidate at this weight, instead of the analysis's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u64>,
    /// Wait here until a person says `promote`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

impl Step {
    /// A step with nothing of its own but its weight.
    pub fn weight(weight: u8) -> Self {
        Self {
            weight,
            bake: None,
            min_requests: None,
            approval: false,
        }
    }
}

/// Requests to the candidate's tag URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Probes {
    /// Path to ask for; the container's HTTP readiness path, or `/`, when no path is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"))]
    pub path: Option<String>,
    /// Paths to ask for in turn, instead of one `path`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(regex(pattern = r"^/")))]
    pub paths: Vec<String>,
    /// The method.
    pub method: ProbeMethod,
    /// Headers of each request. Everybody who reads the policy reads them: no place for secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The statuses that pass: `204`, `200-299` or `200-299, 404`. When absent, what is below 500
    /// and in no worse class (2xx, 3xx, 4xx) than what stable answers. No redirect is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_status: Option<ExpectedStatus>,
    /// What the body of an answer must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_body: Option<ExpectedBody>,
    /// How many must pass before the first step, over all paths; 0 switches the gate off.
    pub count: u32,
    /// How many are under way at once.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: u32,
    /// An answer later than this has failed.
    pub timeout: HumanDuration,
    /// Answers that are late this soon after a revision's first one blame nobody: probing goes on
    /// until it is over, and what comes then is judged. Quick answers are not waited for. At most half
    /// of `stepTimeout`.
    pub slow_start: HumanDuration,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            path: None,
            paths: Vec::new(),
            method: ProbeMethod::Get,
            headers: BTreeMap::new(),
            expected_status: None,
            expected_body: None,
            count: 20,
            concurrency: 4,
            timeout: HumanDuration::from_secs(5),
            slow_start: HumanDuration::from_secs(30),
        }
    }
}

/// What the evidence of a step must show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Analysis {
    /// Least number of user requests to the candidate that speak for a step.
    pub min_requests: u64,
    /// So many failed judgements one after the other roll the release back.
    #[schemars(range(min = 1, max = 100))]
    pub consecutive_failures: u32,
    /// Highest share of answers with a status of 500 or above, in percent.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub max_error_rate: f64,
    /// Limits on the 99th percentile of the answer time.
    pub p99: LatencyLimit,
    /// Limits on the median answer time.
    pub p50: LatencyLimit,
    /// What is left out at the start of a revision's life.
    pub warm_up: WarmUp,
    /// What speaks for a service with fewer requests than `minRequests`.
    pub low_traffic: LowTraffic,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            min_requests: 200,
            consecutive_failures: 2,
            max_error_rate: 1.0,
            p99: LatencyLimit {
                max: Some(HumanDuration::from_millis(500)),
                max_ratio: Some(1.25),
            },
            // Looser than that of the 99th percentile: where everybody's slowest answers are slow,
            // half of the candidate's still must not be.
            p50: LatencyLimit {
                max: Some(HumanDuration::from_millis(500)),
                max_ratio: Some(1.5),
            },
            warm_up: WarmUp::default(),
            low_traffic: LowTraffic::default(),
        }
    }
}

/// A candidate is too slow when it is over **every** limit that is set: over the absolute one,
/// and over the ratio to stable in the same minutes (a stable revision that is as slow
/// excuses it; a ratio of two tiny numbers condemns nobody).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LatencyLimit {
    /// Absolute limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<HumanDuration>,
    /// Limit as a multiple of the stable revision's figure over the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ratio: Option<f64>,
}

/// What is left out of the evidence while a revision warms up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct WarmUp {
    /// First requests (probes) that do not count.
    pub requests: u32,
    /// Time after the candidate's first step whose latencies do not count.
    pub duration: HumanDuration,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self {
            requests: 5,
            duration: HumanDuration::from_secs(30),
        }
    }
}

/// What speaks for a service that too few people use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LowTraffic {
    /// Judge synthetic probes through the gateway where users send too little.
    pub synthetic_probes: bool,
    /// How many of them in a round; rounds follow until it is clear what they say.
    pub requests: u32,
    /// What becomes of a step at which no user spoke and probes asked for nothing but what a kubelet
    /// asks, since nobody named a path of `probes`.
    pub readiness_only: ReadinessOnly,
}

/// What a readiness path is good for where nothing else speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReadinessOnly {
    /// The release holds until users come or a person promotes it.
    #[default]
    Hold,
    /// It speaks for the step.
    Promote,
}

impl Default for LowTraffic {
    fn default() -> Self {
        Self {
            synthetic_probes: true,
            requests: 100,
            readiness_only: ReadinessOnly::Hold,
        }
    }
}
