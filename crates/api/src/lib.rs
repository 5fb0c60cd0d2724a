//! Holds the types on the wire: Sluice's own kinds (`sluice.dev/v1alpha1`) and
//! `serving.knative.dev` as far as Sluice speaks it.
//!
//! Shapes, parsing and names only; what is decided with them is decided in the
//! packages that use this one. No I/O and no Kubernetes client.
#![deny(missing_docs)]

pub mod annotations;
pub mod condition;
pub mod crds;
pub mod delivery;
pub mod dns_names;
pub mod duration;
pub mod inventory;
pub mod json_text;
pub mod object;
pub mod probe;
pub mod quantity;
pub mod rollout;
pub mod rollout_policy;
pub mod scope;
pub mod serving;

/// The API group of Sluice's own kinds.
pub const GROUP: &str = "sluice.dev";
/// The version of Sluice's own kinds.
pub const VERSION: &str = "v1alpha1";
