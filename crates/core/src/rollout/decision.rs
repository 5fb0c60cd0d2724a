//! What comes out of a decision.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::min_scale::Raised;
use crate::api::object::TemplateHash;
use crate::api::rollout::{EvidenceLedger, RolloutStatus};
use crate::api::serving::TrafficTarget;

use super::event::Event;

/// Which comes first: the memory, or the write to the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Up is careful: nothing is written before the status that it follows from is stored.
    #[default]
    StatusFirst,
    /// Down is unconditional: the traffic is written first, and whatever becomes of the status. The write itself
    /// carries what it rolls back, so that a crash between the two cannot expose it again.
    TrafficFirst,
}

/// What to do now, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Which comes first.
    pub order: Order,
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
    Traffic {
        /// The targets, adding up to 100 %.
        targets: Vec<TrafficTarget>,
        /// The annotation `sluice.dev/rolled-back`; without one it is taken away.
        rolled_back: Option<TemplateHash>,
        /// What is written at once where the API server refuses that.
        last_resort: Option<Vec<TrafficTarget>>,
    },
    /// The template of this Revision, in place of Git's: Knative accepts it.
    StableTemplate {
        /// The Revision.
        revision: String,
        /// Whether the template names it, so that Knative makes no other; a name may not fit any more what the
        /// cluster's defaults make of the template.
        named: bool,
    },
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
    /// `autoscaling.knative.dev/min-scale` on a Revision, and our note of what it was.
    MinScale {
        /// The Revision.
        revision: String,
        /// What it is to be; without one it is taken away.
        min_scale: Option<String>,
        /// The note; without one it is taken away.
        raised: Option<Raised>,
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
        /// Answer times count from then on.
        warm_until: Option<Timestamp>,
        /// The account of the release up to now.
        remembered: Option<Box<EvidenceLedger>>,
        /// Requests of our own as well, for want of users.
        synthetic: Option<Box<ProbeTargets>>,
    },
}

/// Where requests of our own go.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeTargets {
    /// The revision that is probed.
    pub revision: String,
    /// When its release began: what an earlier one of the same name showed speaks for nothing.
    pub release_since: Option<Timestamp>,
    /// Its tag's URL.
    pub candidate_url: String,
    /// Whether it has no Pod that is Ready, so that the first request waits until there is one.
    pub candidate_sleeps: bool,
    /// The tag URL of stable, where there is one.
    pub stable_url: Option<String>,
    /// The same of stable.
    pub stable_sleeps: bool,
    /// How many requests to each.
    pub count: u32,
}
