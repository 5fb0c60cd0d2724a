//! The part of a ServiceRollout's status that is about a revision after its promotion.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rollout::Release;

/// What is known of the stable revision while it is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// What was stable before it, and is again after a fault: tagged, warm and kept from garbage collection until then.
    pub previous: Release,
    /// When its promotion was confirmed.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// When it has been watched for long enough; later where the cluster could not be watched all the time.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// A fault that is not rolled back, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<WatchHold>,
}

/// A fault of a watched revision that is not rolled back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchHold {
    /// Why not.
    pub reason: WatchHoldReason,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// The fault, and why it is not rolled back, in words.
    pub message: String,
}

/// Why a fault of a watched revision is not rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WatchHoldReason {
    /// The previous revision fails as well.
    SharedFault,
    /// The previous revision is gone or not Ready.
    PreviousUnusable,
}

impl std::fmt::Display for WatchHoldReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}
