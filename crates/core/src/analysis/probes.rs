//! Judges requests of our own.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::rollout::EvidenceSource;
use crate::api::rollout_policy::ReadinessOnly;
use crate::policy::Policy;

use super::evidence::{PathReport, ProbeReport, ProbeRound};
use super::finding::{Figures, Finding, at_paths};
use super::judge::Verdict;
use super::latency::Latencies;
use super::seen::{LEAST_TO_COMPARE, Seen};

/// Judges the probes before the first step.
///
/// ```
/// use jiff::Timestamp;
/// use sluicegate_core::analysis::{Latencies, PathReport, ProbeReport, ProbeRound, Verdict, judge_probes};
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
///         paths: [("/healthz".to_owned(), PathReport::default())].into(),
///         latencies: Latencies::exact(vec![3.0; 50]),
///         ..ProbeReport::default()
///     },
///     ..ProbeRound::default()
/// };
/// let verdict = judge_probes(&policy, &round);
/// assert!(matches!(verdict, Verdict::Pass(_)));
/// assert_eq!(
///     verdict.finding().to_string(),
///     "error rate 0.0 % of 50 probes at /healthz (limit 1 %), p99 3 ms"
/// );
///
/// round.candidate.failed = 25;
/// round.candidate.statuses = [(200, 25), (500, 25)].into();
/// let verdict = judge_probes(&policy, &round);
/// assert!(matches!(verdict, Verdict::Fail { .. }));
/// assert_eq!(
///     verdict.finding().to_string(),
///     "error rate 50.0 % of 50 probes at /healthz (limit 1 %), p99 3 ms"
/// );
/// # Ok::<(), policy::PolicyError>(())
/// ```
pub fn judge_probes(policy: &Policy, round: &ProbeRound) -> Verdict {
    let need = u64::from(policy.probes.count);
    judge_round(policy, EvidenceSource::Probes, round, need)
}

/// Judges what came back, beside stable's answers; `need` clean ones are wanted at least.
pub(super) fn judge_round(
    policy: &Policy,
    source: EvidenceSource,
    round: &ProbeRound,
    need: u64,
) -> Verdict {
    if let Some(why) = unasked(round) {
        return Verdict::Inconclusive(Finding::NoData { why });
    }
    let sides = Sides::of(policy, round);
    // Whatever is quick enough with its slowest first answers is not waited for.
    let all = sides.all_times();
    let seen = sides.seen(policy, source, &all);
    let verdict = match seen.blame(policy) {
        None => return passed(policy, seen, need),
        Some(verdict) => verdict,
    };
    let is_about_times = matches!(
        verdict.finding(),
        Finding::Slow { .. } | Finding::NothingToCompare(_)
    );
    if !is_about_times || round.candidate.early.count() == 0 {
        return verdict;
    }
    let later = sides.later_times();
    let seen_later = sides.seen(policy, source, &later);
    match seen_later.blame(policy) {
        Some(verdict) => verdict,
        None if round.candidate.latencies.count() >= need => passed(policy, seen_later, need),
        None => Verdict::Inconclusive(Finding::SlowStart {
            figures: seen.figures,
            slow_start: policy.probes.slow_start,
        }),
    }
}

/// What is made of a verdict where our own requests are all that spoke at a step: a readiness path that is fine passes
/// it only where the policy says so.
pub(super) fn alone(policy: &Policy, round: &ProbeRound, verdict: Verdict) -> Verdict {
    let holds = policy.analysis.readiness_only == ReadinessOnly::Hold && round.readiness_only;
    match verdict {
        Verdict::Pass(Finding::Healthy(figures)) if holds => {
            Verdict::Inconclusive(Finding::ReadinessOnly(figures))
        }
        verdict => verdict,
    }
}

/// Why a round says nothing at all: nothing was sent, or nobody answers, which is the way's fault.
fn unasked(round: &ProbeRound) -> Option<String> {
    let candidate = &round.candidate;
    let silent = |report: &ProbeReport| report.unanswered == report.sent;
    let error = candidate.errors.first();
    if candidate.sent == 0 {
        return Some(match error {
            Some(error) if candidate.booked.statuses.is_empty() => {
                format!("no probe could be sent: {error}")
            }
            Some(error) => error.clone(),
            None => "no probe was answered yet".to_owned(),
        });
    }
    let stable = round.stable.as_ref();
    let nobody =
        silent(candidate) && stable.is_some_and(|stable| stable.sent > 0 && silent(stable));
    let at = || at_paths(&paths_of(candidate));
    nobody.then(|| match error {
        Some(error) => format!("neither revision answers a probe{}: {error}", at()),
        None => format!("neither revision answers a probe{}", at()),
    })
}

/// After nothing was found to be wrong.
fn passed(policy: &Policy, seen: Seen<'_>, need: u64) -> Verdict {
    let passed = seen.figures.requests.saturating_sub(seen.figures.errors);
    if passed < need {
        return Verdict::Inconclusive(Finding::Undecided(seen.figures));
    }
    seen.acquit(policy)
}

