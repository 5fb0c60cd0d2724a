//! Is what was seen good enough to go on, bad enough to roll back, or neither?
//!
//! - Errors are judged by a sequential test ([`Sprt`]), so a handful of early ones condemn
//!   at once, and a few clean answers do not acquit.
//! - Times are judged by how many answers were over the limit: a 99th percentile is over
//!   500 ms when significantly more than one answer in a hundred took longer. That is as true
//!   of twelve answers as of twelve thousand, and needs no interpolation.
//! - A stable revision that is as bad in the same minutes excuses the candidate: something
//!   else is wrong, and the release waits.
//! - What is not known neither promotes nor blames.

use crate::api::rollout::EvidenceSource;
use crate::api::rollout_policy::LatencyLimit;
use crate::policy::{Policy, Step};

use super::evidence::{Counts, Metrics, ProbeReport, ProbeRound, Window};
use super::finding::{Figures, Finding};
use super::latency::Latencies;
use super::statistics::{Confidence, Sprt, SprtVerdict, binomial_tail, highest_plausible_rate};

/// An answer-time figure is over its limit when chance explains it this badly.
const SLOW: f64 = 0.01;
/// So badly that no second judgement is needed: four late answers of four, say, where none of
/// stable's seventy was.
const GROSSLY_SLOW: f64 = 1e-4;
/// Fewer answers than this of stable's are no figure to compare with.
pub const LEAST_TO_COMPARE: u64 = 5;

/// What the evidence says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Good enough to go on.
    Pass(Finding),
    /// Over a limit.
    Fail {
        /// Which one.
        finding: Finding,
        /// Beyond doubt: no second failure is waited for.
        at_once: bool,
    },
    /// Neither.
    Inconclusive(Finding),
}

impl Verdict {
    /// Adds why our own requests speak and not users'.
    fn instead_of(self, why: String) -> Self {
        let said = |finding| match finding {
            Finding::Healthy(figures) => Finding::Healthy(figures.instead_of(why)),
            Finding::Errors(figures) => Finding::Errors(figures.instead_of(why)),
            Finding::Undecided(figures) => Finding::Undecided(figures.instead_of(why)),
            other => other,
        };
        match self {
            Self::Pass(finding) => Self::Pass(said(finding)),
            Self::Fail { finding, at_once } => Self::Fail {
                finding: said(finding),
                at_once,
            },
            Self::Inconclusive(finding) => Self::Inconclusive(said(finding)),
        }
    }

    /// What it rests on.
    pub fn finding(&self) -> &Finding {
        match self {
            Self::Pass(finding) | Self::Fail { finding, .. } | Self::Inconclusive(finding) => {
                finding
            }
        }
    }
}

/// Judges the probes before the first step.
///
/// ```
/// use jiff::Timestamp;
/// use sluicegate_core::analysis::{Latencies, ProbeReport, ProbeRound, Verdict, judge_probes};
/// use sluicegate_core::policy;
///
/// let policy = policy::read(
///     "{apiVersion: sluice.dev/v1alpha1, kind: RolloutPolicy, metadata: {name: mine}, spec: {}}",
/// )?;
/// let mut round = ProbeRound {
///     revision: "hello-00002".to_owned(),
///     at: Timestamp::UNIX_EPOCH,
///     candidate: ProbeReport {
///         sent: 50,
///         statuses: [(200, 50)].into(),
///         latencies: Latencies::exact(vec![3.0; 50]),
///         ..ProbeReport::default()
///     },
///     stable: None,
/// };
/// let verdict = judge_probes(&policy, &round);
/// assert!(matches!(verdict, Verdict::Pass(_)));
/// assert_eq!(
///     verdict.finding().to_string(),
///     "error rate 0.0 % of 50 probes (limit 1 %), p99 3 ms"
/// );
///
/// round.candidate.failed = 25;
/// round.candidate.statuses = [(200, 25), (500, 25)].into();
/// let verdict = judge_probes(&policy, &round);
/// assert!(matches!(verdict, Verdict::Fail { .. }));
/// assert_eq!(
///     verdict.finding().to_string(),
///     "error rate 50.0 % of 50 probes (limit 1 %), p99 3 ms"
/// );
/// # Ok::<(), policy::PolicyError>(())
/// ```
pub fn judge_probes(policy: &Policy, round: &ProbeRound) -> Verdict {
    judge_reports(
        policy,
        EvidenceSource::Probes,
        &round.candidate,
        round.stable.as_ref(),
        u64::from(policy.probes.count),
    )
}

