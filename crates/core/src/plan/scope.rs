//! Where objects of a kind live, for when the cluster cannot be asked.

use crate::api::object::split_api_version;

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
    /// The cluster has no such kind.
    Unknown,
}

impl Scope {
    /// The scope of a kind as every cluster has it: the cluster-scoped built-in
    /// kinds by name, everything else namespaced. For plans without a cluster.
    pub fn by_convention(api_version: &str, kind: &str) -> Self {
        let (group, _) = split_api_version(api_version);
        let cluster = match group {
            "" => matches!(kind, "Namespace" | "Node" | "PersistentVolume"),
            "rbac.authorization.k8s.io" => matches!(kind, "ClusterRole" | "ClusterRoleBinding"),
            "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
            | "admissionregistration.k8s.io"
            | "scheduling.k8s.io"
            | "node.k8s.io"
            | "certificates.k8s.io"
            | "flowcontrol.apiserver.k8s.io" => true,
            "storage.k8s.io" => kind != "CSIStorageCapacity",
            "networking.k8s.io" => matches!(kind, "IngressClass" | "IPAddress" | "ServiceCIDR"),
            "networking.internal.knative.dev" => kind == "ClusterDomainClaim",
            _ => false,
        };
        if cluster {
            Self::Cluster
        } else {
            Self::Namespaced
        }
    }
}