fn paths_of(report: &ProbeReport) -> Vec<String> {
    report.paths.keys().cloned().collect()
}

/// Both sides of a round, with the failures that only show beside the other one.
struct Sides<'a> {
    candidate: &'a ProbeReport,
    stable: Option<&'a ProbeReport>,
    /// Failed answers, those among them that are in a worse class than what stable usually answers.
    candidate_errors: u64,
    stable_errors: u64,
    error: Option<String>,
}

/// The times that are judged, of both sides.
struct Times {
    candidate: Latencies,
    stable: Option<Latencies>,
}

impl<'a> Sides<'a> {
    fn of(policy: &Policy, round: &'a ProbeRound) -> Self {
        let (candidate, stable) = (&round.candidate, round.stable.as_ref());
        // Where the policy names statuses, what they are beside stable's is nobody's question.
        let asked = stable.filter(|_| policy.probes.expected_status.is_none());
        let usual = asked.map(usual_statuses).unwrap_or_default();
        let worse = worse_statuses(candidate, &usual);
        let stables = stable.map_or(0, |stable| {
            let worse = worse_statuses(stable, &usual);
            stable.failed + worse.iter().map(|worse| worse.count).sum::<u64>()
        });
        let error = candidate.errors.first().cloned();
        let error = error.or_else(|| worse.first().map(ToString::to_string));
        Self {
            candidate,
            stable,
            candidate_errors: candidate.failed + worse.iter().map(|worse| worse.count).sum::<u64>(),
            stable_errors: stables,
            error,
        }
    }

    fn all_times(&self) -> Times {
        let all = |report: &ProbeReport| report.early.with(&report.latencies);
        Times {
            candidate: all(self.candidate),
            stable: self.stable.map(all),
        }
    }

    /// Without those of a slow start; stable's with them, where it was asked too little later.
    fn later_times(&self) -> Times {
        let later = |report: &ProbeReport| {
            if report.latencies.count() < LEAST_TO_COMPARE {
                report.early.with(&report.latencies)
            } else {
                report.latencies.clone()
            }
        };
        Times {
            candidate: self.candidate.latencies.clone(),
            stable: self.stable.map(later),
        }
    }

    fn seen<'t>(&self, policy: &Policy, source: EvidenceSource, times: &'t Times) -> Seen<'t> {
        let (candidate, stable) = (&times.candidate, times.stable.as_ref());
        let figures = Figures {
            source,
            errors: self.candidate_errors,
            requests: self.candidate.sent,
            max_error_rate: policy.analysis.max_error_rate,
            p50: candidate.quantile(0.5),
            p99: candidate.quantile(0.99),
            stable_p99: stable.and_then(|stable| stable.quantile(0.99)),
            stable_errors: None,
            of_the_last: false,
            open: 0,
            by_pods: false,
            cold_start: self.candidate.first,
            paths: paths_of(self.candidate),
            error: self.error.clone(),
            instead_of: None,
        };
        let stable_requests = self.stable.map_or(0, |stable| stable.sent);
        Seen::of_sides(
            figures,
            candidate,
            stable,
            (self.stable_errors, stable_requests),
        )
    }
}

/// The status that most of stable's answers have, by path; of a path that it fails at or was hardly asked for, none.
fn usual_statuses(stable: &ProbeReport) -> BTreeMap<&str, u16> {
    let usual = |path: &PathReport| {
        let passed: u64 = path.passed.values().sum();
        let most = path.passed.iter().max_by_key(|(_, count)| **count);
        most.filter(|_| passed >= LEAST_TO_COMPARE && passed > path.failed)
            .map(|(status, _)| *status)
    };
    let paths = stable.paths.iter();
    paths
        .filter_map(|(path, report)| Some((path.as_str(), usual(report)?)))
        .collect()
}

/// Answers of one path that are in a worse class of status than what stable usually answers there.
struct Worse<'a> {
    path: &'a str,
    status: u16,
    count: u64,
    usual: u16,
}

fn worse_statuses<'a>(report: &'a ProbeReport, usual: &BTreeMap<&str, u16>) -> Vec<Worse<'a>> {
    let mut all = Vec::new();
    for (path, answers) in &report.paths {
        let Some(usual) = usual.get(path.as_str()) else {
            continue;
        };
        for (status, count) in &answers.passed {
            if status / 100 > usual / 100 {
                all.push(Worse {
                    path,
                    status: *status,
                    count: *count,
                    usual: *usual,
                });
            }
        }
    }
    all
}

impl fmt::Display for Worse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            status,
            usual,
            ..
        } = self;
        let method = if path.starts_with('/') { "GET " } else { "" };
        write!(f, "{method}{path}: {status}, where stable answers {usual}")
    }
}

#[cfg(test)]
#[path = "probes_tests.rs"]
mod tests;
