//! What people ask for: each request is carried out, or refused with a reason, once.

use std::fmt;

use crate::api::rollout::{Action, HoldReason, Outcome, Phase, Release, Request};

use super::context::{DecisionContext, Next};
use super::event::Event;
use super::reason::Reason;

/// Why there is nothing to roll back to.
#[derive(Debug, thiserror::Error)]
enum UndoError {
    /// The named revision is not among the good ones.
    #[error("{name} is no revision to roll back to: {choice}")]
    NotGood { name: String, choice: Choice },
    /// No revision was named, and none is left.
    #[error("there is no earlier good revision: {choice}")]
    NoneEarlier { choice: Choice },
}

/// The good revisions that are left.
#[derive(Debug)]
struct Choice(Vec<String>);

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("none is left in the cluster"),
            names => write!(f, "there are {}", names.join(", ")),
        }
    }
}

/// What became of a request.
enum Answer {
    Done,
    Later,
    Refused(String),
}

impl DecisionContext<'_> {
    /// Carries out the request in the spec, if it is a new one.
    pub fn request(&mut self) {
        let Some(request) = self.spec.request.clone() else {
            return;
        };
        if self.status.handled_request.as_ref() == Some(&request.id) {
            return;
        }
        let answer = match request.action {
            Action::Promote => self.asked_to_promote(&request),
            Action::Abort => self.asked_to_abort(&request),
            Action::Retry => self.asked_to_retry(&request),
            Action::Undo => self.asked_to_undo(&request),
        };
        match answer {
            Answer::Later => return,
            Answer::Done => self.status.refused_request = None,
            Answer::Refused(why) => {
                self.status.refused_request = Some(why.clone());
                self.events.push(Event::RequestRefused {
                    action: request.action.to_string(),
                    why,
                });
            }
        }
        self.status.handled_request = Some(request.id);
    }

    fn asked_to_promote(&mut self, request: &Request) -> Answer {
        let by = request.by.as_deref().unwrap_or("a person");
        let ready = self
            .candidate_revision()
            .is_some_and(|name| self.live.is_usable(&name));
        let awaits = self.status.hold.as_ref().map(|hold| hold.reason);
        match self.phase() {
            Phase::Probing | Phase::Stepping if !ready => {
                Answer::Refused(format!("{} is not Ready", self.candidate_name()))
            }
            Phase::Stepping if awaits == Some(HoldReason::Approval) => {
                self.go_on();
                self.go_up(None);
                Answer::Done
            }
            Phase::Probing | Phase::Stepping => {
                let weight = self.status.weight;
                self.go_on();
                self.promote(
                    Outcome::Promoted,
                    format!("promoted from {weight} % by {by}"),
                );
                Answer::Done
            }
            Phase::Pinning | Phase::Staging | Phase::Initial => Answer::Refused(
                "its revision has not been Ready and probed yet; ask again then".to_owned(),
            ),
            Phase::Promoting => Answer::Done,
            _ => Answer::Refused("no release is on its way".to_owned()),
        }
    }

    fn asked_to_abort(&mut self, request: &Request) -> Answer {
        let reason = Reason::Aborted {
            by: request.by.clone(),
        };
        match self.phase() {
            Phase::Pinning
            | Phase::Staging
            | Phase::Probing
            | Phase::Stepping
            | Phase::Promoting => {
                self.roll_back(reason);
                Answer::Done
            }
            Phase::Initial => {
                self.fail(reason);
                Answer::Done
            }
            Phase::RollingBack => Answer::Done,
            _ => Answer::Refused(
                "no release is on its way; `sluice rollout undo` rolls back to the one before"
                    .to_owned(),
            ),
        }
    }

    fn asked_to_retry(&mut self, request: &Request) -> Answer {
        let phase = self.phase();
        if phase == Phase::RollingBack {
            return Answer::Later;
        }
        let Some(quarantine) = self.git_is_quarantined().cloned() else {
            return Answer::Refused("Git's template is not in quarantine".to_owned());
        };
        if !matches!(phase, Phase::Stable | Phase::RolledBack | Phase::Failed) {
            return Answer::Refused("a release is on its way".to_owned());
        }
        self.status
            .quarantine
            .retain(|q| q.template_hash != quarantine.template_hash);
        let attempt = if self.names_itself() {
            0
        } else {
            quarantine.attempt + 1
        };
        self.events.push(Event::Retried {
            attempt,
            by: request.by.clone(),
        });
        // What refused it may have changed since: only the cluster can tell.
        self.refused = None;
        if phase == Phase::Failed {
            self.start_first(attempt);
        } else {
            self.start_release(attempt);
        }
        Answer::Done
    }

    fn asked_to_undo(&mut self, request: &Request) -> Answer {
        let Some(stable) = self.stable_revision() else {
            return Answer::Refused("there is no earlier revision".to_owned());
        };
        let named = request.revision.as_deref();
        match self.phase() {
            Phase::Pinning | Phase::Staging | Phase::Probing | Phase::Stepping => {
                self.roll_back(Reason::Aborted {
                    by: request.by.clone(),
                });
                // A revision before stable: that as well, once stable is back.
                if named.is_none_or(|name| name == stable) {
                    Answer::Done
                } else {
                    Answer::Later
                }
            }
            Phase::Promoting | Phase::RollingBack => Answer::Later,
            _ => match self.undo_target(&stable, named) {
                Ok(target) => {
                    self.undo(target, request);
                    Answer::Done
                }
                Err(why) => Answer::Refused(why.to_string()),
            },
        }
    }

    fn undo_target(&self, stable: &str, named: Option<&str>) -> Result<Release, UndoError> {
        let good: Vec<&Release> = self
            .known_good()
            .filter(|release| release.revision.as_deref() != Some(stable))
            .collect();
        let found = match named {
            None => good.first().copied(),
            Some(name) => good
                .iter()
                .copied()
                .find(|release| release.revision.as_deref() == Some(name)),
        };
        found.cloned().ok_or_else(|| {
            let names = good.iter().filter_map(|release| release.revision.clone());
            let choice = Choice(names.collect());
            match named {
                Some(name) => UndoError::NotGood {
                    name: name.to_owned(),
                    choice,
                },
                None => UndoError::NoneEarlier { choice },
            }
        })
    }

    fn undo(&mut self, target: Release, request: &Request) -> Next {
        let reason = Reason::Undone {
            by: request.by.clone(),
        };
        if let Some(stable) = self.status.stable.clone() {
            self.quarantine(&stable, &reason);
        }
        self.begin(target.attempt);
        self.status.candidate = Some(target);
        self.promote(Outcome::Undone, reason.to_string())
    }
}
