//! The kinds that the server serves from the start, as one table.

use std::sync::Arc;

use super::columns;
use super::resource::{Origin, Resource, SchemaCell, api_version};
use super::strategy::Strategy;
use crate::builtin;

/// Every resource that is there from the start, in the order in which clients are told of them:
/// Kubernetes' own and those that are handed in.
pub fn built_in(handed_in: impl IntoIterator<Item = Resource>) -> Vec<Arc<Resource>> {
    core()
        .into_iter()
        .chain(groups())
        .chain(handed_in)
        .chain(reviews())
        .map(Arc::new)
        .collect()
}

fn core() -> Vec<Resource> {
    vec![
        kind("", "v1", "Namespace", "namespaces")
            .cluster()
            .short(&["ns"])
            .status()
            .selectable(&["status.phase"])
            .behaves(Strategy::Namespace),
        kind("", "v1", "Pod", "pods")
            .short(&["po"])
            .categories(&["all"])
            .status()
            .generation()
            .selectable(&[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ])
            .behaves(Strategy::Pod),
        kind("", "v1", "Service", "services")
            .short(&["svc"])
            .categories(&["all"])
            .status()
            .selectable(&["spec.clusterIP", "spec.type"])
            .behaves(Strategy::Service),
        kind("", "v1", "ConfigMap", "configmaps").short(&["cm"]),
        kind("", "v1", "Secret", "secrets")
            .selectable(&["type"])
            .behaves(Strategy::Secret),
        kind("", "v1", "ServiceAccount", "serviceaccounts").short(&["sa"]),
        kind("", "v1", "Endpoints", "endpoints").short(&["ep"]),
        kind("", "v1", "Node", "nodes")
            .cluster()
            .short(&["no"])
            .status()
            .selectable(&["spec.unschedulable"]),
        kind("", "v1", "Event", "events")
            .short(&["ev"])
            .selectable(EVENT_FIELDS)
            .behaves(Strategy::Event),
    ]
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

fn groups() -> Vec<Resource> {
    let rbac = "rbac.authorization.k8s.io";
    vec![
        kind("apps", "v1", "Deployment", "deployments")
            .short(&["deploy"])
            .categories(&["all"])
            .status()
            .generation()
            .scaled()
            .behaves(Strategy::Deployment),
        kind("apps", "v1", "ReplicaSet", "replicasets")
            .short(&["rs"])
            .categories(&["all"])
            .status()
            .generation()
            .scaled(),
        kind("coordination.k8s.io", "v1", "Lease", "leases"),
        kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices").generation(),
        // The same objects as the core group's, in that group's later words.
        Resource {
            storage: "events".to_owned(),
            storage_api_version: "v1".to_owned(),
            ..kind("events.k8s.io", "v1", "Event", "events")
                .short(&["ev"])
                .selectable(EVENT_FIELDS)
                .behaves(Strategy::Event)
        },
        kind(rbac, "v1", "Role", "roles"),
        kind(rbac, "v1", "RoleBinding", "rolebindings"),
        kind(rbac, "v1", "ClusterRole", "clusterroles").cluster(),
        kind(rbac, "v1", "ClusterRoleBinding", "clusterrolebindings").cluster(),
        kind(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
        )
        .cluster()
        .short(&["crd", "crds"])
        .categories(&["api-extensions"])
        .status()
        .generation()
        .behaves(Strategy::CustomResourceDefinition),
    ]
}

fn reviews() -> Vec<Resource> {
    let authorization = "authorization.k8s.io";
    let authentication = "authentication.k8s.io";
    [
        (
            authorization,
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
        ),
        (
            authorization,
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
        ),
        (authorization, "SubjectAccessReview", "subjectaccessreviews"),
        (authentication, "SelfSubjectReview", "selfsubjectreviews"),
        (authentication, "TokenReview", "tokenreviews"),
    ]
    .into_iter()
    .map(|(group, name, plural)| {
        kind(group, "v1", name, plural)
            .cluster()
            .behaves(Strategy::Review)
    })
    .collect()
}

/// A kind with nothing particular.
pub fn kind(group: &str, version: &str, kind: &str, plural: &str) -> Resource {
    let storage = if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    };
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        namespaced: true,
        short_names: Vec::new(),
        categories: Vec::new(),
        status: false,
        generation: false,
        scale: false,
        columns: columns::of(group, kind),
        selectable: Vec::new(),
        storage,
        storage_api_version: api_version(group, version),
        schema: SchemaCell::made_by(builtin::schema),
        webhook: false,
        known: Vec::new(),
        since: 0,
        warning: None,
        fingerprint: String::new(),
        strategy: Strategy::Plain,
        origin: Origin::BuiltIn,
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The table's words.
impl Resource {
    fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    fn short(mut self, names: &[&str]) -> Self {
        self.short_names = owned(names);
        self
    }

    fn categories(mut self, names: &[&str]) -> Self {
        self.categories = owned(names);
        self
    }

    fn status(mut self) -> Self {
        self.status = true;
        self
    }

    fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    fn scaled(mut self) -> Self {
        self.scale = true;
        self
    }

    fn selectable(mut self, fields: &[&str]) -> Self {
        self.selectable = owned(fields);
        self
    }

    fn behaves(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }
}
