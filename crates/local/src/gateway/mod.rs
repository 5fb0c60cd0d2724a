//! Holds the gateway, which every user's request to the local cluster goes through.
//!
//! ```text
//!  client ── server ── proxy ──(table: host, path -> split -> revision)
//!                        │
//!                     backend: a slot at an instance, or a wait in the queue
//!                        │
//!                     h1 / h2 ── instance
//! ```
//!
//! It routes by what Knative's Ingress objects say, splits by percent, holds requests
//! while a revision starts, and counts for each revision what became of them. The
//! autoscaler is told through [`load_tracker::LoadTracker`]; the control side (Ingress, Revision
//! and Pod watches) only builds values that the data side loads.

pub mod admin;
pub mod backend;
pub mod config_snapshot;
pub mod control;
pub mod ending;
pub mod h1;
pub mod h2;
pub mod headers;
pub mod ingress;
pub mod instance;
pub mod keep_alive;
pub mod load_tracker;
pub mod metrics;
pub mod pool;
pub mod proxy;
pub mod refuse;
pub mod repeat;
pub mod request_body;
pub mod request_guard;
pub mod response_body;
pub mod server;
pub mod split;
pub mod start;
pub mod status;
pub mod table;
pub mod tunnel;
pub mod wire;

pub use start::{Gateway, GatewayConfig};

#[cfg(test)]
mod data_plane_tests;
#[cfg(test)]
mod drops_tests;
#[cfg(test)]
mod hard_cases_tests;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod test_bench;
