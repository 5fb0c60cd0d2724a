//! Is the candidate well? Evidence is gathered here, and judged here.
//!
//! Judging is pure: [`judge_window`] takes what was seen and a policy and says
//! [`Verdict::Pass`], `Fail` or `Inconclusive`, each with its numbers. It knows no
//! clock and no network, and it is what `rollout` decides with.
//!
//! Gathering is thin: [`probe`] asks a URL again and again, [`gateway`] reads a gateway's
//! Prometheus page, and [`window::StepWindow`] remembers what was counted since a step
//! began. None of them knows what a release is.

pub mod client;
pub mod evidence;
pub mod finding;
pub mod gateway;
#[cfg(test)]
mod how_often;
pub mod judge;
#[cfg(test)]
mod judge_tests;
pub mod latency;
pub mod metrics;
pub mod probe;
pub mod prometheus;
pub mod statistics;
pub mod window;

pub use evidence::{Counts, Evidence, Metrics, ProbeReport, ProbeRound, Window};
pub use finding::{Figures, Finding};
pub use gateway::Gateway;
pub use judge::{Verdict, judge_probes, judge_window, wants_synthetic};
pub use latency::Latencies;
pub use metrics::Scrape;
pub use probe::{ProbePlan, ProbeTarget};
pub use window::StepWindow;
