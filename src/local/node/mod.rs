//! The node: runs every Pod of the cluster as processes of this machine.

pub mod environment;
pub mod images;
pub mod lifecycle;
pub mod logs;
pub mod ports;
pub mod process;
mod protocol;
pub mod runtime;
pub mod shim;
pub mod volumes;
