//! What goes over the wire: paths, queries, media types, tables, and objects as their versions' clients see them.

pub mod media;
pub mod patch_type;
pub mod path;
pub mod protobuf;
pub mod query;
pub mod table;
pub mod view;
