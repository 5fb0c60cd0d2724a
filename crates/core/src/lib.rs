//! Holds everything that decides how Sluice delivers, as pure functions from values to values.
//!
//! Files become objects (`manifest`), objects become what is wanted (`render`), that and what is live become a plan
//! (`plan`), what was seen of a candidate becomes a verdict (`analysis`), and a verdict becomes the next step of a
//! release (`rollout`), by the terms of a policy (`policy`). There is no client, no runtime and no
//! `tracing` among the dependencies of this package, and the time is an argument.

#![deny(missing_docs)]

pub(crate) use sluicegate_api as api;

pub mod analysis;
pub mod manifest;
pub mod plan;
pub mod policy;
pub mod render;
pub mod rollout;
