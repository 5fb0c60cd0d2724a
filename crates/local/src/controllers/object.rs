//! Objects of any kind, and the questions that controllers ask of them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Map, Value};

use super::kind::Kind;

/// An object: metadata typed, the rest as JSON.
pub type Object = DynamicObject;

/// Labels and annotations that Knative gives a meaning to.
pub mod key {
    pub const SERVICE: &str = "serving.knative.dev/service";
    pub const SERVICE_UID: &str = "serving.knative.dev/serviceUID";
    pub const CONFIGURATION: &str = "serving.knative.dev/configuration";
    pub const CONFIGURATION_UID: &str = "serving.knative.dev/configurationUID";
    pub const CONFIGURATION_GENERATION: &str = "serving.knative.dev/configurationGeneration";
    pub const REVISION: &str = "serving.knative.dev/revision";
    pub const REVISION_UID: &str = "serving.knative.dev/revisionUID";
    pub const ROUTE: &str = "serving.knative.dev/route";
    pub const ROUTE_NAMESPACE: &str = "serving.knative.dev/routeNamespace";
    pub const ROUTES: &str = "serving.knative.dev/routes";
    pub const ROUTING_STATE: &str = "serving.knative.dev/routingState";
    pub const ROUTING_STATE_MODIFIED: &str = "serving.knative.dev/routingStateModified";
    pub const CREATOR: &str = "serving.knative.dev/creator";
    pub const LAST_MODIFIER: &str = "serving.knative.dev/lastModifier";
    pub const NO_GC: &str = "serving.knative.dev/no-gc";
    pub const LAST_PINNED: &str = "serving.knative.dev/lastPinned";
    pub const PROGRESS_DEADLINE: &str = "serving.knative.dev/progress-deadline";
    pub const DEPLOYMENT_HASH: &str = "serving.knative.dev/deployment-hash";
    pub const ROLLOUT_DURATION: [&str; 2] = [
        "serving.knative.dev/rollout-duration",
        "serving.knative.dev/rolloutDuration",
    ];
    pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    pub const VISIBILITY: &str = "networking.knative.dev/visibility";
    pub const INGRESS_CLASS: &str = "networking.knative.dev/ingress.class";
    pub const INITIAL_SCALE: [&str; 2] = [
        "autoscaling.knative.dev/initial-scale",
        "autoscaling.knative.dev/initialScale",
    ];
    pub const AUTOSCALING: &str = "autoscaling.knative.dev";
    pub const AUTOSCALER_CLASS: &str = "autoscaling.knative.dev/class";
}

/// What a Revision's traffic says about it (`serving.knative.dev/routingState`).
pub mod routing_state {
    /// No Route has looked at it yet.
    pub const PENDING: &str = "pending";
    /// A Route names it.
    pub const ACTIVE: &str = "active";
    /// No Route names it any more.
    pub const RESERVE: &str = "reserve";
}

/// Questions about an object.
pub trait ObjectExt {
    /// The name; empty where there is none yet.
    fn name(&self) -> &str;
    /// The namespace.
    fn namespace(&self) -> &str;
    /// The UID; empty where there is none yet.
    fn uid(&self) -> &str;
    /// `metadata.generation`; 0 where there is none.
    fn generation(&self) -> i64;
    /// A label's value.
    fn label(&self, key: &str) -> Option<&str>;
    /// An annotation's value.
    fn annotation(&self, key: &str) -> Option<&str>;
    /// `spec`.
    fn spec(&self) -> &Value;
    /// `status`.
    fn status(&self) -> &Value;
    /// `status.observedGeneration`; 0 where there is none.
    fn observed_generation(&self) -> i64;
    /// A condition of the status.
    fn condition(&self, kind: &str) -> Option<&Value>;
    /// The status of a condition: `True`, `False`, `Unknown`; `Unknown` where it is missing.
    fn condition_status(&self, kind: &str) -> &str;
    /// Whether the controller has seen this very generation and calls it ready.
    fn is_ready(&self) -> bool;
    /// Whether the controller has seen this very generation and calls it failed.
    fn is_failed(&self) -> bool;
    /// The owner that controls the object.
    fn controller(&self) -> Option<&OwnerReference>;
    /// Whether `owner` controls the object.
    fn is_controlled_by(&self, owner: &Object) -> bool;
    /// Whether it is on its way out.
    fn is_terminating(&self) -> bool;
    /// The Routes in its `routes` annotation, sorted.
    fn routes(&self) -> Vec<String>;
}

