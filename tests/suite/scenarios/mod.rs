//! Whole stories on a whole cluster: a push to Git, an agent, real processes, real requests.
//!
//! They speak to the cluster through the Kubernetes API and the gateway only, so that the same
//! stories can be told on another cluster.

mod faults;
mod interval;
mod people;
mod releases;
