//! The schemas of the kinds that we know: Knative Serving's, our own, and Kubernetes' most
//! used ones. Made from the types themselves, once, when first needed.

use std::collections::HashMap;
use std::sync::LazyLock;

use k8s_openapi::api::{apps, autoscaling, batch, core, networking, policy, rbac};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::CustomResourceExt;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};

use super::node::Node;
use super::schema::{Schema, UnknownFields};
use super::yaml::Wrong;
use crate::api::delivery::Delivery;
use crate::api::rollout_policy::RolloutPolicy;
use crate::api::serving;

/// What is wrong in a document, as far as its kind is known; its metadata is always checked.
pub(super) fn check(api_version: &str, kind: &str, document: &Node) -> Vec<Wrong> {
    if let Some(schema) = SCHEMAS.get(&(api_version, kind)) {
        return schema.check(document, "");
    }
    match document.get("metadata") {
        Some(metadata) => METADATA.check(metadata, "metadata"),
        None => Vec::new(),
    }
}

static METADATA: LazyLock<Schema> = LazyLock::new(|| {
    let mut types = generator();
    let root = types.subschema_for::<ObjectMeta>().to_value();
    let definitions = definitions(types);
    Schema {
        root,
        definitions,
        unknown: UnknownFields::Refused,
    }
});

static SCHEMAS: LazyLock<HashMap<(&str, &str), Schema>> = LazyLock::new(|| {
    let mut schemas = HashMap::new();
    for (kind, root, definitions) in knative() {
        schemas.insert(
            (serving::API_VERSION, kind),
            Schema {
                root,
                definitions,
                unknown: UnknownFields::Refused,
            },
        );
    }
    for (kind, crd) in [
        ("Delivery", Delivery::crd()),
        ("RolloutPolicy", RolloutPolicy::crd()),
    ] {
        let crd = serde_json::to_value(crd).unwrap_or_default();
        let mut root = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .cloned()
            .unwrap_or_default();
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("apiVersion".into(), json!({"type": "string"}));
            properties.insert("kind".into(), json!({"type": "string"}));
            properties.insert("metadata".into(), json!({"$ref": META}));
        }
        let mut types = generator();
        types.subschema_for::<ObjectMeta>();
        schemas.insert(
            ("sluice.dev/v1alpha1", kind),
            Schema {
                root,
                definitions: definitions(types),
                unknown: UnknownFields::Refused,
            },
        );
    }
    macro_rules! kubernetes {
        ($($api_version:literal $kind:literal $type:ty),* $(,)?) => {$(
            let mut types = generator();
            let root = types.subschema_for::<$type>().to_value();
            schemas.insert(($api_version, $kind), Schema {
                root,
                definitions: definitions(types),
                unknown: UnknownFields::Typos,
            });
        )*};
    }
    kubernetes![
        "v1" "ConfigMap" core::v1::ConfigMap,
        "v1" "Secret" core::v1::Secret,
        "v1" "Service" core::v1::Service,
        "v1" "ServiceAccount" core::v1::ServiceAccount,
        "v1" "Namespace" core::v1::Namespace,
        "v1" "PersistentVolumeClaim" core::v1::PersistentVolumeClaim,
        "apps/v1" "Deployment" apps::v1::Deployment,
        "apps/v1" "StatefulSet" apps::v1::StatefulSet,
        "apps/v1" "DaemonSet" apps::v1::DaemonSet,
        "batch/v1" "Job" batch::v1::Job,
        "batch/v1" "CronJob" batch::v1::CronJob,
        "autoscaling/v2" "HorizontalPodAutoscaler" autoscaling::v2::HorizontalPodAutoscaler,
        "networking.k8s.io/v1" "Ingress" networking::v1::Ingress,
        "networking.k8s.io/v1" "NetworkPolicy" networking::v1::NetworkPolicy,
        "policy/v1" "PodDisruptionBudget" policy::v1::PodDisruptionBudget,
        "rbac.authorization.k8s.io/v1" "Role" rbac::v1::Role,
        "rbac.authorization.k8s.io/v1" "RoleBinding" rbac::v1::RoleBinding,
        "rbac.authorization.k8s.io/v1" "ClusterRole" rbac::v1::ClusterRole,
        "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" rbac::v1::ClusterRoleBinding,
    ];
    schemas
});

const META: &str = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const POD_SPEC: &str = "io.k8s.api.core.v1.PodSpec";

/// `serving.knative.dev/v1` Service, Configuration and Route. A revision's spec is a PodSpec
/// with four fields more (`pkg/apis/serving/v1/revision_types.go`).
fn knative() -> [(&'static str, Value, Value); 3] {
    let mut types = generator();
    types.subschema_for::<ObjectMeta>();
    types.subschema_for::<core::v1::PodSpec>();
    let mut definitions = definitions(types);
    let mut revision = definitions.get(POD_SPEC).cloned().unwrap_or_default();
    if let Some(properties) = revision
        .get_mut("properties")
        .and_then(Value::as_object_mut)
    {
        for name in [
            "containerConcurrency",
            "timeoutSeconds",
            "responseStartTimeoutSeconds",
            "idleTimeoutSeconds",
        ] {
            properties.insert(name.into(), json!({"type": "integer", "minimum": 0}));
        }
    }
    if let Some(revision) = revision.as_object_mut() {
        revision.insert("required".into(), json!(["containers"]));
    }
    let target = json!({"type": "object", "properties": {
        "tag": {"type": "string"},
        "revisionName": {"type": "string"},
        "configurationName": {"type": "string"},
        "latestRevision": {"type": "boolean"},
        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "url": {"type": "string"},
    }});
    if let Some(definitions) = definitions.as_object_mut() {
        definitions.insert("revision".into(), revision);
        definitions.insert("target".into(), target);
    }
    let template = json!({"type": "object", "required": ["spec"], "properties": {
        "metadata": {"$ref": META},
        "spec": {"$ref": "#/$defs/revision"},
    }});
    let traffic = json!({"type": "array", "items": {"$ref": "#/$defs/target"}});
    let object = |spec: Value| {
        json!({"type": "object", "required": ["spec"], "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": META},
            "spec": spec,
            "status": {},
        }})
    };
    let service = object(json!({"type": "object", "required": ["template"],
        "properties": {"template": template, "traffic": traffic}}));
    let configuration = object(json!({"type": "object", "required": ["template"],
        "properties": {"template": template}}));
    let route = object(json!({"type": "object", "properties": {"traffic": traffic}}));
    [
        ("Service", service, definitions.clone()),
        ("Configuration", configuration, definitions.clone()),
        ("Route", route, definitions),
    ]
}

fn generator() -> SchemaGenerator {
    SchemaGenerator::new(SchemaSettings::draft2020_12())
}

/// The definitions that were needed, without prose, and without `required`: Kubernetes'
/// types ask for more than Knative does (a container's name), and the server knows better.
fn definitions(mut generator: SchemaGenerator) -> Value {
    let mut definitions = Value::Object(generator.take_definitions(true));
    strip(&mut definitions, 0);
    definitions
}

fn strip(schema: &mut Value, depth: usize) {
    if depth > 64 {
        return;
    }
    match schema {
        Value::Object(map) => {
            map.retain(|key, value| {
                !(key == "description" && value.is_string()
                    || key == "required" && value.is_array())
            });
            map.values_mut().for_each(|value| strip(value, depth + 1));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, depth + 1)),
        _ => {}
    }
}
