//! Sluice delivers Knative Services from Git, a few percent of traffic at a time,
//! and rolls a bad release back by itself.
//!
//! One binary, two halves that meet only at the Kubernetes API: the **deployer**
//! (Git to plan to server-side apply to rollout) and the **local cluster** (an
//! embedded Kubernetes API server with Knative Serving, a gateway and a node).
//! `docs/architecture.md` names the modules, the ways through them, and the invariants.

pub mod agent;
pub mod backoff;
pub mod cli;
pub mod cluster;
pub mod evidence;
pub mod git;
pub mod presets;

pub use sluicegate_api as api;
pub use sluicegate_core::{analysis, manifest, plan, policy, render, rollout};
#[cfg(feature = "local")]
pub use sluicegate_local as local;
