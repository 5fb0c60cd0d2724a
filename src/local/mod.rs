//! The embedded cluster: a Kubernetes API server with Knative Serving, a gateway,
//! an autoscaler and a node that runs Pods as processes, all in one process.
//!
//! It is not a second code path for the agent: the agent talks to it through the
//! Kubernetes API exactly as it talks to a production cluster. Nothing in here
//! may use the agent's rooms.

pub mod admission;
pub mod apiserver;
pub mod autoscaler;
pub mod cluster;
pub mod controllers;
pub mod data_dir;
pub mod gateway;
mod go_words;
pub mod node;
pub mod place;
pub mod pod_logs;
pub mod pod_requests;
pub mod privacy;
pub mod samples;
