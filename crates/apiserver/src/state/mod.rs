//! Holds what all requests share: the server's state, its admission hooks, and the kinds that stored
//! CustomResourceDefinitions define.

pub mod admission;
pub mod core;
pub mod definitions;
pub mod pod_logs;
