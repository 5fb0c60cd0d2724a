//! What people ask for: each request is carried out, or refused with a reason, once.

use std::fmt;

use crate::api::rollout::{
    Action, HoldReason, Outcome, Phase, Release, Request, RequestAnswer, Seen,
};

use super::context::DecisionContext;
use super::event::Event;
use super::reason::Reason;
use super::transition::Transition;
use super::words;

/// Answers that are remembered.
const ANSWERS: usize = 50;

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
    /// Carries out the requests in the spec that have no answer yet, oldest first. One that must wait does not
    /// keep those behind it from being heard.
    pub fn requests(&mut self) {
        let spec = self.spec;
        for request in &spec.requests {
            let answers = &self.service.answers;
            if answers.iter().any(|answer| answer.id == request.id) {
                continue;
            }
            let answer = match self.out_of_date(request) {
                Some(why) => Answer::Refused(why),
                None => match request.action {
                    Action::Promote => self.asked_to_promote(request),
                    Action::Abort => self.asked_to_abort(request),
                    Action::Retry => self.asked_to_retry(request),
                    Action::Undo => self.asked_to_undo(request),
                },
            };
            let refused = match answer {
                Answer::Later => continue,
                Answer::Done => None,
                Answer::Refused(why) => Some(why),
            };
            if let Some(why) = &refused {
                self.events.push(Event::RequestRefused {
                    action: request.action.to_string(),
                    why: why.clone(),
                });
            }
            self.answer(request, refused);
        }
    }

    fn answer(&mut self, request: &Request, refused: Option<String>) {
        let answer = RequestAnswer {
            id: request.id.clone(),
            action: request.action,
            by: request.by.as_deref().map(words::name),
            at: self.now,
            refused: refused.map(|why| words::briefer(&why)),
        };
        self.service.answers.insert(0, answer);
        // What stands in the spec stays answered, however much was asked since.
        let asked = |id: &String| self.spec.requests.iter().any(|r| r.id == *id);
        let mut kept = 0;
        self.service.answers.retain(|answer| {
            kept += 1;
            kept <= ANSWERS || asked(&answer.id)
        });
    }

    /// Why a request is not about what there is now, if it is not: it came too late, or whoever asked saw another
    /// release. (An undo that waits for a rollback of its own is on its way, and what was seen is past.)
    fn out_of_date(&self, request: &Request) -> Option<String> {
        if let Some(expires) = request.expires
            && self.now > expires
        {
            return Some(format!("it was good until {expires:.0}"));
        }
        let seen = request.seen.as_ref()?;
        let now = Seen::of(
            self.service.stable.as_ref(),
            self.candidate.release.as_ref(),
            self.candidate.step,
            self.service.quarantine.first(),
        );
        let (what, then, now) = match request.action {
            Action::Promote if seen.candidate != now.candidate => {
                ("the candidate was", &seen.candidate, &now.candidate)
            }
            Action::Promote if seen.step != now.step && now.candidate.is_some() => {
                return Some(format!(
                    "it was asked at another step of {}; look again",
                    now.candidate.unwrap_or_default()
                ));
            }
            // It was promoted since, and is watched: that is what is aborted.
            Action::Abort if self.watches(seen.candidate.as_ref()) => return None,
            Action::Abort if seen.candidate != now.candidate && seen.candidate.is_some() => {
                ("the candidate was", &seen.candidate, &now.candidate)
            }
            Action::Retry
                if (&seen.quarantined, seen.attempt) != (&now.quarantined, now.attempt) =>
            {
                return Some(
                    "another template, or another attempt at it, was rolled back since it was asked; look again"
                        .to_owned(),
                );
            }
            Action::Undo if seen.stable != now.stable => ("stable was", &seen.stable, &now.stable),
            _ => return None,
        };
        let name =
            |revision: &Option<String>| revision.clone().unwrap_or_else(|| "none".to_owned());
        Some(format!(
            "{what} {} when it was asked, and is {} now; look again",
            name(then),
            name(now)
        ))
    }

    fn asked_to_promote(&mut self, request: &Request) -> Answer {
        let by = request.by.as_deref().unwrap_or("a person");
        let ready = self
            .candidate_revision()
            .is_some_and(|name| self.live.is_usable(&name));
        let awaits = self.held_by(HoldReason::Approval).is_some();
        match self.phase() {
            Phase::Probing | Phase::Stepping if !ready => {
                Answer::Refused(format!("{} is not Ready", self.candidate_name()))
            }
            // An approval opens one gate, and the others stay shut.
            Phase::Stepping if awaits && !self.is_free() => Answer::Later,
            Phase::Stepping if awaits => {
                self.go_on();
                let next = self.go_up(None);
                self.take(next);
                Answer::Done
            }
            Phase::Probing | Phase::Stepping => {
                let weight = self.candidate.weight;
                self.go_on();
                let next = self.promote(
                    Outcome::Promoted,
                    format!("promoted from {weight} % by {by}"),
                );
                self.take(next);
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
                let next = self.roll_back(reason);
                self.take(next);
                Answer::Done
            }
            Phase::Initial => {
                let next = self.fail(reason);
                self.take(next);
                Answer::Done
            }
            Phase::RollingBack => Answer::Done,
            _ if self.service.watch.is_some() => {
                if let Some(next) = self.abort_watched(reason) {
                    self.take(next);
                }
                Answer::Done
            }
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
        self.service
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
            let next = self.start_first(attempt);
            self.take(next);
        } else {
            let next = self.start_release(attempt);
            self.take(next);
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
                let next = self.roll_back(Reason::Aborted {
                    by: request.by.clone(),
                });
                self.take(next);
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
                    let next = self.undo(target, request);
                    self.take(next);
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

    fn undo(&mut self, target: Release, request: &Request) -> Transition {
        let reason = Reason::Undone {
            by: request.by.clone(),
        };
        if let Some(stable) = self.service.stable.clone() {
            self.quarantine(&stable, &reason);
        }
        self.begin(target.attempt);
        self.candidate.release = Some(target);
        self.promote(Outcome::Undone, reason.to_string())
    }
}
