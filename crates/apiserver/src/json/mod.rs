//! Plain JSON: the parts of objects, paths into them, strict reading, and Go's words for its values.

pub mod go_words;
pub mod jsonpath;
pub mod object;
pub mod strict_json;