/// Judges what users met at a step.
pub fn judge_window(policy: &Policy, step: &Step, window: &Window) -> Verdict {
    let synthetic = window.synthetic.as_ref();
    let by_synthetic = |round: &ProbeRound, instead_of: String| {
        let verdict = judge_reports(
            policy,
            EvidenceSource::SyntheticProbes,
            &round.candidate,
            round.stable.as_ref(),
            u64::from(policy.analysis.synthetic_probes),
        );
        verdict.instead_of(instead_of)
    };
    let metrics = match (&window.metrics, synthetic) {
        (Ok(metrics), _) => metrics,
        (Err(why), None) => {
            return Verdict::Inconclusive(Finding::NoData {
                why: why.to_string(),
            });
        }
        (Err(why), Some(round)) => {
            return bake(by_synthetic(round, why.to_string()), window, step);
        }
    };

    let seen = Seen::of_counts(policy, &metrics.candidate, &metrics.stable);
    let users = metrics.candidate.requests;
    let too_few = || format!("users sent {users} of {}", step.min_requests);
    // Failing needs neither a bake nor a minimum: bad is bad.
    if let Some(verdict) = seen.blame(policy) {
        return verdict;
    }
    let synthetic = synthetic.map(|round| by_synthetic(round, too_few()));
    if let Some(verdict @ Verdict::Fail { .. }) = synthetic {
        return verdict;
    }
    if window.elapsed < step.bake {
        return Verdict::Inconclusive(Finding::Baking {
            figures: seen.figures,
            baked: window.elapsed,
            bake: step.bake,
        });
    }
    match synthetic {
        _ if users >= step.min_requests && limits_times(policy) && untimed(metrics, step) => {
            Verdict::Inconclusive(Finding::Untimed(seen.figures))
        }
        // What users met is not overruled by what only we asked for.
        _ if users >= step.min_requests || seen.leans_sick(policy) => seen.acquit(policy),
        Some(verdict) => verdict,
        None => Verdict::Inconclusive(Finding::TooFew {
            have: users,
            need: step.min_requests,
        }),
    }
}

/// Whether our own requests are wanted at a step, now or still: where users sent too few once
/// it is baked, and where nothing is counted. Once they speak they go on until what they say
/// is clear; one failed answer among twenty is not, and would be the last word for ever.
pub fn wants_synthetic(verdict: &Verdict, window: &Window, step: &Step) -> bool {
    let uncounted = window.metrics.is_err();
    let silent = match verdict {
        Verdict::Inconclusive(Finding::TooFew { .. } | Finding::NoData { .. }) => true,
        Verdict::Inconclusive(Finding::Baking { .. }) => uncounted,
        Verdict::Inconclusive(finding) | Verdict::Fail { finding, .. } => {
            finding.source() == Some(EvidenceSource::SyntheticProbes)
        }
        Verdict::Pass(_) => false,
    };
    silent && (window.elapsed >= step.bake || uncounted)
}

/// Whether too few times are told to say anything of them: less than half of those that are due,
/// or than half of the requests that a step needs at least.
fn untimed(metrics: &Metrics, step: &Step) -> bool {
    let candidate = &metrics.candidate;
    candidate.times_lag || candidate.latencies.count() * 2 < step.min_requests
}

fn limits_times(policy: &Policy) -> bool {
    let analysis = &policy.analysis;
    let set = |limit: &LatencyLimit| limit.max.is_some() || limit.max_ratio.is_some();
    set(&analysis.p50) || set(&analysis.p99)
}

