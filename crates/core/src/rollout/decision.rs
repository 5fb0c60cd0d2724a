//! What comes out of a decision.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::rollout::RolloutStatus;
use crate::api::serving::TrafficTarget;

use super::event::Event;

/// What to do now. The status is stored before anything is written, but where it [may wait](Self::persist_deferred).
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The new status; equal to the old one when nothing changed.
    pub status: RolloutStatus,
    /// The status need not be stored yet: an agent that is killed now and finds the one before it decides the
    /// same again. It will not be so for ever; `wake_after` says how long.
    pub persist_deferred: bool,
    /// What to write, in this order.
    pub writes: Vec<Write>,
    /// What happened, for people.
    pub events: Vec<Event>,
    /// What to find out before the next decision.
    pub gather: Gather,
    /// When to decide again if nothing happens before; `None` at rest.
    pub wake_after: Option<Duration>,
}

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The whole `spec.traffic` of the Route (or of the Service).
    Traffic(Vec<TrafficTarget>),
    /// Git's template, with `sluice.dev/attempt: "N"` among its annotations where N is not 0.
    Template {
        /// The attempt number.
        attempt: u32,
    },
    /// `serving.knative.dev/no-gc` on a Revision: set, or taken away.
    KeepRevision {
        /// The Revision.
        name: String,
        /// Whether it is to be kept.
        keep: bool,
    },
}

/// What to find out before the next decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Gather {
    /// Nothing.
    #[default]
    Nothing,
    /// Ask the tag URL, and stable's in the same way; add to what this revision's last
    /// round showed ([`ProbeRound::add`](crate::analysis::ProbeRound::add)).
    Probes(ProbeTargets),
    /// Read the gateway's counters of both revisions; a change of revision, weight or `since`
    /// starts a new window.
    Metrics {
        /// The candidate.
        candidate: String,
        /// The stable revision.
        stable: String,
        /// The candidate's weight.
        weight: u8,
        /// Since when evidence counts.
        since: Timestamp,
        /// The first part of the window whose answer times do not count.
        warm_up: Duration,
        /// What led here were requests of our own, whose times the gateway may still have to tell.
        ours_before: bool,
        /// Requests of our own as well, for want of users.
        synthetic: Option<ProbeTargets>,
    },
}

/// Where requests of our own go.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeTargets {
    /// The revision that is probed.
    pub revision: String,
    /// Its tag's URL.
    pub candidate_url: String,
    /// The tag URL of stable, where there is one.
    pub stable_url: Option<String>,
    /// How many requests to each.
    pub count: u32,
}
