//! Who set which field: `metadata.managedFields`.

use serde_json::Value;

use super::write::Call;

/// Records that the caller set what differs from the live object.
pub fn update(_call: &Call<'_>, _old: Option<&Value>, _object: &mut Value) {}
