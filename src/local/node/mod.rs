//! The node: runs every Pod of the cluster as processes of this machine.

pub mod images;
pub mod process;
mod protocol;
pub mod runtime;
pub mod shim;
