//! What befalls a revision that serves.

use super::*;
use crate::api::rollout::ConfigChange;

impl World {
    /// Its Pods fail their readiness probe from now on, and its Revision's condition stays as it is.
    pub fn loses_readiness(&mut self, version: &str) {
        let born = self.revisions.values().filter(|r| r.hash == version);
        let age = born.map(|r| self.second - r.born).max().unwrap_or(0);
        if let Some(behaviour) = self.behaviours.get_mut(version) {
            behaviour.unready = Some((age, u64::MAX));
        }
    }

    /// A commit changes a ConfigMap that the template names.
    pub fn changes_config(&mut self, commit: &str) {
        self.git.config_changes.push(ConfigChange {
            kind: "ConfigMap".to_owned(),
            name: "settings".to_owned(),
            commit: format!("{commit:c<7}"),
            subject: commit.to_owned(),
            diff: vec!["-data.url: a".to_owned(), "+data.url: b".to_owned()],
            since: self.now(),
        });
    }

    /// So many of a hundred answers fail from now on.
    pub fn fails_from_now(&mut self, version: &str, errors: u64) {
        if let Some(behaviour) = self.behaviours.get_mut(version) {
            behaviour.errors = errors;
        }
    }
}
