//! Git's template among those that a ServiceRollout remembers.
//!
//! What is remembered may be named by another version of the hash, of an agent before this one
//! or after it. Then it is brought to the present name where it is Git's template, so that
//! neither a release begins nor a quarantine is forgotten because the agent is another one.

use crate::api::object::TemplateHash;
use crate::api::rollout::{Phase, RolloutStatus};

use super::service::ServiceIntent;

/// What the cluster says of the service's template.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The Configuration's generation, where it has Git's template.
    pub at_generation: Option<i64>,
    /// Whether a revision was made from Git's template; `None` where it is gone or cannot be told.
    pub made_from_git: &'a dyn Fn(&str) -> Option<bool>,
}

impl ServiceIntent {
    /// Whether a hash of whichever version is that of Git's template.
    pub fn is_hash(&self, hash: &TemplateHash) -> bool {
        *hash == self.template_hash || self.former_hashes.contains(hash)
    }

    /// Names Git's template by its present hash wherever the status remembers it. Says whether
    /// that took more than the status and Git: then it should be stored.
    pub fn recognise(&self, status: &mut RolloutStatus, sight: Sight<'_>) -> bool {
        for hash in hashes(status) {
            if self.former_hashes.contains(hash) {
                *hash = self.template_hash.clone();
            }
        }
        let by_revision = self.recognise_by_revision(status, sight);
        let unknown = self.recognise_unknown(status, sight);
        let in_effect = self.recognise_in_effect(status, sight);
        by_revision || unknown || in_effect
    }

    /// A template of another version is Git's where its revision is.
    fn recognise_by_revision(&self, status: &mut RolloutStatus, sight: Sight<'_>) -> bool {
        let mut found = false;
        let releases = status.stable.iter_mut().chain(&mut status.candidate);
        let releases = releases.filter_map(|r| Some((r.template_hash.as_mut()?, &r.revision)));
        let quarantine = status.quarantine.iter_mut();
        let quarantine = quarantine.map(|q| (&mut q.template_hash, &q.revision));
        for (hash, revision) in releases.chain(quarantine) {
            let made_from_git = || (sight.made_from_git)(revision.as_deref()?);
            if hash.version() != TemplateHash::VERSION && made_from_git() == Some(true) {
                *hash = self.template_hash.clone();
                found = true;
            }
        }
        found
    }

    /// A hash of a later agent than this one cannot be computed. Until the cluster says otherwise,
    /// the template that the status is about is taken for Git's: nothing is released on a guess.
    fn recognise_unknown(&self, status: &mut RolloutStatus, sight: Sight<'_>) -> bool {
        let phase = status.hold.as_ref().map_or(status.phase, |hold| hold.phase);
        let about = match (phase, &mut status.candidate, &mut status.stable) {
            (Phase::RolledBack | Phase::Failed, _, _) => {
                let newest = status.quarantine.first_mut();
                newest.map(|q| (&mut q.template_hash, &q.revision))
            }
            (_, Some(release), _) | (_, None, Some(release)) => {
                let hash = release.template_hash.as_mut();
                hash.map(|hash| (hash, &release.revision))
            }
            (_, None, None) => None,
        };
        match about {
            Some((hash, revision))
                if hash.version() > TemplateHash::VERSION
                    && revision.as_deref().and_then(sight.made_from_git) != Some(false) =>
            {
                *hash = self.template_hash.clone();
                true
            }
            _ => false,
        }
    }

    /// At rest, a template whose difference an apply could not bring about is the one that serves:
    /// Git lost an annotation that somebody else set as well.
    fn recognise_in_effect(&self, status: &mut RolloutStatus, sight: Sight<'_>) -> bool {
        let rests = matches!(status.phase, Phase::Stable | Phase::RolledBack);
        let Some(stable) = status.stable.as_mut().filter(|_| rests) else {
            return false;
        };
        let serves = stable.generation.is_some() && stable.generation == sight.at_generation;
        if serves && stable.template_hash.as_ref() != Some(&self.template_hash) {
            stable.template_hash = Some(self.template_hash.clone());
            return true;
        }
        false
    }
}

/// Every hash that a status holds.
fn hashes(status: &mut RolloutStatus) -> impl Iterator<Item = &mut TemplateHash> {
    let releases = status.stable.iter_mut().chain(&mut status.candidate);
    let history = status.history.iter_mut().map(|entry| &mut entry.release);
    let quarantine = status.quarantine.iter_mut().map(|q| &mut q.template_hash);
    releases
        .chain(history)
        .filter_map(|release| release.template_hash.as_mut())
        .chain(quarantine)
}

#[cfg(test)]
#[path = "tests/recognise.rs"]
mod tests;
