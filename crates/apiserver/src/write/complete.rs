//! What the server fills into single built-in kinds, beyond schema and defaults.

use serde_json::{Value, json};

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::strategy::Strategy;
use crate::state::core::Core;
use crate::state::definitions;

/// Fills in what the kind's own code fills in, beyond its schema's defaults.
pub fn complete(core: &Core, resource: &Resource, object: &mut Value, old: Option<&Value>) {
    match resource.strategy {
        Strategy::Pod if old.is_none() => {
            let qos = quality_of_service(object);
            let status = object::child_mut(object, "status");
            object::default_to(status, "phase", "Pending");
            object::default_to(status, "qosClass", qos);
        }
        Strategy::Namespace => {
            if old.is_none() {
                object::child_mut(object, "spec")
                    .insert("finalizers".to_owned(), json!(["kubernetes"]));
            } else if let Some(kept) = old.and_then(|old| object::at(old, "spec")) {
                // Namespaces have no other spec, and only the server finalizes them.
                object::set(object, "spec", kept.clone());
            }
        }
        Strategy::CustomResourceDefinition => definitions::complete(core, object, old),
        _ => {}
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by the containers' requests and limits.
fn quality_of_service(pod: &Value) -> &'static str {
    let containers = object::at(pod, "spec.containers")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let value = |container: &Value, kind: &str, of: &str| {
        object::text_at(container, &format!("resources.{kind}.{of}"))
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers {
        for of in ["cpu", "memory"] {
            let (limit, request) = (
                value(container, "limits", of),
                value(container, "requests", of),
            );
            any |= !limit.is_empty() || !request.is_empty();
            guaranteed &= !limit.is_empty() && (request.is_empty() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
