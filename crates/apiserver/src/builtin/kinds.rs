//! The schemas of Kubernetes' own kinds, served or not; which are served is in `model/kinds.rs`.

use std::sync::OnceLock;

use k8s_openapi::api::{
    admissionregistration::v1 as admissionregistration, apps::v1 as apps,
    authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as autoscaling_v1, autoscaling::v2 as autoscaling, batch::v1 as batch,
    coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
    events::v1 as events, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
    scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::merge_keys::TABLE;
use crate::schema::{Definitions, STRUCT, Schema, from_schemars, mark};

/// Each kind with its type, and a place for its schema.
macro_rules! kinds {
    ($($group:literal $version:literal { $($kind:ident: $type:ty),* $(,)? })*) => {
        /// The schema of one of Kubernetes' own kinds; `None` where it is not one.
        #[must_use]
        pub fn schema(group: &str, version: &str, kind: &str) -> Option<Schema> {
            $($(
                if group == $group && version == $version && kind == stringify!($kind) {
                    static SCHEMA: OnceLock<Schema> = OnceLock::new();
                    let build = || build::<$type>($group, $version, stringify!($kind));
                    return Some(SCHEMA.get_or_init(build).clone());
                }
            )*)*
            None
        }

        /// Every built-in kind: group, version, kind.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str, &str)] = &[
            $($(($group, $version, stringify!($kind)),)*)*
        ];
    };
}

kinds! {
    "" "v1" {
        ConfigMap: core::ConfigMap,
        Endpoints: core::Endpoints,
        Event: core::Event,
        LimitRange: core::LimitRange,
        Namespace: core::Namespace,
        Node: core::Node,
        PersistentVolume: core::PersistentVolume,
        PersistentVolumeClaim: core::PersistentVolumeClaim,
        Pod: core::Pod,
        PodTemplate: core::PodTemplate,
        ReplicationController: core::ReplicationController,
        ResourceQuota: core::ResourceQuota,
        Secret: core::Secret,
        Service: core::Service,
        ServiceAccount: core::ServiceAccount,
    }
    "apps" "v1" {
        ControllerRevision: apps::ControllerRevision,
        DaemonSet: apps::DaemonSet,
        Deployment: apps::Deployment,
        ReplicaSet: apps::ReplicaSet,
        StatefulSet: apps::StatefulSet,
    }
    "batch" "v1" { CronJob: batch::CronJob, Job: batch::Job }
    "events.k8s.io" "v1" { Event: events::Event }
    "coordination.k8s.io" "v1" { Lease: coordination::Lease }
    "discovery.k8s.io" "v1" { EndpointSlice: discovery::EndpointSlice }
    "networking.k8s.io" "v1" {
        Ingress: networking::Ingress,
        IngressClass: networking::IngressClass,
        NetworkPolicy: networking::NetworkPolicy,
    }
    "rbac.authorization.k8s.io" "v1" {
        ClusterRole: rbac::ClusterRole,
        ClusterRoleBinding: rbac::ClusterRoleBinding,
        Role: rbac::Role,
        RoleBinding: rbac::RoleBinding,
    }
    "autoscaling" "v1" { Scale: autoscaling_v1::Scale }
    "autoscaling" "v2" { HorizontalPodAutoscaler: autoscaling::HorizontalPodAutoscaler }
    "policy" "v1" {
        Eviction: policy::Eviction,
        PodDisruptionBudget: policy::PodDisruptionBudget,
    }
    "scheduling.k8s.io" "v1" { PriorityClass: scheduling::PriorityClass }
    "storage.k8s.io" "v1" { StorageClass: storage::StorageClass }
    "authentication.k8s.io" "v1" {
        SelfSubjectReview: authentication::SelfSubjectReview,
        TokenRequest: authentication::TokenRequest,
        TokenReview: authentication::TokenReview,
    }
    "authorization.k8s.io" "v1" {
        LocalSubjectAccessReview: authorization::LocalSubjectAccessReview,
        SelfSubjectAccessReview: authorization::SelfSubjectAccessReview,
        SelfSubjectRulesReview: authorization::SelfSubjectRulesReview,
        SubjectAccessReview: authorization::SubjectAccessReview,
    }
    "admissionregistration.k8s.io" "v1" {
        MutatingWebhookConfiguration: admissionregistration::MutatingWebhookConfiguration,
        ValidatingWebhookConfiguration: admissionregistration::ValidatingWebhookConfiguration,
    }
    "apiextensions.k8s.io" "v1" {
        CustomResourceDefinition: apiextensions::CustomResourceDefinition,
    }
}

fn build<T: JsonSchema>(group: &str, version: &str, kind: &str) -> Schema {
    let mut definitions = definitions::<T>();
    let name = T::schema_name();
    if let Some(Value::Object(root)) = definitions.get_mut(name.as_ref()) {
        root.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!([{"group": group, "version": version, "kind": kind}]),
        );
    }
    Schema::from_definitions(&name, definitions)
}

/// A type's definitions with Kubernetes' marks on them.
pub fn definitions<T: JsonSchema>() -> Definitions {
    let mut definitions = from_schemars(schemars::schema_for!(T));
    for (name, definition) in &mut definitions {
        correct(name, definition);
    }
    mark(&mut definitions, TABLE);
    definitions
}

/// Where the generated types say more, or something else, than the API server holds.
fn correct(name: &str, definition: &mut Value) {
    let Value::Object(definition) = definition else {
        return;
    };
    // Metadata is checked by itself, and is there whenever there is an object.
    if let Some(Value::Array(required)) = definition.get_mut("required") {
        required.retain(|name| name != "metadata");
    }
    // A list that must be there is always written by Go, if empty: nobody owns it as such.
    if let Some(required) = definition.get("required").cloned()
        && let Some(Value::Object(properties)) = definition.get_mut("properties")
    {
        for name in required.as_array().into_iter().flatten() {
            if let Some(Value::Object(property)) = name.as_str().and_then(|n| properties.get_mut(n))
                && property.get("type") == Some(&json!("array"))
            {
                property.insert(STRUCT.to_owned(), Value::Bool(true));
            }
        }
    }
    let short = name.rsplit('.').next().unwrap_or_default();
    match short {
        // Any JSON at all; the generator says "object" or one of several.
        "JSON"
        | "JSONSchemaPropsOrArray"
        | "JSONSchemaPropsOrBool"
        | "JSONSchemaPropsOrStringArray" => {
            definition.retain(|key, _| key == "description");
            definition.insert(
                "x-kubernetes-preserve-unknown-fields".to_owned(),
                Value::Bool(true),
            );
        }
        // Filled in by defaulting.
        "RoleRef" => {
            definition.insert("required".to_owned(), json!(["kind", "name"]));
        }
        // Go's "always written" is not "must be given": status comes from our own
        // controllers, in pieces.
        _ if [
            "Status",
            "Condition",
            "SystemInfo",
            "DaemonEndpoint",
            "ContainerState",
            "ContainerImage",
            "AttachedVolume",
            "ManagedFieldsEntry",
        ]
        .iter()
        .any(|part| short.contains(part)) =>
        {
            definition.remove("required");
        }
        _ => {}
    }
}
