//! Which kinds live in a namespace, as far as that is known without asking a cluster.

use crate::api::object::ObjectKey;

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
    /// Only the cluster's discovery, or a CRD beside it, can tell.
    Unknown,
}

/// What Kubernetes, Knative Serving and Sluice define themselves.
pub(super) fn of(key: &ObjectKey) -> Scope {
    let kind = key.kind.as_str();
    let cluster = match key.group.as_str() {
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
