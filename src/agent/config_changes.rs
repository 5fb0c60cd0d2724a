//! What commits have changed of the ConfigMaps and Secrets that services name, until each service's loop has noted it.

use std::collections::HashMap;

use super::index::Name;
use crate::api::rollout::ConfigChange;

/// Changes of one service that are kept: as many as its ServiceRollout remembers.
const KEPT: usize = 5;

/// The last changes of each service, oldest first.
#[derive(Debug, Default)]
pub struct ConfigChanges(HashMap<Name, Vec<ConfigChange>>);

impl ConfigChanges {
    /// One more.
    pub fn note(&mut self, service: Name, change: ConfigChange) {
        let changes = self.0.entry(service).or_default();
        changes.push(change);
        let more = changes.len().saturating_sub(KEPT);
        changes.drain(..more);
    }

    /// Those of a service.
    pub fn of(&self, service: &Name) -> Vec<ConfigChange> {
        self.0.get(service).cloned().unwrap_or_default()
    }

    /// The service left Git.
    pub fn forget(&mut self, service: &Name) {
        self.0.remove(service);
    }
}
