//! What a Route asks of the gateway: an Ingress object, and a Kubernetes Service that
//! stands for each of its names.

use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::config::ControllersConfig;
use super::domains::{CLUSTER_LOCAL, Visibility, hostname};
use super::kind::Kind;
use super::object::{
    Object, ObjectExt, controller_reference, key, list, new, some_map, text, without,
};
use super::traffic::{Resolved, Target};

/// Whether the Route (and with it each of its tags) is only for the cluster.
pub fn visibility(route: &Object) -> Visibility {
    match route.label(key::VISIBILITY) {
        Some(CLUSTER_LOCAL) => Visibility::ClusterLocal,
        _ => Visibility::External,
    }
}

/// The Ingress of a Route.
pub fn ingress(route: &Object, traffic: &Resolved, config: &ControllersConfig) -> Object {
    let mut rules = Vec::new();
    for (tag, targets) in &traffic.groups {
        let name = hostname(route.name(), tag);
        let namespace = route.namespace();
        let paths = json!([{"splits": splits(targets, namespace)}]);
        rules.push(json!({
            "hosts": config.local_hosts(&name, namespace),
            "visibility": "ClusterLocal",
            "http": {"paths": paths},
        }));
        if visibility(route) == Visibility::External {
            rules.push(json!({
                "hosts": [config.public_host(&name, namespace)],
                "visibility": "ExternalIP",
                "http": {"paths": paths},
            }));
        }
    }
    let mut labels = without(route.metadata.labels.as_ref(), |_| false);
    labels.insert(key::ROUTE.to_owned(), route.name().to_owned());
    labels.insert(
        key::ROUTE_NAMESPACE.to_owned(),
        route.namespace().to_owned(),
    );
    let mut annotations = without(route.metadata.annotations.as_ref(), |name| {
        name == key::LAST_APPLIED
    });
    annotations
        .entry(key::INGRESS_CLASS.to_owned())
        .or_insert_with(|| config.ingress_class.clone());
    let metadata = ObjectMeta {
        name: Some(route.name().to_owned()),
        namespace: Some(route.namespace().to_owned()),
        labels: some_map(labels),
        annotations: some_map(annotations),
        owner_references: Some(vec![controller_reference(Kind::Route, route)]),
        ..ObjectMeta::default()
    };
    let mut data = Map::new();
    data.insert(
        "spec".to_owned(),
        json!({"rules": rules, "httpOption": "Enabled"}),
    );
    new(Kind::Ingress, metadata, data)
}

fn splits(targets: &[Target], namespace: &str) -> Vec<Value> {
    targets
        .iter()
        .filter(|target| target.percent > 0)
        .map(|target| {
            json!({
                "serviceNamespace": namespace,
                "serviceName": target.revision,
                // Knative's ports of a revision's Service: 80 for HTTP/1, 81 for h2c.
                "servicePort": if target.protocol == "h2c" { 81 } else { 80 },
                "percent": target.percent,
                "appendHeaders": {
                    "Knative-Serving-Namespace": namespace,
                    "Knative-Serving-Revision": target.revision,
                },
            })
        })
        .collect()
}

/// The Kubernetes Service that stands for a tag (or, without one, for the Route).
pub fn placeholder(
    route: &Object,
    tag: &str,
    ingress: Option<&Object>,
    config: &ControllersConfig,
) -> Object {
    let name = hostname(route.name(), tag);
    let mut labels = without(route.metadata.labels.as_ref(), |name| {
        name == key::VISIBILITY
    });
    labels.insert(key::ROUTE.to_owned(), route.name().to_owned());
    if visibility(route) == Visibility::ClusterLocal {
        labels.insert(key::VISIBILITY.to_owned(), CLUSTER_LOCAL.to_owned());
    }
    let external_name = ingress
        .and_then(balancer)
        .unwrap_or_else(|| config.host(&name, route.namespace(), visibility(route)));
    let metadata = ObjectMeta {
        name: Some(name),
        namespace: Some(route.namespace().to_owned()),
        labels: some_map(labels),
        annotations: some_map(without(route.metadata.annotations.as_ref(), |name| {
            name == key::LAST_APPLIED
        })),
        owner_references: Some(vec![controller_reference(Kind::Route, route)]),
        ..ObjectMeta::default()
    };
    let mut data = Map::new();
    data.insert(
        "spec".to_owned(),
        json!({
            "type": "ExternalName",
            "externalName": external_name,
            "sessionAffinity": "None",
            "ports": [{
                "name": "http2",
                "appProtocol": "kubernetes.io/h2c",
                "protocol": "TCP",
                "port": 80,
                "targetPort": 80,
            }],
        }),
    );
    new(Kind::CoreService, metadata, data)
}

/// Where the gateway says that it answers inside the cluster.
fn balancer(ingress: &Object) -> Option<String> {
    ["privateLoadBalancer", "publicLoadBalancer"]
        .iter()
        .find_map(|balancer| {
            let entry = list(ingress.status().get(balancer)?, "ingress").first()?;
            ["domainInternal", "domain"]
                .iter()
                .map(|key| text(entry, key))
                .find(|domain| !domain.is_empty())
                .map(str::to_owned)
        })
}
