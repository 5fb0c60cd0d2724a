//! What is particular to single built-in kinds, beyond schema and defaults.

/// The kinds that need more than the one path for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Nothing is particular.
    Plain,
    /// Graceful deletion, `/log`, an immutable spec.
    Pod,
    /// `spec.finalizers`, termination.
    Namespace,
    /// Immutable type.
    Secret,
    /// Cluster IPs.
    Service,
    /// Selector and template belong together.
    Deployment,
    /// Stored once, seen through `v1` and `events.k8s.io/v1`.
    Event,
    /// Makes further kinds.
    CustomResourceDefinition,
    /// Answered, never stored.
    Review,
}
