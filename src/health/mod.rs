//! Is the candidate well? Evidence is gathered here, and judged here.
//!
//! Judging is pure: [`judge`] takes what was seen and a policy and says
//! [`Verdict::Pass`], `Fail` or `Inconclusive`, each with its numbers. It knows no
//! clock and no network, and it is what `rollout` decides with.

pub mod evidence;
pub mod judge;
pub mod latency;
pub mod statistics;

pub use evidence::{Counts, Evidence, Metrics, ProbeReport, ProbeRound, Window};
pub use judge::{Finding, Verdict, judge_probes, judge_window};
pub use latency::Latencies;
