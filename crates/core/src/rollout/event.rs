//! What happened, for people: Kubernetes events, log lines and the live story.

use std::fmt;
use std::time::Duration;

use super::reason::{Reason, rounded, short};
use crate::analysis::Finding;
use crate::api::rollout::{HoldReason, Outcome};

/// One thing that happened in a release.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A Service (or Configuration and Route) that was there before is ours now.
    Adopted {
        /// What serves.
        stable: String,
        /// The split that is kept until the first release, where there is one.
        kept: Option<String>,
    },
    /// A new template is on its way.
    Started {
        /// Its commit.
        commit: Option<String>,
        /// The commit's first line.
        subject: Option<String>,
        /// What serves meanwhile; `None` for the first delivery.
        stable: Option<String>,
    },
    /// The cluster made a Revision of it.
    Staged {
        /// The Revision.
        revision: String,
    },
    /// The Revision is Ready and tagged.
    Ready {
        /// The Revision.
        revision: String,
        /// How long that took.
        waited: Duration,
    },
    /// The probes passed.
    Probed {
        /// The Revision.
        revision: String,
        /// What they showed.
        finding: Finding,
    },
    /// The candidate's share is being raised.
    Raising {
        /// The Revision.
        revision: String,
        /// To this, in percent.
        weight: u8,
        /// What the step below showed.
        because: Option<Finding>,
    },
    /// A judgement failed; the next one decides.
    Doubtful {
        /// The Revision.
        revision: String,
        /// What was seen.
        finding: Finding,
        /// So many one after the other.
        failures: u32,
        /// So many roll it back.
        limit: u32,
    },
    /// The release stands still.
    Held {
        /// The Revision.
        revision: String,
        /// Its share, in percent.
        weight: u8,
        /// Why.
        reason: HoldReason,
        /// In more words.
        detail: String,
    },
    /// It goes on.
    Resumed {
        /// The Revision.
        revision: String,
    },
    /// It has become the stable one.
    Promoted {
        /// The Revision.
        revision: String,
        /// How it came about.
        outcome: Outcome,
        /// In words.
        reason: String,
    },
    /// It is being rolled back.
    RollingBack {
        /// The Revision, where there is one yet.
        revision: Option<String>,
        /// What serves instead.
        stable: String,
        /// Its share until now, in percent.
        weight: u8,
        /// Why.
        reason: Reason,
    },
    /// The cluster confirmed that stable has all of its traffic again.
    RolledBack {
        /// What serves.
        stable: String,
        /// Why.
        reason: String,
        /// From the decision to the confirmation.
        took: Duration,
    },
    /// The rollback was written, and the cluster does not confirm it.
    RollbackUnconfirmed {
        /// What should serve.
        stable: String,
        /// What the Route says.
        cause: String,
    },
    /// The first delivery failed.
    Failed {
        /// The Revision, where there is one.
        revision: Option<String>,
        /// Why.
        reason: Reason,
    },
    /// Somebody changed the traffic by hand.
    TrafficDrift {
        /// What was found.
        found: String,
        /// What is wanted.
        wanted: String,
        /// It is left so; else it is corrected.
        left: bool,
    },
    /// Somebody changed the template by hand.
    TemplateDrift {
        /// It is left so; else it is corrected.
        left: bool,
    },
    /// An entry of Git's traffic cannot be had; stable has its share.
    EntryLeftOut {
        /// The revision it names.
        revision: String,
        /// Why.
        why: String,
    },
    /// The stable revision is missing or broken.
    StableUnhealthy {
        /// The Revision.
        stable: String,
        /// What the cluster says.
        cause: String,
    },
    /// Stable serves nobody, or no share beside it can be had: its successor goes straight up.
    StableYields {
        /// What decided.
        figure: String,
    },
    /// A commit changed a ConfigMap or Secret that the template names.
    ConfigChanged {
        /// Which commit, which object, and the diff.
        words: String,
    },
    /// Nothing of the service is left; it is delivered anew.
    Vanished,
    /// A request was refused.
    RequestRefused {
        /// What was asked.
        action: String,
        /// Why not, and what to do.
        why: String,
    },
    /// A person lifted the quarantine.
    Retried {
        /// The attempt that begins.
        attempt: u32,
        /// Who.
        by: Option<String>,
    },
}

