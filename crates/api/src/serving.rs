//! `serving.knative.dev/v1` as far as we speak it: names, labels and the parts of
//! the objects that decisions are made from.
//!
//! Templates stay JSON values on purpose: what Git says is passed on as it is,
//! fields that we have never heard of included.

use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// The API group.
pub const GROUP: &str = "serving.knative.dev";
/// The API version that every serving object is read and written in.
pub const API_VERSION: &str = "serving.knative.dev/v1";

/// Labels that Knative puts on a Service's children.
pub mod label {
    /// The owning Service.
    pub const SERVICE: &str = "serving.knative.dev/service";
    /// The owning Configuration.
    pub const CONFIGURATION: &str = "serving.knative.dev/configuration";
    /// The Configuration's generation that a Revision was made for.
    pub const CONFIGURATION_GENERATION: &str = "serving.knative.dev/configurationGeneration";
    /// The Revision that a Pod or Deployment belongs to.
    pub const REVISION: &str = "serving.knative.dev/revision";
    /// `pending`, `active` or `reserve`.
    pub const ROUTING_STATE: &str = "serving.knative.dev/routingState";
}

/// Annotations that Knative or a user sets.
pub mod annotation {
    /// Never garbage-collect this Revision.
    pub const NO_GC: &str = "serving.knative.dev/no-gc";
    /// A Route's own, timed rollout.
    pub const ROLLOUT_DURATION: &str = "serving.knative.dev/rollout-duration";
    /// Ours, on a template that is tried again: it makes Knative cut a fresh Revision.
    pub const ATTEMPT: &str = "sluice.dev/attempt";
    /// Ours, on the object whose traffic is rolled back: the hash of the template that must not be exposed
    /// again. It goes out in the same write as the traffic, before anything is remembered elsewhere.
    pub const ROLLED_BACK: &str = "sluice.dev/rolled-back";
}

/// Longest DNS label, and so the longest `TAG-NAME` of a tag's host.
const LONGEST_LABEL: usize = 63;

/// Whether a service has room for the tag: its host `TAG-NAME` must be a DNS label.
pub fn tag_fits(tag: &str, service: &str) -> bool {
    tag.len() + 1 + service.len() <= LONGEST_LABEL
}

/// Says of a service's name that it is too long for any tag, or for one that is free.
pub fn no_room_for_a_tag(service: &str) -> String {
    format!(
        "its name has {} characters, and the host of a tag, TAG-NAME, may have {LONGEST_LABEL} at most",
        service.len()
    )
}

/// One entry of a Route's (or Service's) `spec.traffic` or `status.traffic`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficTarget {
    /// A further host for this target: `TAG-NAME.NAMESPACE.DOMAIN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// A Revision by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_name: Option<String>,
    /// The latest ready Revision of a Configuration (Routes only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_name: Option<String>,
    /// Whether the target follows the latest ready Revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<bool>,
    /// Share of the main host's requests, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i64>,
    /// Where the tag answers (status only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A condition as Knative writes it (no observedGeneration of its own).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KnativeCondition {
    /// `Ready`, `ResourcesAvailable`, ...
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// `Info` for a condition that does not count for `Ready`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// When anything in it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<jiff::Timestamp>,
}

impl KnativeCondition {
    /// Whether it says `True`.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Whether it says `False`.
    pub fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// `Reason: message`, or whichever of them there is.
    pub fn cause(&self) -> String {
        match (self.reason.is_empty(), self.message.is_empty()) {
            (true, true) => "no reason given".to_owned(),
            (true, false) => self.message.clone(),
            (false, true) => self.reason.clone(),
            (false, false) => format!("{}: {}", self.reason, self.message),
        }
    }
}

impl Condition {
    /// Whether the condition says `True`.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }
}