/// Before its bake is over, nothing passes.
fn bake(verdict: Verdict, window: &Window, step: &Step) -> Verdict {
    match verdict {
        Verdict::Pass(Finding::Healthy(figures)) if window.elapsed < step.bake => {
            Verdict::Inconclusive(Finding::Baking {
                figures,
                baked: window.elapsed,
                bake: step.bake,
            })
        }
        verdict => verdict,
    }
}

fn judge_reports(
    policy: &Policy,
    source: EvidenceSource,
    candidate: &ProbeReport,
    stable: Option<&ProbeReport>,
    need: u64,
) -> Verdict {
    let nobody_answers = candidate.unanswered == candidate.sent
        && stable.is_some_and(|stable| stable.sent > 0 && stable.unanswered == stable.sent);
    if candidate.sent == 0 || nobody_answers {
        return Verdict::Inconclusive(Finding::NoData {
            why: match candidate.errors.first() {
                Some(error) if candidate.sent == 0 => format!("no probe could be sent: {error}"),
                Some(error) => format!("neither revision answers a probe: {error}"),
                None => "no probe was answered yet".to_owned(),
            },
        });
    }
    let seen = Seen::of_reports(policy, source, candidate, stable);
    if let Some(verdict) = seen.blame(policy) {
        return verdict;
    }
    let passed = candidate.sent.saturating_sub(candidate.failed);
    if passed < need {
        return Verdict::Inconclusive(Finding::TooFew { have: passed, need });
    }
    seen.acquit(policy)
}

/// One side's figures beside the other's, wherever they came from.
struct Seen<'a> {
    figures: Figures,
    candidate: &'a Latencies,
    stable: Option<&'a Latencies>,
    stable_errors: u64,
    stable_requests: u64,
}

impl<'a> Seen<'a> {
    fn of_counts(policy: &Policy, candidate: &'a Counts, stable: &'a Counts) -> Self {
        Self {
            figures: Figures {
                source: EvidenceSource::Metrics,
                errors: candidate.errors,
                requests: candidate.requests,
                max_error_rate: policy.analysis.max_error_rate,
                p50: candidate.latencies.quantile(0.5),
                p99: candidate.latencies.quantile(0.99),
                stable_p99: stable.latencies.quantile(0.99),
                cold_start: None,
                error: None,
                instead_of: None,
            },
            candidate: &candidate.latencies,
            stable: Some(&stable.latencies),
            stable_errors: stable.errors,
            stable_requests: stable.requests,
        }
    }

    fn of_reports(
        policy: &Policy,
        source: EvidenceSource,
        candidate: &'a ProbeReport,
        stable: Option<&'a ProbeReport>,
    ) -> Self {
        Self {
            figures: Figures {
                source,
                errors: candidate.failed,
                requests: candidate.sent,
                max_error_rate: policy.analysis.max_error_rate,
                p50: candidate.latencies.quantile(0.5),
                p99: candidate.latencies.quantile(0.99),
                stable_p99: stable.and_then(|stable| stable.latencies.quantile(0.99)),
                cold_start: candidate.first,
                error: candidate.errors.first().cloned(),
                instead_of: None,
            },
            candidate: &candidate.latencies,
            stable: stable.map(|stable| &stable.latencies),
            stable_errors: stable.map_or(0, |stable| stable.failed),
            stable_requests: stable.map_or(0, |stable| stable.sent),
        }
    }

    fn sprt(&self, policy: &Policy) -> SprtVerdict {
        Sprt::around(policy.analysis.max_error_rate)
            .judge(self.figures.errors, self.figures.requests)
    }

    /// Not beyond doubt, and yet nothing that a step is passed on.
    fn leans_sick(&self, policy: &Policy) -> bool {
        self.sprt(policy) == SprtVerdict::LeansSick
    }

    /// What is wrong with the candidate, if anything is beyond doubt.
    fn blame(&self, policy: &Policy) -> Option<Verdict> {
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
    fn acquit(&self, policy: &Policy) -> Verdict {
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
