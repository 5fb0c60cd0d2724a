//! What a kind's schema does to its objects.

use std::sync::OnceLock;

use serde_json::Value;

use super::behaviour::Behaviour;
use super::builtin;
use super::resource::{Origin, Resource};
use super::schema::{FieldError, FieldErrorReason, Schema};
use super::status::Cause;

/// A kind's schema; those of built-in kinds are made when they are first asked for.
#[derive(Debug, Clone, Default)]
pub struct SchemaCell(OnceLock<Schema>);

impl From<Schema> for SchemaCell {
    fn from(schema: Schema) -> Self {
        Self(OnceLock::from(schema))
    }
}

impl Resource {
    /// The schema of the objects as they are stored.
    pub fn schema(&self) -> &Schema {
        self.schema.0.get_or_init(|| {
            let stored = self.storage_api_version.as_str();
            let (group, version) = stored.split_once('/').unwrap_or(("", stored));
            builtin::schema(group, version, &self.kind).unwrap_or_else(Schema::untyped)
        })
    }

    /// The schema of the objects as this version's clients see them.
    pub fn published_schema(&self) -> Schema {
        match self.origin {
            Origin::Custom => self.schema().clone(),
            Origin::BuiltIn => builtin::schema(&self.group, &self.version, &self.kind)
                .unwrap_or_else(Schema::untyped),
        }
    }
}

/// Drops the fields that the kind does not know and tells which.
pub fn prune(resource: &Resource, object: &mut Value) -> Vec<String> {
    resource.schema().prune(object)
}

/// Drops what is null and may not be.
pub fn drop_nulls(resource: &Resource, object: &mut Value) {
    resource.schema().drop_nulls(object);
}

/// Fills in the kind's defaults.
pub fn default(resource: &Resource, object: &mut Value) {
    resource.schema().default(object);
    if resource.origin == Origin::BuiltIn {
        let stored = resource.storage_api_version.as_str();
        let (group, _) = stored.split_once('/').unwrap_or(("", stored));
        builtin::default(group, &resource.kind, object);
    }
}

/// What is wrong with the object.
pub fn validate(resource: &Resource, subresource: Option<&str>, object: &Value) -> Vec<Cause> {
    // Metadata has rules of its own, and lists of Kubernetes' own kinds may hold an item twice.
    let is_own = resource.is_kubernetes_own();
    let is_service = resource.behaviour == Behaviour::Service;
    let by_schema = |error: &FieldError| {
        let elsewhere = error.field.starts_with("metadata.")
            // A port that is missing is port 0, and told as that.
            || (is_service && error.reason == FieldErrorReason::Required)
            || (is_own && is_let_off(error));
        !elsewhere
    };
    let found = match (subresource, object.get("status")) {
        // Of a custom object whose status is written, nothing else is looked at.
        (Some("status"), status) if !resource.is_kubernetes_own() => status
            .map_or(Vec::new(), |status| {
                resource.schema().validate_field("status", status)
            }),
        _ => resource.schema().validate(object),
    };
    found
        .into_iter()
        .filter(by_schema)
        .map(|error| Cause {
            reason: error.reason.as_str(),
            message: error.message,
            field: error.field,
        })
        .collect()
}

/// What the types of Kubernetes' own kinds say and nobody holds them to: types were read already,
/// and a secret to pull images with need not have a name.
fn is_let_off(error: &FieldError) -> bool {
    let is_secret = || error.field.contains("imagePullSecrets[") && error.field.ends_with("].name");
    // What is missing of these is told as what is empty.
    let is_empty = || {
        ["hostAliases[", "topologySpreadConstraints["]
            .iter()
            .any(|list| error.field.contains(list))
    };
    match error.reason {
        FieldErrorReason::TypeInvalid | FieldErrorReason::Duplicate => true,
        FieldErrorReason::Required => is_secret() || is_empty(),
        _ => false,
    }
}
