//! One side's figures beside the other's.

use crate::api::rollout::EvidenceSource;
use crate::api::rollout_policy::LatencyLimit;
use crate::policy::Policy;

use super::finding::{Figures, Finding};
use super::judge::Verdict;
use super::latency::Latencies;
use super::statistics::{Confidence, Sprt, SprtVerdict, binomial_tail, highest_plausible_rate};

/// An answer-time figure is over its limit when chance explains it this badly.
const SLOW: f64 = 0.01;
/// So badly that no second judgement is needed: four late answers of four, say, where none of
/// stable's seventy was.
const GROSSLY_SLOW: f64 = 1e-4;
/// Fewer answers than this of stable's are no figure to compare with.
pub const LEAST_TO_COMPARE: u64 = 5;
/// One side's figures beside the other's, wherever they came from.
pub(super) struct Seen<'a> {
    pub(super) figures: Figures,
    candidate: &'a Latencies,
    stable: Option<&'a Latencies>,
    stable_errors: u64,
    stable_requests: u64,
}

impl<'a> Seen<'a> {
    /// Figures of our own requests, prepared by [`super::probes`].
    pub(super) fn of_sides(
        figures: Figures,
        candidate: &'a Latencies,
        stable: Option<&'a Latencies>,
        (stable_errors, stable_requests): (u64, u64),
    ) -> Self {
        Self {
            figures,
            candidate,
            stable,
            stable_errors,
            stable_requests,
        }
    }

    fn sprt(&self, policy: &Policy) -> SprtVerdict {
        Sprt::around(policy.analysis.max_error_rate)
            .judge(self.figures.errors, self.figures.requests)
    }

    /// What is wrong with the candidate, if anything is beyond doubt.
    pub(super) fn blame(&self, policy: &Policy) -> Option<Verdict> {
        if self.sprt(policy) == SprtVerdict::Reject {
            return Some(if self.stable_is_as_bad(policy) {
                Verdict::Inconclusive(Finding::StableAsBad {
                    figures: self.figures.clone(),
                    stable_errors: self.stable_errors,
                    stable_requests: self.stable_requests,
                })
            } else {
                Verdict::Fail {
                    finding: Finding::Errors(self.figures.clone()),
                    at_once: true,
                }
            });
        }
        [(99, &policy.analysis.p99), (50, &policy.analysis.p50)]
            .into_iter()
            .find_map(|(percentile, limit)| self.slow(percentile, limit))
    }

    /// Whether enough clean answers speak for it; only after [`Self::blame`] found nothing.
    ///
    /// Where our own requests stand in for users they are all there is, and cost nobody
    /// anything: the test is then waited for until it accepts.
    pub(super) fn acquit(&self, policy: &Policy) -> Verdict {
        let alone = self.figures.source == EvidenceSource::SyntheticProbes;
        match self.sprt(policy) {
            SprtVerdict::LeansHealthy if alone => {
                Verdict::Inconclusive(Finding::Undecided(self.figures.clone()))
            }
            SprtVerdict::Accept | SprtVerdict::LeansHealthy => {
                Verdict::Pass(Finding::Healthy(self.figures.clone()))
            }
            SprtVerdict::LeansSick | SprtVerdict::Reject => {
                Verdict::Inconclusive(Finding::Undecided(self.figures.clone()))
            }
        }
    }

    /// Stable is over the limit itself, and the candidate is not clearly worse.
    fn stable_is_as_bad(&self, policy: &Policy) -> bool {
        if self.stable_requests < LEAST_TO_COMPARE {
            return false;
        }
        let rate = self.stable_errors as f64 / self.stable_requests as f64;
        let plausible =
            highest_plausible_rate(self.stable_errors, self.stable_requests, Confidence::HIGH);
        rate * 100.0 > policy.analysis.max_error_rate
            && binomial_tail(self.figures.errors, self.figures.requests, plausible) >= 0.01
    }

    fn slow(&self, percentile: u8, limit: &LatencyLimit) -> Option<Verdict> {
        let q = f64::from(percentile) / 100.0;
        let absolute = limit.max.map(|max| max.get().as_secs_f64() * 1000.0);
        let relative = limit.max_ratio.map(|ratio| {
            self.stable
                .filter(|stable| stable.count() >= LEAST_TO_COMPARE)
                .and_then(|stable| stable.quantile(q))
                .map(|span| span.to * ratio)
        });
        // Over every limit that is set is over the highest of them.
        let (limit_ms, known) = match (absolute, relative) {
            (None, None) => return None,
            (Some(absolute), None) => (absolute, true),
            (None, Some(relative)) => (relative?, true),
            (Some(absolute), Some(Some(relative))) => (absolute.max(relative), true),
            (Some(absolute), Some(None)) => (absolute, false),
        };
        let over = self.candidate.certainly_over(limit_ms);
        // A machine that stalls makes everybody late at once, and late answers come in heaps.
        // Where stable is the measure, as many late ones are allowed as stable's own do not rule
        // out; few of stable's rule out little.
        let usual = match self.stable.filter(|_| limit.max_ratio.is_some()) {
            Some(stable) if stable.count() > 0 => {
                let late = stable.certainly_over(limit_ms);
                highest_plausible_rate(late, stable.count(), Confidence::USUAL).max(1.0 - q)
            }
            _ => 1.0 - q,
        };
        let chance = binomial_tail(over, self.candidate.count(), usual);
        if chance >= SLOW {
            return None;
        }
        // With no stable revision at all (a first delivery) there is nothing to wait for.
        if !known {
            return self
                .stable
                .is_some()
                .then(|| Verdict::Inconclusive(Finding::NothingToCompare(self.figures.clone())));
        }
        Some(Verdict::Fail {
            finding: Finding::Slow {
                figures: self.figures.clone(),
                percentile,
                limit_ms,
            },
            at_once: chance < GROSSLY_SLOW,
        })
    }
}
