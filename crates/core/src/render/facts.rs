//! What rendering asks of a cluster, and nothing else: the rest of what is live belongs to the plan.

use crate::api::object::ObjectKey;
use crate::api::scope::Scope;

/// What a cluster knows that a manifest does not say.
pub trait ClusterFacts {
    /// Whether objects of a kind live in namespaces; `Unknown` where the cluster has no such kind.
    fn scope_of(&self, api_version: &str, kind: &str) -> Scope;

    /// Whether the cluster has this very object: one of the same name may be another one.
    fn has(&self, key: &ObjectKey, uid: &str) -> bool;
}

/// No cluster, as for `sluice validate`: kinds are what they are everywhere, and what only a cluster can deny is taken
/// for true.
#[derive(Clone, Copy, Debug)]
pub struct NoCluster;

impl ClusterFacts for NoCluster {
    fn scope_of(&self, api_version: &str, kind: &str) -> Scope {
        Scope::by_convention(api_version, kind)
    }

    fn has(&self, _: &ObjectKey, _: &str) -> bool {
        true
    }
}
