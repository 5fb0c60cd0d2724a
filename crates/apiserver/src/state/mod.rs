//! What all requests share: the server's state, its admission hooks, and what stored definitions define.

pub mod admission;
pub mod core;
pub mod definitions;
pub mod pod_logs;
