//! What a kind's schema does to its objects.

use serde_json::Value;

use super::resource::Resource;
use super::status::Cause;

/// Drops the fields that the kind does not know and tells which.
pub fn prune(_resource: &Resource, _object: &mut Value) -> Vec<String> {
    Vec::new()
}

/// Fills in the kind's defaults.
pub fn default(_resource: &Resource, _object: &mut Value) {}

/// What is wrong with the object.
pub fn validate(_resource: &Resource, _object: &Value) -> Vec<Cause> {
    Vec::new()
}
