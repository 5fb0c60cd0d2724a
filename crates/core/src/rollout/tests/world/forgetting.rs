//! Agents that lose their memory, or find an older one; and what nobody can know after that.

use super::*;

impl World {
    /// The agent is killed, and what it had stored is gone as well, or as it was at another time.
    pub fn forgets(&mut self, to: RolloutStatus) {
        self.stored = to;
        self.forget_condemned();
        self.restart();
    }

    /// Deletes the Route, and its mark with it.
    pub fn delete_route(&mut self) {
        self.route = None;
        self.forget_condemned();
    }

    /// Templates that nothing tells of any more, neither the memory nor the Route's mark.
    fn forget_condemned(&mut self) {
        // Of what it does not remember, the Route's mark tells of the newest.
        let mark = self
            .route
            .as_ref()
            .and_then(|route| route.rolled_back.clone());
        let remembered = |hash: &String| {
            let of = |q: &crate::api::rollout::Quarantine| q.template_hash.0 == *hash;
            mark.as_ref().is_some_and(|mark| mark.0 == *hash)
                || self.stored.quarantine.iter().any(of)
        };
        self.condemned.retain(remembered);
        self.condemned_in_watch
            .retain(|hash| self.condemned.contains(hash));
    }

    /// The agent begins anew with what was stored a minute ago.
    pub fn remembers_an_older_state(&mut self) {
        let older = self.backups.front().cloned().unwrap_or_default();
        self.forgets(older);
    }
}
