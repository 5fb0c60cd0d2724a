//! Holds an embedded Kubernetes API server, for Kubernetes' own kinds, for those that are handed in
//! ([`Registration`]) and for those that CustomResourceDefinitions define.
//!
//! One path for every kind. A `Resource` says what a kind is, whether it is
//! built in or comes from a CRD, and each request takes the same steps: decode, default,
//! mutate (admission), merge with the live object, prune, validate, managed fields,
//! generation, compare-and-swap in the store, notify. Watches are cursors on the
//! store's ring of events. Nothing in here knows what the objects are for: controllers
//! and the node are clients like any other.

pub mod builtin;
mod json;
mod model;
pub mod patch;
pub mod private;
mod read;
pub mod schema;
mod server;
pub mod ssa;
mod state;
mod store;
mod wire;
mod write;

pub(crate) use sluicegate_api as api;

pub use model::served_kind::ServedKind;
pub use model::status::{ApiError, Cause};
pub use model::user::User;
pub use server::kubeconfig;
pub use server::listen::Listening;
pub use server::{ApiServer, Builder, Outage, Registration, StartError};
pub use state::admission::{Admission, Operation, Review};
pub use state::pod_logs::{LogError, LogRequest, PodLogs};
