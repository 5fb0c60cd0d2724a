//! What the cluster refused is no judgement of it: it is asked again, and goes on once it is taken.

use crate::api::rollout::Quarantine;

use super::context::DecisionContext;
use super::input::ASKED_AGAIN;
use super::reason::{Reason, rounded};
use super::words::brief;

impl DecisionContext<'_> {
    /// Takes in what the cluster says today of a template that it refused: the template is out of quarantine once
    /// it would be taken, and else stays there for what is said now.
    pub fn ask_again(&mut self) {
        let (hash, manifest) = (&self.intent.template_hash, &self.intent.manifest);
        let is_it =
            |q: &Quarantine| q.template_hash == *hash && q.refused.as_ref() == Some(manifest);
        match &self.refused {
            Some(message) => {
                let reason = Reason::Refused {
                    message: message.clone(),
                };
                let known = self.service.quarantine.iter_mut().find(|q| is_it(q));
                if let Some(quarantine) = known {
                    quarantine.reason = brief(&reason.to_string());
                }
            }
            // Before that the release that was refused comes to its end.
            None if self.live.accepted && self.phase().rests() => {
                self.service.quarantine.retain(|q| !is_it(q));
            }
            None => {}
        }
    }

    /// Why Git's traffic block cannot be used, in words; what the cluster refuses it is asked about again.
    pub fn traffic_words(&self) -> String {
        let problem = self.traffic_problem().cloned().unwrap_or_default();
        let words = format!("the traffic block in Git cannot be used: {problem}");
        match self.intent.traffic_problem {
            Some(_) => words,
            None => format!("{words}; {}", asked_again()),
        }
    }
}

/// What a person can do about a template that is kept out, and what happens without one.
pub fn way_out(quarantine: &Quarantine) -> String {
    let by_hand = "change it in Git, or `sluice rollout retry`";
    match quarantine.refused {
        Some(_) => format!("{by_hand}; {}", asked_again()),
        None => by_hand.to_owned(),
    }
}

/// Says that what was refused is not refused for ever.
pub fn asked_again() -> String {
    format!(
        "the cluster is asked again every {} at the latest",
        rounded(ASKED_AGAIN)
    )
}
