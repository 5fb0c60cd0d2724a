//! What is particular to single built-in kinds.

use serde_json::Value;

use super::core::Core;
use super::resource::Resource;
use super::status::Cause;

/// The kinds that need more than the one path for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing is particular.
    Plain,
    /// Graceful deletion, `/log`, defaults.
    Pod,
    /// `spec.finalizers`, termination.
    Namespace,
    /// `stringData`.
    Secret,
    /// Cluster IPs.
    Service,
    /// Defaults, `/scale`.
    Deployment,
    /// Stored once, seen through `v1` and `events.k8s.io/v1`.
    Event,
    /// Makes further kinds.
    CustomResourceDefinition,
    /// Answered, never stored.
    Review,
}

/// Fills in what the kind's own code fills in, beyond its schema.
pub fn default(_core: &Core, _resource: &Resource, _object: &mut Value, _old: Option<&Value>) {}

/// What is wrong by the kind's own rules, beyond its schema.
pub fn validate(
    _core: &Core,
    _resource: &Resource,
    _object: &Value,
    _old: Option<&Value>,
) -> Vec<Cause> {
    Vec::new()
}
