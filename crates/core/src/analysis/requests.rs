//! Judges what users met.
//!
//! Errors, late answers and classes of status are judged by tests that may be looked at at any time, that notice a change,
//! and that go on over the whole release ([`Tests`](super::Tests)). A step is passed on what users met since it began.

use crate::api::rollout::EvidenceSource;
use crate::policy::{Policy, Step};

use super::evidence::{Metrics, ProbeRound, Window};
use super::finding::{Figures, Finding};
use super::judge::Verdict;
use super::limits::Limits;
use super::metrics::Tally;
use super::probes::{alone, judge_round};
use super::seen::LEAST_TO_COMPARE;
use super::stable::stable_is_worse;
use super::statistics::{Sprt, SprtVerdict, binomial_tail};

/// What each test must reach. The chance that a good release is rolled back by any of them on its way up, at whatever look,
/// is the sum of their inverses: 1 %. Once it has everybody, those against a limit are asked anew.
mod limit {
    /// Errors against stable's: wrong in 0.4 % of good releases.
    pub const ERRORS: f64 = 250.0;
    /// Errors against the limit: in 0.33 %.
    pub const CEILING: f64 = 300.0;
    /// Late answers: in 0.15 %.
    pub const LATE: f64 = 660.0;
    /// Late answers by the median: in 0.04 %.
    pub const LATE_MEDIAN: f64 = 2500.0;
    /// Each of the classes of status: in 0.04 %.
    pub const CLASS: f64 = 2500.0;
    /// Late answers that speak so much against a release let no step pass: chance does so in one release of twenty.
    pub const LEAN: f64 = 20.0;
}

/// The share of who has been promoted.
const EVERYBODY: u8 = 100;
/// One or two bad answers may be one user's, or one connection's.
const LEAST_TO_BLAME: u64 = 3;
/// A class of status must be so much more frequent than stable's, of 1, to be a fault and no detail.
const CLASS_EFFECT: f64 = 0.05;
/// While both fail so many times the limit, the step waits.
const OUTAGE: f64 = 10.0;
/// Errors are taken for shared with stable where chance gives the candidate as many of them this often.
const SHARED: f64 = 0.1;

/// Judges what users met at a step.
pub fn judge_window(policy: &Policy, step: &Step, window: &Window) -> Verdict {
    let synthetic = window.synthetic.as_ref();
    let by_synthetic = |round: &ProbeRound, instead_of: String| {
        let need = u64::from(policy.analysis.synthetic_probes);
        let verdict = judge_round(policy, EvidenceSource::SyntheticProbes, round, need);
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
            let verdict = bake(by_synthetic(round, why.to_string()), window, step);
            return alone(policy, round, verdict);
        }
    };

    let users = Users::of(policy, metrics, window.weight == EVERYBODY);
    let sent = metrics.candidate.tally.requests;
    let too_few = || format!("users sent {sent} of {}", step.min_requests);
    // Failing needs neither a bake nor a minimum: bad is bad.
    if let Some(verdict) = users.blame() {
        return verdict;
    }
    let synthetic = synthetic.map(|round| {
        let verdict = by_synthetic(round, too_few());
        if sent == 0 {
            alone(policy, round, verdict)
        } else {
            verdict
        }
    });
    if let Some(verdict @ Verdict::Fail { .. }) = synthetic {
        return verdict;
    }
    if window.elapsed < step.bake {
        return Verdict::Inconclusive(Finding::Baking {
            figures: users.figures,
            baked: window.elapsed,
            bake: step.bake,
        });
    }
    if sent >= step.min_requests {
        return users.acquit(step);
    }
    // What users met is not overruled by what only we asked for.
    if users.lean_sick() {
        return Verdict::Inconclusive(Finding::Undecided(users.figures));
    }
    synthetic.unwrap_or(Verdict::Inconclusive(Finding::TooFew {
        have: sent,
        need: step.min_requests,
    }))
}

