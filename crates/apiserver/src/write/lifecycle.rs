//! Where objects may come to be, and when they may go.

use std::sync::Arc;

use serde_json::Value;

use super::write_request::WriteRequest;
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::model::strategy::Strategy;
use crate::state::core::Core;
use crate::state::definitions;
use crate::store::Key;

/// Refuses new objects in namespaces that are not there or are going.
pub fn admit_into_namespace(call: &WriteRequest<'_>, name: &str) -> Result<(), ApiError> {
    if !call.resource.namespaced {
        return Ok(());
    }
    let namespace = call.namespace.as_str();
    let found = call.core.store.get(&Key {
        storage: "namespaces".to_owned(),
        namespace: String::new(),
        name: namespace.to_owned(),
    });
    match found {
        None => {
            let mut error = ApiError::new(
                404,
                "NotFound",
                format!("namespaces \"{namespace}\" not found"),
            );
            error.details.name = namespace.to_owned();
            error.details.kind = "namespaces".to_owned();
            Err(error)
        }
        Some(found) if found.terminating => {
            let mut error = ApiError::forbidden(
                call.resource,
                name,
                &format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                ),
            );
            error.details.causes.push(Cause {
                reason: "NamespaceTerminating",
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            });
            Err(error)
        }
        Some(_) => Ok(()),
    }
}

/// Whether an object whose deletion was asked for has nothing left to wait for.
pub fn may_go(resource: &Resource, object: &Value) -> bool {
    object::is_terminating(object)
        && object::finalizers(object).is_empty()
        && match resource.strategy {
            // A Pod with time left goes when its node says so, by a delete without grace.
            Strategy::Pod => {
                object::meta(object, "deletionGracePeriodSeconds")
                    .and_then(Value::as_i64)
                    .unwrap_or(0)
                    == 0
            }
            Strategy::Namespace => {
                object::strings(object::at(object, "spec.finalizers")).is_empty()
            }
            _ => true,
        }
}

/// What has to be true before a write is answered: kinds that it defined are served.
pub fn after_write(core: &Arc<Core>, resource: &Resource) {
    if resource.strategy == Strategy::CustomResourceDefinition {
        definitions::serve_defined(core);
    }
}
