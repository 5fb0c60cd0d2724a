//! Holds the controllers of the local cluster, which do what Knative Serving and Kubernetes do
//! between a manifest and the Pods that answer it.
//!
//! Each controller is a pure `decide`: an object and what is there for it go in, a
//! [`decision::Decision`] comes out (writes, status, events). One thin loop ([`run`])
//! carries decisions out, over any `kube::Client`. The behaviour, names and words are
//! Knative Serving's; what there is no need for here is left out: no queue-proxy container
//! (the gateway plays it), no ReplicaSets, no certificates.

mod cache;
pub mod conditions;
pub mod config;
pub mod configuration;
pub mod decision;
pub mod deployment;
mod dispatch;
pub mod domains;
mod engine;
mod events;
mod expectations;
pub mod ingress;
pub mod kind;
pub mod labeller;
pub mod object;
pub mod revision;
pub mod revision_children;
pub mod revision_gc;
pub mod rollout;
pub mod route;
mod run;
pub mod service;
pub mod settings;
pub mod traffic;
mod view;

pub use config::{ControllersConfig, ImageRefused, ImageResolver, RevisionGc};
pub use run::run;

#[cfg(test)]
mod stories;
