//! x
pub mod child_name;
