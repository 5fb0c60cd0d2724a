//! The order in which objects are safe to write.

use crate::api::object::ObjectKey;
use crate::api::serving;

use super::steps::Stage;

/// When objects of a kind are written.
pub fn stage(key: &ObjectKey) -> Stage {
    match (key.group.as_str(), key.kind.as_str()) {
        ("", "Namespace") => Stage::Namespaces,
        ("apiextensions.k8s.io", _) => Stage::Definitions,
        ("rbac.authorization.k8s.io", _) | ("", "ServiceAccount") => Stage::Access,
        ("scheduling.k8s.io" | "storage.k8s.io" | "node.k8s.io", _)
        | (
            "",
            "Secret" | "ConfigMap" | "PersistentVolume" | "PersistentVolumeClaim" | "LimitRange"
            | "ResourceQuota",
        )
        // A service's policy is read when the service is released.
        | (crate::api::GROUP, "RolloutPolicy") => Stage::Inputs,
        (serving::GROUP, "Service" | "Configuration" | "Route") => Stage::Services,
        ("admissionregistration.k8s.io", _) => Stage::Admission,
        _ => Stage::Objects,
    }
}

/// Within a stage: roles before their bindings, Configurations before the Routes to
/// them, then by name so that a plan always reads the same.
pub fn rank(key: &ObjectKey) -> u8 {
    match key.kind.as_str() {
        "ServiceAccount" | "Role" | "ClusterRole" | "Configuration" => 0,
        "RoleBinding" | "ClusterRoleBinding" | "Route" => 1,
        _ => 0,
    }
}
