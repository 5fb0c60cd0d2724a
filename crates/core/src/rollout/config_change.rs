//! Commits that change a ConfigMap or Secret which the service's template names.
//!
//! Such a change is no release: it reaches every revision that reads the object, stable first, and none can be rolled
//! back from it. So it is noted, and where stable is not well afterwards it is named with its commit and its diff.
//! The newest one's `since` is when a watch of the service would begin.

use crate::api::rollout::ConfigChange;

use super::context::DecisionContext;
use super::event::Event;
use super::reason::short;
use super::words;

/// Changes that are remembered.
const CHANGES: usize = 5;

impl DecisionContext<'_> {
    /// Notes what commits have changed since the last pass, of a service that serves.
    pub fn note_config_changes(&mut self) {
        if self.service.stable.is_none() {
            return;
        }
        let is_same = |known: &ConfigChange, new: &ConfigChange| {
            let identity =
                |of: &ConfigChange| (of.kind.clone(), of.name.clone(), of.commit.clone());
            identity(known) == identity(new)
        };
        for change in &self.intent.config_changes {
            let promoted = self.service.stable.as_ref().and_then(|stable| stable.since);
            let is_old = promoted.is_some_and(|promoted| change.since < promoted);
            if is_old
                || self
                    .service
                    .config_changes
                    .iter()
                    .any(|known| is_same(known, change))
            {
                continue;
            }
            self.events.push(Event::ConfigChanged {
                words: sentence(change),
            });
            let kept = ConfigChange {
                subject: words::name(&change.subject),
                diff: change
                    .diff
                    .iter()
                    .map(|line| words::briefer(line))
                    .collect(),
                ..change.clone()
            };
            self.service.config_changes.insert(0, kept);
        }
        self.service.config_changes.truncate(CHANGES);
    }

    /// What is wrong with stable, and what changed last before that, if anything did.
    pub fn with_config_change(&self, cause: String) -> String {
        let begun = self.stable_unwell_since().unwrap_or(self.now);
        let mut changes = self.service.config_changes.iter();
        match changes.find(|change| change.since <= begun) {
            Some(change) => format!("{cause}, since {}", sentence(change)),
            None => cause,
        }
    }
}

/// `commit 1f3a9c0 "Point at the new one" changed ConfigMap settings (-data.url: a, +data.url: b)`.
fn sentence(change: &ConfigChange) -> String {
    let ConfigChange {
        kind,
        name,
        commit,
        subject,
        diff,
        ..
    } = change;
    let diff = diff.join(", ");
    format!(
        "commit {} \"{subject}\" changed {kind} {name} ({diff})",
        short(commit)
    )
}
