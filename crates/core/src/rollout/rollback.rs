//! The way back: one write, from any phase, and then the cluster's word for it.

use crate::api::rollout::{
    HistoryEntry, Outcome, PendingOutcome, Phase, Quarantine, Release, TemplateState,
};

use super::allocate::{Split, TargetTraffic};
use super::context::DecisionContext;
use super::event::Event;
use super::reason::Reason;
use super::traffic;
use super::transition::Transition;
use super::words::brief;

/// Quarantined templates that are remembered.
const QUARANTINE: usize = 50;

/// Whether a release was good when it ended.
pub(super) fn is_known_good(entry: &HistoryEntry) -> bool {
    match entry.outcome {
        Outcome::Promoted | Outcome::Adopted | Outcome::Undone | Outcome::Restored => true,
        // A re-pin; a release that Git rolled back never had 100 %.
        Outcome::Reverted => entry.weight == 100,
        _ => false,
    }
}

impl DecisionContext<'_> {
    /// Takes the candidate back. It is decided, quarantined and stored at once; the write
    /// follows.
    pub fn roll_back(&mut self, reason: Reason) -> Transition {
        let (outcome, guilty) = match &reason {
            Reason::Superseded { .. } => (Outcome::Superseded, false),
            Reason::Reverted { .. } => (Outcome::Reverted, false),
            Reason::StableGone { .. } | Reason::Withdrawn => (Outcome::Interrupted, false),
            _ => (Outcome::RolledBack, true),
        };
        let text = reason.to_string();
        // A promotion that is not confirmed may have reached users all the same.
        let weight = self.candidate.weight;
        if guilty && let Some(candidate) = self.candidate.release.clone() {
            self.quarantine(&candidate, &reason);
        }
        self.events.push(Event::RollingBack {
            revision: self.candidate_revision(),
            stable: self.stable_revision().unwrap_or_default(),
            weight,
            reason,
        });
        self.candidate.pending_outcome = Some(PendingOutcome {
            outcome,
            reason: brief(&text),
            weight,
        });
        self.candidate.weight = 0;
        self.candidate.step = None;
        Transition::To(Phase::RollingBack)
    }

    /// Git's template is refused before anything of it has begun: nothing is written for it.
    pub fn refuse(&mut self, message: String) -> Transition {
        let release = self.new_release(self.last_attempt());
        let reason = Reason::Refused { message };
        let text = reason.to_string();
        self.quarantine(&release, &reason);
        self.events.push(Event::RollingBack {
            revision: None,
            stable: self.stable_revision().unwrap_or_default(),
            weight: 0,
            reason,
        });
        self.remember(release, Outcome::RolledBack, text, 0);
        // A service that was adopted, and that somebody else's tool may hold: nothing was
        // asked of its traffic yet, and nothing is.
        if self.service.traffic.is_empty() {
            self.service.preserve_adopted_traffic = true;
        }
        Transition::To(Phase::RolledBack)
    }

    /// Keeps a template out.
    pub fn quarantine(&mut self, release: &Release, reason: &Reason) {
        let Some(hash) = release.template_hash.clone() else {
            return;
        };
        let refused = matches!(reason, Reason::Refused { .. });
        let reason = brief(&reason.to_string());
        self.service.quarantine.retain(|q| q.template_hash != hash);
        self.service.quarantine.insert(
            0,
            Quarantine {
                template_hash: hash,
                revision: release.revision.clone(),
                commit: release.commit.clone(),
                attempt: release.attempt,
                reason,
                refused: refused.then(|| self.intent.manifest.clone()),
                since: self.now,
            },
        );
        self.service.quarantine.truncate(QUARANTINE);
    }

    /// Git's template is no longer the candidate's: stable first, then whatever is new.
    pub fn superseded(&mut self) -> Option<Transition> {
        let candidate = self.candidate.release.as_ref()?;
        if self.intent.withdrawn {
            return Some(self.roll_back(Reason::Withdrawn));
        }
        let git = &self.intent.template_hash;
        // Suspended, Git is not listened to.
        if candidate.template_hash.as_ref() == Some(git) || self.intent.suspended {
            return None;
        }
        let by = self.intent.commit.clone();
        let stable = self.service.stable.as_ref();
        let back = stable.is_some_and(|stable| stable.template_hash.as_ref() == Some(git));
        Some(self.roll_back(if back {
            Reason::Reverted { by }
        } else {
            Reason::Superseded { by }
        }))
    }

    /// Stable is written; the cluster's word is awaited.
    pub fn rolling_back(&mut self) -> Transition {
        let Some(stable) = self.stable_revision() else {
            return Transition::To(Phase::Pending);
        };
        let limit = self.policy.confirm_timeout;
        let overdue = self.in_phase() >= limit;
        // What cannot take requests cannot be rolled back to, in no time at all. No word on it is not a bad word,
        // as long as one may come.
        let patience = limit.max(self.policy.progress_deadline);
        let unusable = self.live.revision(&stable).is_none_or(|revision| {
            revision.has_failed() || (!revision.is_ready() && self.in_phase() >= patience)
        });
        let serves_nobody = unusable || self.stable_is_down().is_some();
        if serves_nobody && let Some(other) = self.best_left(&stable) {
            let cause = self.stable_trouble().unwrap_or_default();
            self.events.push(Event::StableUnhealthy { stable, cause });
            self.service.stable = Some(other);
            return Transition::Again;
        }
        let mut wanted = self.target_traffic(Split::alone(&stable));
        let refused = self
            .live
            .route
            .as_ref()
            .is_some_and(|r| r.refused.is_some());
        if overdue || refused {
            // Some other entry may keep the Route from following; users come first.
            wanted = TargetTraffic {
                targets: traffic::bare(&stable),
                ..wanted
            };
        }
        if self.want(wanted) {
            return self.rolled_back(Some(stable));
        }
        let cause = traffic::cause(self.live.route.as_ref());
        if overdue {
            if !self.has_said("Degraded", "RollbackUnconfirmed") {
                self.events.push(Event::RollbackUnconfirmed {
                    stable: stable.clone(),
                    cause: cause.clone(),
                });
            }
            if unusable {
                // No Route ever confirms a revision like that. What is wanted stays written;
                // a fix in Git must not have to wait for it.
                return self.rolled_back(None);
            }
            self.candidate.message =
                format!("the cluster does not confirm the rollback to {stable}: {cause}");
            return Transition::Wait(Some(limit));
        }
        self.candidate.message = format!("waiting for {stable} to have all traffic again");
        Transition::Wait(Some(limit.saturating_sub(self.in_phase())))
    }

    fn rolled_back(&mut self, confirmed: Option<String>) -> Transition {
        let took = self.in_phase();
        let candidate = self.candidate.release.take();
        if let Some(pending_outcome) = self.candidate.pending_outcome.take() {
            if let Some(stable) = confirmed {
                self.events.push(Event::RolledBack {
                    stable,
                    reason: pending_outcome.reason.clone(),
                    took,
                });
            }
            if let Some(candidate) = candidate {
                self.remember(
                    candidate,
                    pending_outcome.outcome,
                    pending_outcome.reason,
                    pending_outcome.weight,
                );
            }
        }
        self.candidate.failures = 0;
        // What is written is the candidate's.
        self.service.template = TemplateState::Unwritten;
        Transition::To(Phase::RolledBack)
    }

    /// Releases that are known to be good and whose revision can take requests, best first.
    pub fn known_good(&self) -> impl Iterator<Item = &Release> {
        self.service
            .history
            .iter()
            .filter(|entry| is_known_good(entry))
            .map(|entry| &entry.release)
            .filter(|release| {
                let quarantined = release.template_hash.as_ref().is_some_and(|hash| {
                    self.service
                        .quarantine
                        .iter()
                        .any(|q| q.template_hash == *hash)
                });
                !quarantined
                    && release
                        .revision
                        .as_deref()
                        .is_some_and(|name| self.live.is_usable(name))
            })
    }

    /// The best release left when the given revision is not there.
    pub fn best_left(&self, without: &str) -> Option<Release> {
        self.known_good()
            .find(|release| release.revision.as_deref() != Some(without))
            .cloned()
    }
}
