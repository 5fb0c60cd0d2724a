//! Makes plans: what is to be done so that the cluster is as Git says, in which order, and why.
//!
//! Pure: values in, values out; no client, no clock, no logging. What is wanted comes rendered (`render`) and in no
//! other form; this module knows no manifest. The [`Plan`] is
//! an immutable list of steps, each with its reason, and a typed report of what is
//! *not* done and why. What a service's rollout writes when is not decided here:
//! the plan only says that a service changed ([`Action::Release`]).

pub mod canonical;
mod claims;
mod config_changes;
pub mod convert;
pub mod diff;
pub mod digest;
pub mod expand;
pub mod invariants;
mod knative;
mod live;
mod manager;
pub mod mask;
pub mod normalize;
mod order;
mod path;
mod planner;
mod prune;
mod recognise;
mod release;
mod restored;
mod service;
mod spelling;
mod steps;
pub mod takeover;
pub mod template;
#[cfg(test)]
mod tests;

pub use crate::api::annotations;
pub use crate::api::scope::Scope;
pub use annotations::DeliveryId;
pub use claims::Claims;
pub use config_changes::ConfigDiff;
pub use live::{FieldOwner, Live, LiveObject, Operation, is_ours};
pub use manager::Manager;
pub use normalize::{ChangeKind, FieldChange};
pub use order::{rank, stage};
pub use path::{FieldPath, PathStep};
pub use planner::{Input, plan};
pub use recognise::Sight;
pub use restored::restored_template;
pub use service::ServiceIntent;
pub use steps::{Action, Cause, LeftAlone, Plan, ReleaseReason, Settled, Stage, Step, Why};
