//! What decoding into Go's types and encoding again does to a serving object.
//!
//! Knative's webhook answers every write with the difference between the bytes it got and their round
//! trip through its types. That is where `resources: {}`, the empty container name and canonical
//! quantities come from, and why empty optional fields vanish. A field keeps its zero value where Go
//! holds it by pointer (`percent: 0`, `enableServiceLinks: false`) and loses it where it holds it by
//! value. What does not fit is refused in the words of Go's JSON decoder (1.26).

mod container;
mod metadata;
mod pod;
mod round_trip;
mod serving;
#[cfg(test)]
mod tests;
mod types;
mod volume;

use serde_json::Value;

pub(super) use round_trip::zero;
pub(super) use serving::{REVISION_SPEC, REVISION_TEMPLATE_SPEC};
pub(super) use types::{Field, Form, GoStruct, GoType};

/// The type of a kind's objects.
fn of_kind(kind: &str) -> Option<&'static GoStruct> {
    Some(match kind {
        "Service" => &serving::SERVICE,
        "Configuration" => &serving::CONFIGURATION,
        "Revision" => &serving::REVISION,
        "Route" => &serving::ROUTE,
        _ => return None,
    })
}

/// Rewrites metadata and spec of an object as the webhook's types would write them; or says what does
/// not fit.
pub fn round_trip(kind: &str, object: &mut Value) -> Result<(), String> {
    let (Some(of), Value::Object(fields)) = (of_kind(kind), object) else {
        return Ok(());
    };
    let has_metadata = fields.contains_key("metadata");
    let mut part = |key: &str, of| {
        let mut part = Value::Object(fields.remove_entry(key).into_iter().collect());
        round_trip::round_trip(of, &mut part)?;
        if let Value::Object(part) = part {
            fields.extend(part);
        }
        Ok::<(), String>(())
    };
    if has_metadata {
        part("metadata", &metadata::OBJECT)?;
    }
    part("spec", of)
}
