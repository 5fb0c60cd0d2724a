//! Judges what users met.

use crate::api::rollout::EvidenceSource;
use crate::api::rollout_policy::LatencyLimit;
use crate::policy::{Policy, Step};

use super::evidence::{Metrics, ProbeRound, Window};
use super::finding::Finding;
use super::judge::Verdict;
use super::probes::{alone, judge_round};
use super::seen::Seen;

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

    let seen = Seen::of_counts(policy, &metrics.candidate, &metrics.stable);
    let users = metrics.candidate.requests;
    let too_few = || format!("users sent {users} of {}", step.min_requests);
    // Failing needs neither a bake nor a minimum: bad is bad.
    if let Some(verdict) = seen.blame(policy) {
        return verdict;
    }
    let synthetic = synthetic.map(|round| {
        let verdict = by_synthetic(round, too_few());
        if users == 0 {
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
        // All that they can say is said.
        Verdict::Inconclusive(Finding::ReadinessOnly(_)) => false,
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
