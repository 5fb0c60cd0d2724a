//! Is what was seen good enough to go on, bad enough to roll back, or neither?
//!
//! - Errors are judged by a sequential test ([`Sprt`](super::statistics::Sprt)), so a handful of early ones condemn
//!   at once, and a few clean answers do not acquit.
//! - Times are judged by how many answers were over the limit: a 99th percentile is over
//!   500 ms when significantly more than one answer in a hundred took longer. That is as true
//!   of twelve answers as of twelve thousand, and needs no interpolation.
//! - A stable revision that is as bad in the same minutes excuses the candidate: something
//!   else is wrong, and the release waits.
//! - What is not known neither promotes nor blames.

use super::finding::Finding;

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
    pub(super) fn instead_of(self, why: String) -> Self {
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
