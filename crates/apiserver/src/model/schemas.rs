//! What a kind's schema does to its objects.

use serde_json::Value;

use super::resource::{Origin, Resource};
use super::status::Cause;
use super::strategy::Strategy;
use crate::builtin;
use crate::schema::{FieldError, FieldErrorReason, Schema};

impl Resource {
    /// The schema of the objects as they are stored.
    pub fn schema(&self) -> &Schema {
        let stored = self.storage_api_version.as_str();
        let (group, version) = stored.split_once('/').unwrap_or(("", stored));
        self.schema.get(group, version, &self.kind)
    }

    /// The schema of the objects as this version's clients see them.
    pub fn published_schema(&self) -> Schema {
        match self.origin {
            Origin::Custom => self.schema().clone(),
            Origin::BuiltIn | Origin::HandedIn => {
                self.schema.of(&self.group, &self.version, &self.kind)
            }
        }
    }
}

/// `io.k8s.api.apps.v1.Deployment` for Kubernetes' own kinds, the group's name turned
/// around for others.
pub fn component_name(resource: &Resource) -> String {
    let group = resource.group.as_str();
    let own = resource.is_kubernetes_own();
    if own && group == "apiextensions.k8s.io" {
        return format!(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{}.{}",
            resource.version, resource.kind
        );
    }
    let package = if own {
        let short = group.split('.').next().unwrap_or_default();
        format!(
            "io.k8s.api.{}",
            if short.is_empty() { "core" } else { short }
        )
    } else {
        group.split('.').rev().collect::<Vec<_>>().join(".")
    };
    format!("{package}.{}.{}", resource.version, resource.kind)
}

/// Drops the fields that the kind does not know and tells which.
pub fn prune(resource: &Resource, object: &mut Value) -> Vec<String> {
    let mut unknown = resource.schema().prune(object);
    if !resource.is_kubernetes_own() {
        // The metadata of a custom object is read before the rest.
        unknown.sort_by_key(|path| !path.starts_with("metadata."));
    }
    unknown
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

impl From<FieldError> for Cause {
    fn from(error: FieldError) -> Self {
        Self {
            reason: error.reason.as_str(),
            message: error.message,
            field: error.field,
        }
    }
}

/// What is wrong with the object; of a change, with what changes.
pub fn validate(
    resource: &Resource,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    // Of a definition its own rules say all.
    if resource.strategy == Strategy::CustomResourceDefinition {
        return Vec::new();
    }
    // Metadata has rules of its own.
    let is_own = resource.is_kubernetes_own();
    let is_service = resource.strategy == Strategy::Service;
    let by_schema = |error: &FieldError| {
        let elsewhere = error.field.starts_with("metadata.")
            // A port that is missing is port 0, and told as that.
            || (is_service && error.reason == FieldErrorReason::Required)
            || (is_own && is_let_off(error));
        !elsewhere
    };
    let schema = resource.schema();
    let old = old.filter(|_| !is_own);
    let mut found = match (subresource, object.get("status")) {
        // Of a custom object whose status is written, nothing else is looked at.
        (Some("status"), status) if !is_own => status.map_or(Vec::new(), |status| {
            let old = old.and_then(|old| old.get("status"));
            schema.validate_field("status", status, old)
        }),
        _ => schema.validate(object, old),
    };
    found.retain(by_schema);
    // Lists of Kubernetes' own kinds may hold an item twice, and those of objects that had one.
    let had_twice = || old.is_some_and(|old| !duplicates(schema, old).is_empty());
    if !is_own {
        found.extend(schema.embedded_faults(object));
        let twice = duplicates(schema, object);
        if !twice.is_empty() && !had_twice() {
            found.extend(twice);
        }
    }
    found.into_iter().map(Cause::from).collect()
}

fn duplicates(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut found = schema.duplicates(object);
    found.retain(|error| !error.field.starts_with("metadata."));
    found
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
