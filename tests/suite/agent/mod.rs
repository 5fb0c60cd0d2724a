//! The agent's loops: Deliveries, sources and services, whatever happens to them. Most of it
//! on the embedded API server with nothing that runs Pods; what needs users, on a whole cluster.

mod credentials;
mod deliveries;
mod fixture;
mod forge;
mod handover;
mod kinds;
mod leadership;
mod many;
mod pages;
mod sources;
