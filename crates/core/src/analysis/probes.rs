//! Judges requests of our own.

use crate::api::rollout::EvidenceSource;
use crate::policy::Policy;

use super::evidence::{ProbeReport, ProbeRound};
use super::finding::Finding;
use super::judge::Verdict;
use super::seen::Seen;

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
/// Judges what came back, beside stable's answers; `need` clean ones are wanted at least.
pub(super) fn judge_reports(
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
