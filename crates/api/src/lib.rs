//! The types on the wire: our own kinds (`sluice.dev/v1alpha1`) and
//! `serving.knative.dev` as far as we speak it.
//!
//! Only shapes, parsing and names live here; what is decided with them lives in
//! the rooms that use them.
#![deny(missing_docs)]

pub mod condition;
pub mod crds;
pub mod delivery;
pub mod dns_names;
pub mod duration;
pub mod json_text;
pub mod object;
pub mod quantity;
pub mod rollout;
pub mod rollout_policy;
pub mod serving;

/// The API group of Sluice's own kinds.
pub const GROUP: &str = "sluice.dev";
/// The version of Sluice's own kinds.
pub const VERSION: &str = "v1alpha1";
