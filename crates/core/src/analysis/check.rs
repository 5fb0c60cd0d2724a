//! What is checked of a candidate, each check alike, and what all of them say together.
//!
//! A check is a value: which one it is, whether it is asked for, and its verdict as far as there is one. Pods, the
//! Revision's conditions, probes and the gateway's counters of requests differ in how their verdict comes about, and in
//! nothing after that.

use crate::api::rollout::EvidenceSource;

use super::finding::Finding;
use super::judge::Verdict;

/// Which check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckId {
    /// Whether its containers end with an error, and whether any of its Pods is Ready.
    Pods,
    /// Whether its Revision is there, and Ready.
    Revision,
    /// Requests of our own to its tag URL, before any user meets it.
    Probes,
    /// Requests that it gets at its weight: users', or our own for want of users.
    Requests,
}

/// One thing that is looked at before a candidate gets more users.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// Nothing passes before this one has. What is not asked for can fail, and keeps nobody waiting.
    pub asked: bool,
    /// What it says; `None` while nothing was seen of it, which is neither healthy nor unhealthy.
    pub verdict: Option<Verdict>,
}

/// What all checks say together.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// Everything that is asked for has passed; with the finding that decided, where anything is asked for.
    Pass(Option<Finding>),
    /// One failed.
    Fail {
        /// Which.
        by: CheckId,
        /// What it found.
        finding: Finding,
        /// Beyond doubt: no second failure is waited for.
        at_once: bool,
    },
    /// One that is asked for has not passed yet.
    Wait {
        /// Which.
        by: CheckId,
        /// What it says so far, where it has seen anything.
        finding: Option<Finding>,
    },
}

impl Check {
    /// One that nothing passes without.
    pub fn asked(id: CheckId, verdict: Option<Verdict>) -> Self {
        let asked = true;
        Self { id, asked, verdict }
    }

    /// One that counts where it fails, and only there.
    pub fn beside(id: CheckId, verdict: Option<Verdict>) -> Self {
        let asked = false;
        Self { id, asked, verdict }
    }

    /// What a record of it says spoke; `None` for what is read off the cluster, of which no record is kept.
    pub fn source(&self) -> Option<EvidenceSource> {
        let found = self.verdict.as_ref().and_then(|v| v.finding().source());
        match self.id {
            CheckId::Pods | CheckId::Revision => None,
            CheckId::Probes => found.or(Some(EvidenceSource::Probes)),
            CheckId::Requests => found.or(Some(EvidenceSource::Metrics)),
        }
    }
}

/// Says what all checks say together. Where several fail, or wait, or pass, the first of them speaks, and of those that
/// fail one that is beyond doubt.
///
/// ```
/// use sluicegate_core::analysis::{Check, CheckId, Finding, Judgement, Verdict, combine};
///
/// let crashed = Finding::Crashed { crashes: 2, last_exit: None };
/// let pods = Check::beside(
///     CheckId::Pods,
///     Some(Verdict::Fail { finding: crashed.clone(), at_once: true }),
/// );
/// // Nothing was seen of the requests yet, and a Pod speaks for itself.
/// let checks = [Check::asked(CheckId::Requests, None), pods];
/// let (by, at_once) = (CheckId::Pods, true);
/// assert_eq!(combine(&checks), Judgement::Fail { by, finding: crashed, at_once });
/// ```
pub fn combine(checks: &[Check]) -> Judgement {
    let failed = |beyond_doubt: bool| {
        checks.iter().find_map(|check| match &check.verdict {
            Some(Verdict::Fail { finding, at_once }) if *at_once || !beyond_doubt => {
                Some(Judgement::Fail {
                    by: check.id,
                    finding: finding.clone(),
                    at_once: *at_once,
                })
            }
            _ => None,
        })
    };
    let mut asked = checks.iter().filter(|check| check.asked);
    let waits = asked.clone().find_map(|check| match &check.verdict {
        Some(Verdict::Pass(_)) => None,
        verdict => Some(Judgement::Wait {
            by: check.id,
            finding: verdict.as_ref().map(|verdict| verdict.finding().clone()),
        }),
    });
    let passed = || {
        let verdict = asked.next().and_then(|check| check.verdict.as_ref());
        Judgement::Pass(verdict.map(|verdict| verdict.finding().clone()))
    };
    failed(true)
        .or_else(|| failed(false))
        .or(waits)
        .unwrap_or_else(passed)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
