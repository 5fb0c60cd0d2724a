//! Holds the embedded cluster: a Kubernetes API server with Knative Serving, a gateway,
//! an autoscaler and a node that runs Pods as processes, all in one process.
//!
//! It is not a second code path for the agent: the agent talks to it through the
//! Kubernetes API exactly as it talks to a production cluster. Nothing of the deployer is in here.

pub mod admission;
pub mod autoscaler;
mod child_name;
pub mod cluster;
pub mod controllers;
pub mod data_dir;
pub mod gateway;
pub mod knative;
pub mod node;
pub mod pod_requests;
pub mod privacy;
pub mod samples;

pub(crate) use sluicegate_api as api;
pub use sluicegate_apiserver as apiserver;
