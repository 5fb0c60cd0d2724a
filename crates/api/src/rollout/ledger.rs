//! What of the evidence of a release outlives the agent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The account of what candidate and stable answered, as far as it outlives the agent: with it an agent that begins anew
/// forgets neither a failure that users met meanwhile nor what the tests of this release know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EvidenceLedger {
    /// The revision that is judged.
    pub candidate: String,
    /// The one that it is compared with.
    pub stable: String,
    /// What each gateway had counted at the last look, by the address of its page.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub gateways: BTreeMap<String, GatewayCounts>,
    /// Requests of our own that it had not counted by then.
    pub ours: GatewayCounts,
    /// What users of the candidate were answered, in the whole release.
    #[serde(rename = "candidateSeen")]
    pub seen_of_candidate: Answered,
    /// What users of stable were answered meanwhile.
    #[serde(rename = "stableSeen")]
    pub seen_of_stable: Answered,
    /// The candidate has all users: it is watched after its promotion.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// After so many milliseconds an answer is late, by the limit on the 99th percentile and stable's figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_after_ms: Option<f64>,
    /// The same by the limit on the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_late_after_ms: Option<f64>,
    /// The tests, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tests: BTreeMap<String, SequentialTest>,
}

/// Answers by status, 0 where there was none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayCounts {
    /// The candidate's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub candidate: BTreeMap<u16, u64>,
    /// Stable's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub stable: BTreeMap<u16, u64>,
}

/// What users were answered, by what is judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Answered {
    /// All.
    pub requests: u64,
    /// Failed.
    pub errors: u64,
    /// 3xx.
    pub redirects: u64,
    /// 4xx.
    pub client_errors: u64,
    /// Left by their client before they were whole.
    pub left: u64,
    /// Those whose time is known.
    pub timed: u64,
    /// Late by the limit on the 99th percentile.
    pub late: u64,
    /// Late by the limit on the median.
    pub median_late: u64,
}

/// A test that is valid at any look: what it has won against "nothing is wrong".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SequentialTest {
    /// Beginnings of a fault that it reckons with so far.
    pub begun: u64,
    /// The prior weight of all later ones.
    pub left: f64,
    /// What was won, for each of its alternatives.
    pub won: Vec<f64>,
}
