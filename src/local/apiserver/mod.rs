//! The embedded API server: Kubernetes' API with Knative Serving's kinds, in process.
//!
//! One path for every kind. A [`resource::Resource`] says what a kind is, whether it is
//! built in or comes from a CRD, and each request takes the same steps: decode, default,
//! mutate (admission), merge with the live object, prune, validate, managed fields,
//! generation, compare-and-swap in the [`store`], notify. Watches are cursors on the
//! store's ring of events. Nothing in here knows what the objects are for: controllers
//! and the node are clients like any other.

mod addresses;
pub mod admission;
mod apart;
mod behaviour;
mod bootstrap;
pub mod builtin;
mod columns;
mod core;
mod crd;
mod credentials;
mod decode;
mod deletion;
mod discovery;
mod handle;
mod housekeeping;
mod jsonpath;
mod kinds;
pub mod kubeconfig;
mod lifecycle;
pub mod listen;
mod logs;
mod managed;
mod media;
mod metadata;
mod object;
mod openapi;
pub mod patch;
mod patching;
mod path;
mod prepare;
pub mod private;
mod protobuf;
mod query;
mod read;
mod registry;
mod resource;
mod review;
mod rules;
mod scale;
pub mod schema;
mod schemas;
mod selector;
mod server;
pub mod ssa;
pub mod status;
mod store;
mod strict_json;
mod table;
mod user;
mod view;
mod watch;
mod write;

pub use admission::{Admission, Operation, Review};
pub use listen::Listening;
pub use server::{ApiServer, Builder, Outage, StartError};
pub use status::{ApiError, Cause};
pub use user::User;