/// Whether our own requests are wanted at a step, now or still: where users sent too few once
/// it is baked, and where nothing is counted. Once they speak they go on until what they say
/// is clear; one failed answer among twenty is not, and would be the last word for ever.
pub fn wants_synthetic(verdict: &Verdict, window: &Window, step: &Step) -> bool {
    let uncounted = window.metrics.is_err();
    let silent = match verdict {
        Verdict::Inconclusive(Finding::TooFew { .. } | Finding::NoData { .. }) => true,
        Verdict::Inconclusive(Finding::Baking { .. }) => uncounted,
        // All that they can say is said.
        Verdict::Inconclusive(Finding::ReadinessOnly(_)) => false,
        Verdict::Inconclusive(finding) | Verdict::Fail { finding, .. } => {
            finding.source() == Some(EvidenceSource::SyntheticProbes)
        }
        Verdict::Pass(_) => false,
    };
    silent && (window.elapsed >= step.bake || uncounted)
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

/// What users of both revisions met.
struct Users<'a> {
    policy: &'a Policy,
    metrics: &'a Metrics,
    limits: Limits,
    figures: Figures,
    /// It has all users, and stable is the revision before it.
    has_everybody: bool,
}

impl<'a> Users<'a> {
    fn of(policy: &'a Policy, metrics: &'a Metrics, has_everybody: bool) -> Self {
        let (candidate, stable) = (&metrics.candidate, &metrics.stable);
        Self {
            policy,
            metrics,
            limits: Limits::of(policy),
            has_everybody,
            figures: Figures {
                source: EvidenceSource::Metrics,
                errors: candidate.tally.errors,
                requests: candidate.tally.requests,
                max_error_rate: policy.analysis.max_error_rate,
                p50: candidate.latencies.quantile(0.5),
                p99: candidate.latencies.quantile(0.99),
                stable_p99: stable.latencies.quantile(0.99),
                stable_errors: None,
                of_the_last: false,
                open: candidate.open,
                by_pods: metrics.by_pods,
                cold_start: None,
                paths: Vec::new(),
                error: None,
                instead_of: None,
            },
        }
    }

    /// What is wrong with the candidate, if anything is beyond doubt.
    fn blame(&self) -> Option<Verdict> {
        self.errors()
            .or_else(|| self.late(0))
            .or_else(|| self.late(1))
            .or_else(|| self.classes())
    }

    fn errors(&self) -> Option<Verdict> {
        let tests = &self.metrics.tests;
        let (mine, theirs) = (&tests.seen.candidate, &tests.seen.stable);
        if mine.errors < LEAST_TO_BLAME {
            return None;
        }
        let compared = tests.errors.value() >= limit::ERRORS;
        if !compared && tests.ceiling.value() < limit::CEILING {
            return None;
        }
        // Since it began, where that shows it; else all of the release.
        let (lately, stable_lately) = (&tests.lately.candidate, &tests.lately.stable);
        let began = lately.errors >= LEAST_TO_BLAME && lately.requests < mine.requests;
        let (mine, theirs) = if began {
            (lately, stable_lately)
        } else {
            (mine, theirs)
        };
        let figures = Figures {
            errors: mine.errors,
            requests: mine.requests,
            of_the_last: began,
            stable_errors: compared.then_some((theirs.errors, theirs.requests)),
            ..self.figures.clone()
        };
        Some(Verdict::Fail {
            finding: Finding::Errors(figures),
            at_once: true,
        })
    }

    /// Late answers: by the limit on the 99th percentile, or by that on the median.
    fn late(&self, which: usize) -> Option<Verdict> {
        let (limits, percentile, least) = if which == 0 {
            (&self.limits.p99, 99, limit::LATE)
        } else {
            (&self.limits.p50, 50, limit::LATE_MEDIAN)
        };
        let tests = &self.metrics.tests;
        let of = |tally: &Tally| tally.late.get(which).copied().unwrap_or_default();
        let (mine, theirs) = (&tests.seen.candidate, &tests.seen.stable);
        let limit_ms = *self.metrics.limits_ms.get(which)?;
        let limit_ms = limit_ms?;
        if of(mine) < LEAST_TO_BLAME {
            return None;
        }
        let over = tests.late_ceiling.get(which)?.value() >= least;
        if over && limits.compares() && theirs.timed < LEAST_TO_COMPARE {
            let figures = self.figures.clone();
            return Some(Verdict::Inconclusive(Finding::NothingToCompare(figures)));
        }
        let value = self.late_value(which)?;
        (value >= least).then(|| Verdict::Fail {
            finding: Finding::Late {
                figures: self.figures.clone(),
                late: (of(mine), mine.timed),
                stable: (of(theirs), theirs.timed),
                open: if which == 0 {
                    self.metrics.candidate.open
                } else {
                    0
                },
                limit_ms,
                percentile,
            },
            // The first seconds of an instance are its warm-up: what is left needs no second look.
            at_once: true,
        })
    }

