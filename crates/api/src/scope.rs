//! Which kinds live in a namespace, as far as that is known without asking a cluster.

use super::object::split_api_version;

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
    /// Only the cluster's discovery, or a CustomResourceDefinition, can tell.
    Unknown,
}

impl Scope {
    /// The scope of a kind as every cluster has it; what nobody knows is taken for namespaced. For plans
    /// without a cluster.
    pub fn by_convention(api_version: &str, kind: &str) -> Self {
        let (group, _) = split_api_version(api_version);
        match of(group, kind) {
            Self::Unknown => Self::Namespaced,
            known => known,
        }
    }
}

/// What Kubernetes, Knative Serving and Sluice define themselves.
pub fn of(group: &str, kind: &str) -> Scope {
    let cluster = match group {
        "" => matches!(
            kind,
            "Namespace" | "Node" | "PersistentVolume" | "ComponentStatus"
        ),
        "rbac.authorization.k8s.io" => matches!(kind, "ClusterRole" | "ClusterRoleBinding"),
        "networking.k8s.io" => matches!(kind, "IngressClass" | "IPAddress" | "ServiceCIDR"),
        "storage.k8s.io" => kind != "CSIStorageCapacity",
        "certificates.k8s.io" => kind != "PodCertificateRequest",
        "resource.k8s.io" => matches!(kind, "DeviceClass" | "ResourceSlice"),
        "apiextensions.k8s.io"
        | "apiregistration.k8s.io"
        | "admissionregistration.k8s.io"
        | "scheduling.k8s.io"
        | "node.k8s.io"
        | "flowcontrol.apiserver.k8s.io" => true,
        "networking.internal.knative.dev" => kind == "ClusterDomainClaim",
        "apps"
        | "batch"
        | "autoscaling"
        | "policy"
        | "discovery.k8s.io"
        | "events.k8s.io"
        | "coordination.k8s.io"
        | "serving.knative.dev"
        | "autoscaling.internal.knative.dev"
        | "sluice.dev" => false,
        _ => return Scope::Unknown,
    };
    if cluster {
        Scope::Cluster
    } else {
        Scope::Namespaced
    }
}