impl ObjectExt for Object {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or("")
    }

    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or("")
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or("")
    }

    fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or(0)
    }

    fn label(&self, key: &str) -> Option<&str> {
        Some(self.metadata.labels.as_ref()?.get(key)?.as_str())
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        Some(self.metadata.annotations.as_ref()?.get(key)?.as_str())
    }

    fn spec(&self) -> &Value {
        self.data.get("spec").unwrap_or(&Value::Null)
    }

    fn status(&self) -> &Value {
        self.data.get("status").unwrap_or(&Value::Null)
    }

    fn observed_generation(&self) -> i64 {
        integer(self.status(), "observedGeneration").unwrap_or(0)
    }

    fn condition(&self, kind: &str) -> Option<&Value> {
        condition_in(self.status(), kind)
    }

    fn condition_status(&self, kind: &str) -> &str {
        self.condition(kind)
            .map_or("Unknown", |condition| text(condition, "status"))
    }

    fn is_ready(&self) -> bool {
        self.observed_generation() == self.generation() && self.condition_status("Ready") == "True"
    }

    fn is_failed(&self) -> bool {
        self.observed_generation() == self.generation() && self.condition_status("Ready") == "False"
    }

    fn controller(&self) -> Option<&OwnerReference> {
        self.metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true))
    }

    fn is_controlled_by(&self, owner: &Object) -> bool {
        self.controller()
            .is_some_and(|reference| reference.uid == owner.uid())
    }

    fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn routes(&self) -> Vec<String> {
        let mut routes: Vec<_> = self
            .annotation(key::ROUTES)
            .unwrap_or("")
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        routes.sort();
        routes.dedup();
        routes
    }
}

/// A condition in a status.
pub fn condition_in<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    list(status, "conditions")
        .iter()
        .find(|condition| text(condition, "type") == kind)
}

/// A text field; empty where it is missing.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A whole number.
pub fn integer(value: &Value, key: &str) -> Option<i64> {
    value.get(key).and_then(Value::as_i64)
}

/// A list field; empty where it is missing.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A new object.
pub fn new(kind: Kind, metadata: ObjectMeta, data: Map<String, Value>) -> Object {
    Object {
        types: Some(TypeMeta {
            api_version: kind.api_version(),
            kind: kind.name().to_owned(),
        }),
        metadata,
        data: Value::Object(data),
    }
}

/// Sets a field of an object, such as `spec` or `status`.
pub fn set(object: &mut Object, key: &str, value: Value) {
    match object.data.as_object_mut() {
        Some(data) => {
            data.insert(key.to_owned(), value);
        }
        None => object.data = Value::Object(Map::from_iter([(key.to_owned(), value)])),
    }
}

/// The name that a Service's or Configuration's template brings for its Revision.
pub fn template_name(object: &Object) -> Option<&str> {
    let name = object.spec().pointer("/template/metadata/name")?.as_str()?;
    (!name.is_empty()).then_some(name)
}

/// The reference by which `owner` controls a child.
pub fn controller_reference(kind: Kind, owner: &Object) -> OwnerReference {
    OwnerReference {
        api_version: kind.api_version(),
        kind: kind.name().to_owned(),
        name: owner.name().to_owned(),
        uid: owner.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Labels or annotations as they stand, without some keys.
pub fn without(
    map: Option<&BTreeMap<String, String>>,
    excluded: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    map.into_iter()
        .flatten()
        .filter(|(key, _)| !excluded(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// An empty map is no map.
pub fn some_map(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

/// Whether two maps say the same; an absent one is empty.
pub fn same_map(
    a: Option<&BTreeMap<String, String>>,
    b: Option<&BTreeMap<String, String>>,
) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        (Some(map), None) | (None, Some(map)) => map.is_empty(),
        (None, None) => true,
    }
}
