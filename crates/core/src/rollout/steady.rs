//! At rest: adoption, drift, and what makes a release begin.

use crate::api::delivery::{Drift, Expand};
use crate::api::rollout::{HistoryEntry, Outcome, Phase, Quarantine, Release, TemplateState};

use super::allocate::{Split, TargetTraffic};
use super::context::DecisionContext;
use super::decision::Write;
use super::event::Event;
use super::input::ConfigurationFacts;
use super::own_tags::tags;
use super::reason::short;
use super::refusal::way_out;
use super::traffic;
use super::transition::Transition;
use super::words;

/// Earlier good revisions that are kept from garbage collection, for undo and for reverts.
const ROLLBACK_WINDOW: usize = 3;
/// What is said of a template under `drift: Report`.
const TEMPLATE_LEFT: &str = "its template was changed by hand and is left so";

impl DecisionContext<'_> {
    /// Nothing was delivered yet: takes over what is there, or delivers for the first time.
    pub fn pending(&mut self) -> Transition {
        if !self.is_free() {
            self.candidate.message = format!("nothing delivered yet: {}", self.shut_words());
            return Transition::Wait(None);
        }
        match self.adoptable() {
            Some(release) => self.adopt(release),
            None => self.start_first(0),
        }
    }

    /// What serves most of the users of a service that was there before us.
    fn adoptable(&self) -> Option<Release> {
        let route = self.live.route.as_ref()?;
        // A Service serves by itself what it is given first. Where an agent was killed right behind that, it is
        // still a first delivery. (A Route is written later, when the beginning has been stored.)
        let begun_here = |c: &ConfigurationFacts| c.begun_here && c.template_written;
        if self.intent.expand == Expand::Service
            && self.live.configuration.as_ref().is_some_and(begun_here)
        {
            return None;
        }
        // What Git's shape names on purpose is no split of ours to judge; the newest of
        // the largest shares is what people would call stable.
        let serving = route
            .status
            .iter()
            .filter(|entry| entry.percent.unwrap_or(0) > 0)
            .filter_map(|entry| {
                let revision = self.live.revision(entry.revision_name.as_deref()?)?;
                (revision.configuration == self.intent.name)
                    .then_some((entry.percent.unwrap_or(0), revision))
            });
        let mut shares: Vec<(i64, &super::input::RevisionFacts)> = Vec::new();
        for (percent, revision) in serving {
            match shares
                .iter_mut()
                .find(|(_, other)| other.name == revision.name)
            {
                Some((sum, _)) => *sum += percent,
                None => shares.push((percent, revision)),
            }
        }
        // In the middle of a release that nobody remembers, its own tags say which is which.
        let own = tags(&self.intent.final_traffic, &self.intent.name);
        let tagged = |tag: &Option<String>| {
            let mut status = route.status.iter();
            status.find(|entry| tag.is_some() && entry.tag == *tag)
        };
        let stable = tagged(&own.candidate)
            .and(tagged(&own.stable))
            .and_then(|entry| entry.revision_name.as_deref());
        let (_, revision) = shares.into_iter().max_by_key(|(percent, revision)| {
            let is_stable = stable == Some(revision.name.as_str());
            (is_stable, *percent, revision.generation)
        })?;
        let configuration = self.live.configuration.as_ref()?;
        let is_git_s = configuration.template_written
            && configuration.template_taken_up
            && match &self.intent.revision_name {
                Some(name) => *name == revision.name && revision.made_from_git != Some(false),
                None => revision.generation == configuration.generation,
            };
        Some(Release {
            revision: Some(revision.name.clone()),
            template_hash: is_git_s.then(|| self.intent.template_hash.clone()),
            generation: Some(revision.generation),
            commit: self.intent.commit.clone().filter(|_| is_git_s),
            subject: self
                .intent
                .subject
                .as_deref()
                .map(words::name)
                .filter(|_| is_git_s),
            attempt: configuration.attempt,
            since: Some(self.now),
        })
    }

    fn adopt(&mut self, release: Release) -> Transition {
        let stable = release.revision.clone().unwrap_or_default();
        let serving: Vec<_> = self
            .live
            .route
            .iter()
            .flat_map(|route| &route.status)
            .filter(|entry| entry.percent.unwrap_or(0) > 0)
            .cloned()
            .collect();
        let split = serving
            .iter()
            .any(|entry| entry.revision_name.as_deref() != Some(&stable));
        // A split that Git asks for is Git's; one that it does not is somebody's care.
        self.service.preserve_adopted_traffic = split && self.intent.final_traffic.is_empty();
        let kept = self
            .service
            .preserve_adopted_traffic
            .then(|| traffic::describe(&serving));
        self.events.push(Event::Adopted { stable, kept });
        self.remember(
            release.clone(),
            Outcome::Adopted,
            "it served before".to_owned(),
            100,
        );
        self.service.stable = Some(release);
        Transition::To(Phase::Stable)
    }

    /// Git's template is kept out. A refusal is about the manifest that was refused: one that
    /// now says `sluice.dev/force`, for one, is another.
    pub fn git_is_quarantined(&self) -> Option<&Quarantine> {
        self.service.quarantine.iter().find(|q| {
            q.template_hash == self.intent.template_hash
                && q.refused
                    .as_ref()
                    .is_none_or(|refused| *refused == self.intent.manifest)
        })
    }

    /// Whether what serves is what Git says.
    fn git_serves(&self) -> bool {
        self.service
            .stable
            .as_ref()
            .is_some_and(|stable| stable.template_hash.as_ref() == Some(&self.intent.template_hash))
    }

    /// On stable, with nothing on its way.
    pub fn at_rest(&mut self) -> Transition {
        let Some(stable) = self.stable_revision() else {
            return Transition::To(Phase::Pending);
        };
        if let Some(turn) = self.restore(&stable) {
            return turn;
        }
        if !self.git_serves() && self.git_is_quarantined().is_none() {
            if !self.is_free() {
                if self.phase() != Phase::Stable {
                    return Transition::To(Phase::Stable);
                }
                self.serve_stable(&stable);
                let commit = self
                    .intent
                    .commit
                    .as_deref()
                    .map_or("the new template", short);
                self.candidate.message = if self.intent.withdrawn {
                    format!("{stable} stays; its Delivery was deleted")
                } else {
                    format!("{commit} waits: {}", self.shut_words())
                };
                return Transition::Wait(None);
            }
            return self.begin_with_git();
        }
        let phase = if self.git_serves() {
            Phase::Stable
        } else {
            Phase::RolledBack
        };
        if self.phase() != phase {
            return Transition::To(phase);
        }
        let confirmed = self.serve_stable(&stable);
        if let Some(quarantine) = self.git_is_quarantined().filter(|_| !self.git_serves()) {
            self.candidate.message = format!(
                "{stable} serves; Git's template was rolled back ({}): {}",
                quarantine.reason,
                way_out(quarantine)
            );
        } else if confirmed {
            self.mend_template(&stable);
            if self.traffic_problem().is_some() {
                self.candidate.message = format!("{stable} serves; {}", self.traffic_words());
            }
        } else {
            self.candidate.message = format!(
                "waiting for the cluster to confirm the traffic: {}",
                self.service.traffic
            );
        }
        self.keep_revisions(&stable);
        Transition::Wait(None)
    }

    /// A template that differs from Git's while Git's is what serves: a revert, whose old
    /// revision serves already, or somebody's hand. What comes of it gets no traffic.
    fn mend_template(&mut self, stable: &str) {
        let attempt = self
            .service
            .stable
            .as_ref()
            .map_or(0, |stable| stable.attempt);
        let mended = self.live.configuration.as_ref().is_some_and(|c| {
            let under_a_new_name = c.written_but_for_name && self.names_itself();
            under_a_new_name
                || (c.template_written && (c.attempt == attempt || self.names_itself()))
        });
        let settled = format!("{stable} serves what Git says");
        if mended {
            self.service.template = TemplateState::Written;
        }
        if mended || self.intent.suspended {
            self.candidate.message = settled;
            return;
        }
        // It was as Git says before: a hand was at it. (After a revert it never was.)
        let leave = self.intent.drift == Drift::Report;
        if self.service.template == TemplateState::Written {
            self.events.push(Event::TemplateDrift { left: leave });
            self.service.template = TemplateState::Left;
        }
        if leave && self.service.template == TemplateState::Left {
            self.candidate.message = format!("{settled}; {TEMPLATE_LEFT}");
            return;
        }
        self.service.template = TemplateState::Unwritten;
        self.candidate.message = format!("{stable} serves what Git says; its template is restored");
        self.template = Some(attempt);
    }

    /// Git's shape, with stable in it.
    fn serve_stable(&mut self, stable: &str) -> bool {
        // Until Git has a word of its own on it.
        if self.service.preserve_adopted_traffic && self.intent.final_traffic.is_empty() {
            return true;
        }
        self.service.preserve_adopted_traffic = false;
        let wanted = self.target_traffic(Split::alone(stable));
        if self.leaves_traffic(&wanted) {
            return true;
        }
        self.want(wanted)
    }

    /// With `drift: Report`, traffic that was as wanted and that a hand changed is left as it
    /// is until Git wants something else. (A Route that is gone serves nobody: it comes back.)
    fn leaves_traffic(&mut self, wanted: &TargetTraffic) -> bool {
        let before = self.service.ignored_traffic_drift.take();
        let Some(route) = &self.live.route else {
            return false;
        };
        if self.intent.drift != Drift::Report || traffic::same(&route.spec, &wanted.targets) {
            return false;
        }
        let text = traffic::describe(&wanted.targets);
        let found = traffic::describe(&route.spec);
        let is_new = before.is_none();
        // Never confirmed, it was not there to be changed.
        let by_hand = self.service.traffic == text && self.service.confirmed_at.is_some();
        if !by_hand || before.is_some_and(|before| before != text) {
            return false;
        }
        if is_new {
            self.events.push(Event::TrafficDrift {
                found,
                wanted: text.clone(),
                left: true,
            });
        }
        self.service.ignored_traffic_drift = Some(text);
        true
    }

    /// What somebody changed by hand and the Delivery wants left so.
    pub fn left_drift(&self) -> Option<String> {
        let mut left = Vec::new();
        if let (Some(wanted), Some(route)) = (&self.service.ignored_traffic_drift, &self.live.route)
        {
            left.push(format!(
                "its traffic was changed by hand to {} and is left so, though {wanted} is wanted",
                traffic::describe(&route.spec)
            ));
        }
        if self.service.template == TemplateState::Left {
            left.push(TEMPLATE_LEFT.to_owned());
        }
        (!left.is_empty()).then(|| left.join("; "))
    }

    /// Git has a template that is neither serving nor kept out.
    fn begin_with_git(&mut self) -> Transition {
        if let Some(message) = self.refused.clone() {
            return self.refuse(message);
        }
        let hash = &self.intent.template_hash;
        let good = self
            .known_good()
            .find(|release| release.template_hash.as_ref() == Some(hash))
            .cloned();
        match good {
            // Known to be good and still there: back at once, with no new canary.
            Some(release) => {
                let reason = match &self.intent.commit {
                    Some(commit) => format!("commit {} goes back to its template", short(commit)),
                    None => "Git goes back to its template".to_owned(),
                };
                self.begin(release.attempt);
                self.candidate.release = Some(release);
                self.promote(Outcome::Reverted, reason)
            }
            None => {
                let attempt = self.last_attempt();
                self.start_release(attempt)
            }
        }
    }

    /// The attempt that Git's template is at, from what is remembered of it.
    pub fn last_attempt(&self) -> u32 {
        let hash = Some(&self.intent.template_hash);
        self.service
            .history
            .iter()
            .filter(|entry: &&HistoryEntry| entry.release.template_hash.as_ref() == hash)
            .map(|entry| entry.release.attempt)
            .max()
            .unwrap_or(0)
    }

    /// The stable revision is gone while nothing is on its way: the best one left takes its
    /// place; without one there is only waiting, and saying so.
    fn restore(&mut self, stable: &str) -> Option<Transition> {
        let cause = self.stable_trouble()?;
        if !self.has_said("Degraded", "StableUnhealthy") {
            self.events.push(Event::StableUnhealthy {
                stable: stable.to_owned(),
                cause: self.with_config_change(cause.clone()),
            });
        }
        // One that is there and not Ready may come right, and an older one may fail in the
        // same way; that is for a person to tell.
        if self.intent.suspended || self.live.revision(stable).is_some() {
            return None;
        }
        if let Some(other) = self.best_left(stable) {
            self.begin(other.attempt);
            self.candidate.release = Some(other);
            return Some(self.promote(Outcome::Restored, cause));
        }
        // Knative makes a Configuration's newest revision again by itself; any other stays
        // away, and then Git's template is all there is.
        let waited = self.stable_unwell_for();
        if waited.is_some_and(|waited| waited >= self.policy.confirm_timeout) && self.is_free() {
            let attempt = self
                .service
                .stable
                .take()
                .map_or(0, |stable| stable.attempt + 1);
            return Some(if self.git_is_quarantined().is_some() {
                Transition::To(Phase::Failed)
            } else {
                self.start_first(if self.names_itself() { 0 } else { attempt })
            });
        }
        self.candidate.message = format!("{cause}; waiting for the cluster to make it again");
        Some(Transition::Wait(Some(self.policy.confirm_timeout)))
    }

    /// Everything of the service was deleted: there is nothing to keep.
    pub fn vanished(&mut self) {
        let ours = |name: &str| name == self.intent.name;
        // A Route with nothing behind it is nothing; it may be our own, written blindly.
        let empty = self.live.configuration.is_none()
            && !self.live.revisions.iter().any(|r| ours(&r.configuration));
        if !empty || self.service.stable.is_none() || self.intent.suspended {
            return;
        }
        self.events.push(Event::Vanished);
        self.service.stable = None;
        self.candidate.release = None;
        self.candidate.pending_outcome = None;
        self.service.traffic.clear();
        self.service.confirmed_at = None;
        let phase = if self.git_is_quarantined().is_some() {
            Phase::Failed
        } else {
            Phase::Pending
        };
        self.enter(phase);
    }

    /// Stable and the last good ones before it stay in the cluster.
    fn keep_revisions(&mut self, stable: &str) {
        let mut wanted: Vec<&str> = vec![stable];
        for release in self.known_good() {
            if let Some(name) = release.revision.as_deref()
                && !wanted.contains(&name)
                && wanted.len() <= ROLLBACK_WINDOW
            {
                wanted.push(name);
            }
        }
        let writes: Vec<Write> = self
            .live
            .revisions
            .iter()
            .filter(|revision| revision.configuration == self.intent.name)
            .filter(|revision| revision.kept != wanted.contains(&revision.name.as_str()))
            .map(|revision| Write::KeepRevision {
                name: revision.name.clone(),
                keep: !revision.kept,
            })
            .collect();
        self.keep = writes;
    }
}
