//! Why a release ends before its time: the one value behind event, status, comment and test.

use std::fmt;
use std::time::Duration;

use crate::analysis::Finding;
use crate::api::duration::HumanDuration;

/// Why a candidate is rolled back.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// It was not Ready within the progress deadline.
    NeverReady {
        /// How long it was waited for.
        waited: Duration,
        /// What the cluster says of it.
        cause: String,
    },
    /// A check of it failed, whatever its share: its Pods, its Revision, the probes on its tag URL.
    Check(Finding),
    /// Users' requests to it failed.
    Evidence {
        /// Its share of them then.
        weight: u8,
        /// What was seen.
        finding: Finding,
    },
    /// The cluster did not confirm its share in time.
    NotConfirmed {
        /// How long it was waited for.
        waited: Duration,
        /// What the Route says.
        cause: String,
    },
    /// The API server refused its template.
    Refused {
        /// In its words.
        message: String,
    },
    /// A person said `abort`.
    Aborted {
        /// Who.
        by: Option<String>,
    },
    /// A person said `undo`.
    Undone {
        /// Who.
        by: Option<String>,
    },
    /// Git has a newer template.
    Superseded {
        /// Its commit.
        by: Option<String>,
    },
    /// The stable revision is gone and does not come back.
    StableGone {
        /// Its name.
        stable: String,
    },
    /// The Route says that it was rolled back, and the memory does not know it.
    FoundRolledBack,
    /// Its Delivery was deleted.
    Withdrawn,
    /// Git went back to what is stable.
    Reverted {
        /// The commit.
        by: Option<String>,
    },
}

/// The first seven figures of a commit, as Git shortens it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// Whole seconds, or milliseconds below one.
pub(super) fn rounded(time: Duration) -> HumanDuration {
    if time >= Duration::from_secs(1) {
        HumanDuration::from_secs(time.as_secs())
    } else {
        HumanDuration(time)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |f: &mut fmt::Formatter<'_>, by: &Option<String>| match by {
            Some(by) => write!(f, " by {by}"),
            None => Ok(()),
        };
        match self {
            Self::NeverReady { waited, cause } => {
                write!(f, "not Ready after {}: {cause}", rounded(*waited))
            }
            Self::Check(finding) => write!(f, "{finding}"),
            Self::Evidence { weight, finding } => write!(f, "at {weight} %: {finding}"),
            Self::NotConfirmed { waited, cause } => write!(
                f,
                "its traffic was not confirmed after {}: {cause}",
                rounded(*waited)
            ),
            Self::Refused { message } => write!(f, "refused by the cluster: {message}"),
            Self::Aborted { by: who } => {
                f.write_str("aborted")?;
                by(f, who)
            }
            Self::Undone { by: who } => {
                f.write_str("undone")?;
                by(f, who)
            }
            Self::Superseded { by } => match by {
                Some(commit) => write!(f, "superseded by commit {}", short(commit)),
                None => f.write_str("superseded by a newer template"),
            },
            Self::StableGone { stable } => write!(
                f,
                "the stable revision {stable} was deleted, and another must take its place first"
            ),
            Self::FoundRolledBack => f.write_str(
                "its rollback was found on the Route; the agent that began it ended before it could write why",
            ),
            Self::Withdrawn => f.write_str("its Delivery was deleted"),
            Self::Reverted { by } => match by {
                Some(commit) => write!(f, "reverted by commit {}", short(commit)),
                None => f.write_str("reverted in Git"),
            },
        }
    }
}
