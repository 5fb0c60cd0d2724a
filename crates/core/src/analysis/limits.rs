//! What a policy allows, in the figures that tests are fed with.

use crate::api::rollout_policy::LatencyLimit;
use crate::policy::Policy;

use super::metrics::Counters;
use super::seen::LEAST_TO_COMPARE;

/// The limits of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The highest share of errors, of 1.
    pub errors: f64,
    /// On the 99th percentile.
    pub p99: TimeLimit,
    /// On the median.
    pub p50: TimeLimit,
}

/// A limit on a quantile of the answer times.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeLimit {
    /// The share of answers that may be late, of 1.
    pub share: f64,
    /// In milliseconds.
    pub max: Option<f64>,
    /// As a multiple of stable's figure.
    pub max_ratio: Option<f64>,
}

impl TimeLimit {
    fn of(limit: &LatencyLimit, quantile: f64) -> Self {
        Self {
            share: 1.0 - quantile,
            max: limit.max.map(|max| max.get().as_secs_f64() * 1000.0),
            max_ratio: limit.max_ratio,
        }
    }

    /// Whether stable is the measure.
    pub fn compares(&self) -> bool {
        self.max_ratio.is_some()
    }

    /// Over every limit that is set is over the highest of them, in milliseconds. Where stable says nothing now, what it
    /// said before holds.
    fn milliseconds(&self, stable: &Counters, before: Option<f64>) -> Option<f64> {
        let relative = || {
            let latencies = stable.latencies();
            (latencies.count() >= LEAST_TO_COMPARE).then_some(())?;
            Some(latencies.quantile(1.0 - self.share)?.to * self.max_ratio?)
        };
        match (self.max, relative()) {
            (Some(absolute), Some(relative)) => Some(absolute.max(relative)),
            (absolute, None) if self.compares() => before.or(absolute),
            (absolute, relative) => absolute.or(relative),
        }
    }
}

impl Limits {
    /// Those of a policy.
    pub fn of(policy: &Policy) -> Self {
        let analysis = &policy.analysis;
        Self {
            errors: analysis.max_error_rate / 100.0,
            p99: TimeLimit::of(&analysis.p99, 0.99),
            p50: TimeLimit::of(&analysis.p50, 0.5),
        }
    }

    /// The limits on the 99th percentile and the median in milliseconds, with stable's figures as they are now.
    pub fn milliseconds(
        &self,
        stable: &Counters,
        [p99, p50]: [Option<f64>; 2],
    ) -> [Option<f64>; 2] {
        [
            self.p99.milliseconds(stable, p99),
            self.p50.milliseconds(stable, p50),
        ]
    }

    /// Whether times are limited at all.
    pub fn limit_times(&self) -> bool {
        [&self.p99, &self.p50]
            .iter()
            .any(|limit| limit.max.is_some() || limit.max_ratio.is_some())
    }
}
