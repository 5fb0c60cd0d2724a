//! Holds what the server serves: the kinds, what is particular to each, and the errors that name them.

pub mod columns;
pub mod kinds;
pub mod names;
pub mod registry;
pub mod resource;
pub mod schemas;
pub mod served_kind;
pub mod status;
pub mod strategy;
pub mod user;
