//! What agents computed before the canonical form: hashes of the text as Git has it.
//!
//! They are in the statuses and annotations of every cluster that such an agent delivered to.
//! Nothing new is named by them.

use serde_json::Value;

use crate::api::object::TemplateHash;

/// The first hash of a revision template: of its JSON, keys in order.
pub fn template(template: &Value) -> TemplateHash {
    TemplateHash(super::of(template))
}

/// The first digest of an object that holds a template: of all but an earlier digest and the
/// template's attempt number.
pub fn object(object: &Value) -> String {
    super::of(&super::plain(object))
}
