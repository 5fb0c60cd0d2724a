//! Reads and writes what goes over the wire: paths, queries, media types, tables, and objects as the clients
//! of their versions see them.

pub mod media;
pub mod patch_type;
pub mod path;
pub mod protobuf;
pub mod query;
pub mod table;
pub mod view;