impl Event {
    /// One CamelCase word: the `reason` of a Kubernetes event.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Adopted { .. } => "Adopted",
            Self::Started { .. } => "ReleaseStarted",
            Self::Staged { .. } => "RevisionStaged",
            Self::Ready { .. } => "RevisionReady",
            Self::Probed { .. } => "ProbesPassed",
            Self::Raising { .. } => "WeightRaised",
            Self::Doubtful { .. } => "JudgementFailed",
            Self::Held { .. } => "ReleaseHeld",
            Self::Resumed { .. } => "ReleaseResumed",
            Self::Promoted { .. } => "Promoted",
            Self::RollingBack { .. } => "RollingBack",
            Self::RolledBack { .. } => "RolledBack",
            Self::RollbackUnconfirmed { .. } => "RollbackUnconfirmed",
            Self::Failed { .. } => "ReleaseFailed",
            Self::TrafficDrift { .. } => "TrafficDrift",
            Self::TemplateDrift { .. } => "TemplateDrift",
            Self::EntryLeftOut { .. } => "TrafficEntryLeftOut",
            Self::StableUnhealthy { .. } => "StableUnhealthy",
            Self::StableYields { .. } => "StableYields",
            Self::ConfigChanged { .. } => "ConfigChanged",
            Self::Vanished => "ServiceVanished",
            Self::RequestRefused { .. } => "RequestRefused",
            Self::Retried { .. } => "Retried",
        }
    }

    /// Whether somebody should look.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Held { reason, .. } => {
                !matches!(reason, HoldReason::Paused | HoldReason::Suspended)
            }
            Self::RollingBack { reason, .. } => {
                !matches!(reason, Reason::Superseded { .. } | Reason::Reverted { .. })
            }
            Self::Doubtful { .. }
            | Self::RollbackUnconfirmed { .. }
            | Self::Failed { .. }
            | Self::TrafficDrift { .. }
            | Self::TemplateDrift { .. }
            | Self::EntryLeftOut { .. }
            | Self::StableUnhealthy { .. }
            | Self::StableYields { .. }
            | Self::Vanished
            | Self::RequestRefused { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adopted { stable, kept } => {
                write!(f, "adopted; {stable} is stable")?;
                match kept {
                    Some(kept) => write!(f, ", the split {kept} is kept until the first release"),
                    None => Ok(()),
                }
            }
            Self::Started {
                commit,
                subject,
                stable,
            } => {
                f.write_str(match stable {
                    Some(_) => "release",
                    None => "first release",
                })?;
                if let Some(commit) = commit {
                    write!(f, " of commit {}", short(commit))?;
                }
                if let Some(subject) = subject {
                    write!(f, " \"{subject}\"")?;
                }
                match stable {
                    Some(stable) => write!(f, " begins; {stable} keeps all traffic"),
                    None => f.write_str(" begins"),
                }
            }
            Self::Staged { revision } => write!(f, "{revision} staged, 0 %"),
            Self::Ready { revision, waited } => {
                write!(f, "{revision} Ready after {}", rounded(*waited))
            }
            Self::Probed { revision, finding } => write!(f, "{revision} probed: {finding}"),
            Self::Raising {
                revision,
                weight,
                because,
            } => {
                write!(f, "{revision} to {weight} %")?;
                match because {
                    Some(finding) => write!(f, ": {finding}"),
                    None => Ok(()),
                }
            }
            Self::Doubtful {
                revision,
                finding,
                failures,
                limit,
            } => write!(
                f,
                "{revision} failed judgement {failures} of {limit}: {finding}"
            ),
            Self::Held {
                revision,
                weight,
                detail,
                ..
            } => write!(f, "{revision} held at {weight} %: {detail}"),
            Self::Resumed { revision } => write!(f, "{revision} goes on"),
            Self::Promoted {
                revision, reason, ..
            } => write!(f, "{revision} is stable: {reason}"),
            Self::RollingBack {
                revision,
                stable,
                weight,
                reason,
            } => {
                let revision = revision.as_deref().unwrap_or("the new template");
                write!(
                    f,
                    "{revision} rolled back from {weight} % to {stable}: {reason}"
                )
            }
            Self::RolledBack { stable, took, .. } => {
                write!(
                    f,
                    "{stable} has all traffic, confirmed after {}",
                    rounded(*took)
                )
            }
            Self::RollbackUnconfirmed { stable, cause } => {
                write!(
                    f,
                    "the cluster does not confirm the rollback to {stable}: {cause}"
                )
            }
            Self::Failed { revision, reason } => {
                let revision = revision.as_deref().unwrap_or("the first template");
                write!(
                    f,
                    "{revision} failed, and there is no earlier revision: {reason}"
                )
            }
            Self::TrafficDrift {
                found,
                wanted,
                left,
            } => {
                write!(f, "traffic was changed by hand to {found}; ")?;
                if *left {
                    write!(f, "left so, though Git wants {wanted}")
                } else {
                    write!(f, "restored to {wanted}")
                }
            }
            Self::TemplateDrift { left: false } => {
                f.write_str("the template was changed by hand; corrected")
            }
            Self::TemplateDrift { left: true } => {
                f.write_str("the template was changed by hand; left so until Git changes it")
            }
            Self::EntryLeftOut { revision, why } => write!(
                f,
                "Git's traffic names {revision}, which {why}; its share goes to the stable revision"
            ),
            Self::StableUnhealthy { stable, cause } => {
                write!(f, "the stable revision {stable} is not well: {cause}")
            }
            Self::StableYields { figure } => {
                write!(f, "no further step is needed beside stable: {figure}")
            }
            Self::ConfigChanged { words } => write!(f, "{words}, which every revision reads"),
            Self::Vanished => f.write_str("nothing of the service is left; delivered anew"),
            Self::RequestRefused { action, why } => write!(f, "{action} refused: {why}"),
            Self::Retried { attempt, by } => {
                write!(f, "quarantine lifted, attempt {}", attempt + 1)?;
                match by {
                    Some(by) => write!(f, ", by {by}"),
                    None => Ok(()),
                }
            }
        }
    }
}
