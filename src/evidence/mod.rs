//! Gathers what a release is judged by: probes of a URL, and the counters of gateways.
//!
//! Gathering is thin: [`probe`] asks a URL again and again, [`gateway`] reads a gateway's
//! Prometheus page. What they bring back are the values of `analysis`, which judges them;
//! neither knows what a release is.

pub mod client;
pub mod gateway;
mod plan;
pub mod probe;
mod trust;

pub use client::FetchError;
pub use gateway::{Gateway, ScrapeError};
pub use plan::{ProbePlan, ProbeTarget, SlowStart};
pub use trust::{Trust, TrustError};
