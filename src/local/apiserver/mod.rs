//! (room to be filled)

pub mod builtin;
pub mod patch;
pub mod schema;
pub mod ssa;
