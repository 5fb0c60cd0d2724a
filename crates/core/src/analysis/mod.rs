//! Judges whether a candidate is healthy: holds what was seen of it as values, and the statistics on them.
//!
//! Judging is [`judge_window`] and [`judge_probes`], [`judge_pods`] and [`judge_ready`]: they take what was seen (and a
//! policy) and say [`Verdict::Pass`], `Fail` or `Inconclusive`, each with its numbers. What each says goes into a
//! [`Check`], and [`combine`] says what all checks say together. They know no clock and no network, and they are what
//! `rollout` decides with.
//!
//! What was seen are values: a gateway's Prometheus page is read into a [`Scrape`], and
//! [`window::StepWindow`] remembers what was counted since a step began. Whoever gathers them
//! hands them in, with the time.

pub mod check;
pub mod cluster;
#[cfg(test)]
pub(crate) mod dice;
pub mod evidence;
pub mod finding;
mod in_flight;
pub mod judge;
pub mod latency;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod probes;
pub mod prometheus;
pub mod requests;
#[cfg(test)]
mod requests_tests;
mod seen;
pub mod sequential;
mod stable;
pub mod statistics;
#[cfg(test)]
mod watched;
pub mod whole_release;
pub mod window;

pub use check::{Check, CheckId, Judgement, combine};
pub use cluster::{judge_gone, judge_pods, judge_ready, judge_unready};
pub use evidence::{
    Booked, Counts, Evidence, Metrics, PathReport, ProbeReport, ProbeRound, Unmeasured, Window,
};
pub use finding::{Figures, Finding};
pub use judge::Verdict;
pub use latency::Latencies;
pub use ledger::Pair;
pub use limits::Limits;
pub use metrics::{Counters, Scrape, Tally};
pub use probes::judge_probes;
pub use requests::{judge_window, wants_synthetic};
pub use seen::LEAST_TO_COMPARE;
pub use stable::{stable_fails_everybody, stable_is_worse};
pub use whole_release::Tests;
pub use window::StepWindow;
