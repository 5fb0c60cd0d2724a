//! Whole stories on a whole cluster: a push to Git, an agent, real processes, real requests.
//!
//! They speak to the cluster through the Kubernetes API and the gateway only, so that the same
//! stories can be told on another cluster. Most are told in both forms that a Service manifest
//! is delivered in; those of faults and of people in one.

mod adoption;
mod configuration;
mod convert;
mod deleted;
mod drift;
mod faults;
mod first;
mod hidden;
mod house_rules;
mod injected;
mod interval;
mod lifted;
mod newer;
mod people;
mod probes;
mod quiet;
mod refusals;
mod releases;
mod several;
mod spelling;
mod traffic;
mod vanishing;
mod watch;