    /// How much late answers speak against it: over the limit and, where stable is the measure, worse than stable.
    fn late_value(&self, which: usize) -> Option<f64> {
        let tests = &self.metrics.tests;
        let limits = [&self.limits.p99, &self.limits.p50];
        let ceiling = tests.late_ceiling.get(which)?.value();
        // Without anybody beside it, what the revision before it had is in the ceiling.
        Some(if limits.get(which)?.compares() && !self.has_everybody {
            tests.late.get(which)?.value().min(ceiling)
        } else {
            ceiling
        })
    }

    /// Redirects and refusals of requests that stable answers otherwise.
    fn classes(&self) -> Option<Verdict> {
        type Of = fn(&Tally) -> u64;
        let tests = &self.metrics.tests;
        let (mine, theirs) = (&tests.seen.candidate, &tests.seen.stable);
        let classes: [(&'static str, f64, Of); 2] = [
            ("3xx", tests.redirects.value(), |tally| tally.redirects),
            (
                if mine.left * 2 > mine.client_errors {
                    "left by their client before they were whole"
                } else {
                    "4xx"
                },
                tests.client_errors.value(),
                |tally| tally.client_errors,
            ),
        ];
        let share = |of: Of, tally: &Tally| of(tally) as f64 / tally.requests.max(1) as f64;
        let found = classes.into_iter().find(|(_, value, of)| {
            *value >= limit::CLASS
                && of(mine) >= LEAST_TO_BLAME
                && share(*of, mine) >= share(*of, theirs) + CLASS_EFFECT
        });
        found.map(|(class, _, of)| Verdict::Fail {
            finding: Finding::Class {
                figures: self.figures.clone(),
                class,
                count: (of(mine), mine.requests),
                stable: (of(theirs), theirs.requests),
            },
            at_once: true,
        })
    }

    /// Whether the step's errors are no more than chance gives the candidate of those that both have.
    fn shares_its_errors(&self) -> bool {
        let (mine, theirs) = (&self.metrics.candidate.tally, &self.metrics.stable.tally);
        let all = mine.requests + theirs.requests;
        let share = mine.requests as f64 / all.max(1) as f64;
        theirs.errors > 0
            && binomial_tail(mine.errors, mine.errors + theirs.errors, share) >= SHARED
    }

    /// Not beyond doubt, and yet nothing that a step is passed on.
    fn lean_sick(&self) -> bool {
        let late = [0, 1].map(|which| self.late_value(which).unwrap_or_default());
        late.iter().any(|value| *value >= limit::LEAN) || self.errors_lean_sick()
    }

    fn errors_lean_sick(&self) -> bool {
        let test = Sprt::around(self.policy.analysis.max_error_rate);
        let verdict = test.judge(self.figures.errors, self.figures.requests);
        matches!(verdict, SprtVerdict::LeansSick | SprtVerdict::Reject) && !self.shares_its_errors()
    }

    /// Whether enough clean answers speak for it; only after [`Self::blame`] found nothing.
    fn acquit(self, step: &Step) -> Verdict {
        let mine = &self.metrics.candidate;
        // A gateway may tell times later than it counts.
        let timed = mine.latencies.count();
        let untimed = timed * 2 < mine.due || timed * 2 < step.min_requests;
        if self.limits.limit_times() && untimed {
            return Verdict::Inconclusive(Finding::Untimed(self.figures));
        }
        if self.lean_sick() {
            return Verdict::Inconclusive(Finding::Undecided(self.figures));
        }
        // In the middle of an outage of both, nobody goes up, unless users fare better with the candidate.
        let (stable, candidate) = (&self.metrics.stable.tally, &mine.tally);
        let most = self.limits.errors * OUTAGE;
        let fails = mine.tally.errors as f64 > most * mine.tally.requests as f64;
        let both = fails && self.metrics.tests.stable_fails_now() > most;
        if both && !stable_is_worse(stable, candidate) {
            return Verdict::Inconclusive(Finding::StableAsBad {
                figures: self.figures,
                stable_errors: stable.errors,
                stable_requests: stable.requests,
            });
        }
        Verdict::Pass(Finding::Healthy(self.figures))
    }
}
