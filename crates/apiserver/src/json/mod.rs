//! Holds what is done with plain JSON: reading it strictly, the parts of objects, paths into them, and
//! how Go prints its values.

pub mod go_words;
pub mod jsonpath;
pub mod object;
pub mod strict_json;
