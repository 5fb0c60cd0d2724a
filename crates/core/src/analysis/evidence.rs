//! What was seen of the candidate, and of stable beside it: plain values.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::rollout::EvidenceLedger;

use super::latency::Latencies;
use super::metrics::Tally;
use super::whole_release::Tests;

/// What the agent has gathered for the present phase of one release.
///
/// Each part names the revision (and weight) that it is about; what is about another
/// one is old, and ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The last round of probes on the tag URL.
    pub probes: Option<ProbeRound>,
    /// What users' requests showed since the present weight was confirmed.
    pub window: Option<Window>,
}

/// Requests of our own to the candidate, and to stable in the same way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeRound {
    /// The candidate.
    pub revision: String,
    /// When the release began that this is about: a revision that is tried again has the same name.
    pub release_since: Option<Timestamp>,
    /// When the round ended.
    pub at: Timestamp,
    /// What the candidate answered.
    pub candidate: ProbeReport,
    /// What stable answered; `None` where there is none, or none that can be asked.
    pub stable: Option<ProbeReport>,
    /// Nobody named a path: it was the container's readiness path that was asked for, or `/`.
    pub readiness_only: bool,
}

/// What came back from one series of requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeReport {
    /// Requests that count (the warm-up's do not).
    pub sent: u64,
    /// All of this series, the warm-up's and those of a slow start too, as a gateway has counted them.
    pub booked: Booked,
    /// Those that count and were answered otherwise than expected, or not at all.
    pub failed: u64,
    /// Those of them that got no HTTP answer: refused, reset, timed out before the headers.
    pub unanswered: u64,
    /// Answers by status, of the requests that count.
    pub statuses: BTreeMap<u16, u64>,
    /// What each path answered, by the request's line: `/healthz`, `HEAD /healthz`.
    pub paths: BTreeMap<String, PathReport>,
    /// Time to the whole answer, of the requests that count, without those of a slow start.
    pub latencies: Latencies,
    /// The same of those that were sent while a slow start may last.
    pub early: Latencies,
    /// The very first request, warm-up included: the cold start, told apart.
    pub first: Option<Duration>,
    /// Different errors, in words (the first few).
    pub errors: Vec<String>,
}

/// What one path answered, of the requests that count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathReport {
    /// Answers that were as expected, by status.
    pub passed: BTreeMap<u16, u64>,
    /// Those that were not.
    pub failed: u64,
}

/// What users met at one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The candidate.
    pub revision: String,
    /// Its weight.
    pub weight: u8,
    /// Since when: the rollout's `analysisStartedAt`.
    pub since: Timestamp,
    /// When something was last added.
    pub at: Timestamp,
    /// How long the weight has been watched without a break. Measured by a clock that
    /// does not jump; starts anew after a restart, so a bake is never shortened.
    pub elapsed: Duration,
    /// What the gateway counted, or why that is not known.
    pub metrics: Result<Metrics, Unmeasured>,
    /// Our own requests at this weight, where users sent too few.
    pub synthetic: Option<ProbeRound>,
    /// What is to be remembered of the account.
    pub ledger: EvidenceLedger,
}

/// Why a window has no counters to judge by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasured {
    /// Nobody has looked yet.
    #[error("the gateway's counters were not read yet")]
    NotYet,
    /// The last look failed; the text says which page, and why.
    #[error("{0}")]
    Unread(String),
}

/// What the gateway counted in one window, our own requests taken off: users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The candidate's requests.
    pub candidate: Counts,
    /// Stable's, over the same time.
    pub stable: Counts,
    /// The tests of the whole release up to now.
    pub tests: Tests,
    /// The limits on the 99th percentile and the median that they were fed by last, in milliseconds.
    pub limits_ms: [Option<f64>; 2],
    /// Queue-proxies counted, and no gateway.
    pub by_pods: bool,
}

/// Requests to one revision in one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// What was counted, by what is judged.
    pub tally: Tally,
    /// Answer times, without the warm-up's.
    pub latencies: Latencies,
    /// Requests that were answered since times count. A gateway may tell times later than it counts (Envoy every 5 s).
    pub due: u64,
    /// Requests that have been open for longer than the limit on the 99th percentile.
    pub open: u64,
}

/// Requests of our own, all of them, as a gateway has counted them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Booked {
    /// Answers by status, the warm-up's too; 0 where there was none.
    pub statuses: BTreeMap<u16, u64>,
    /// Times in milliseconds, the warm-up's too.
    pub times: Vec<f64>,
}

impl Booked {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.times.extend(&other.times);
    }
}

impl ProbeReport {
    /// Adds what a later series of requests showed.
    pub fn add(&mut self, later: Self) {
        self.sent += later.sent;
        self.failed += later.failed;
        self.unanswered += later.unanswered;
        for (status, count) in later.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (path, theirs) in later.paths {
            let mine = self.paths.entry(path).or_default();
            mine.failed += theirs.failed;
            for (status, count) in theirs.passed {
                *mine.passed.entry(status).or_default() += count;
            }
        }
        self.latencies = self.latencies.with(&later.latencies);
        self.early = self.early.with(&later.early);
        // The cold start is the first one's.
        self.first = self.first.or(later.first);
        self.errors.extend(later.errors);
        self.errors.dedup();
        self.errors.truncate(5);
    }
}

impl ProbeRound {
    /// Whether two rounds are about one revision in one release, so that they may be added.
    pub fn continues(&self, earlier: &Self) -> bool {
        self.revision == earlier.revision && self.release_since == earlier.release_since
    }

    /// Adds a later round of the same revision.
    pub fn add(&mut self, later: Self) {
        self.at = later.at;
        self.readiness_only = later.readiness_only;
        self.candidate.add(later.candidate);
        match (&mut self.stable, later.stable) {
            (Some(mine), Some(theirs)) => mine.add(theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}
