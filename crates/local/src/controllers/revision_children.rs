//! The Deployment and the PodAutoscaler of a Revision.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::config::ControllersConfig;
use super::kind::Kind;
use super::object::{
    Object, ObjectExt, controller_reference, integer, key, list, new, routing_state, set, some_map,
    text, without,
};
use crate::admission::GoDuration;
use crate::child_name::child_name;

/// The port that a container serves on unless it declares another.
const DEFAULT_PORT: i64 = 8080;

/// The name of a Revision's Deployment.
pub fn deployment_name(revision: &Object) -> String {
    child_name(revision.name(), "-deployment")
}

/// The Deployment that runs a Revision. `replicas` is what it starts with; afterwards the
/// autoscaler decides.
pub fn deployment(revision: &Object, config: &ControllersConfig) -> Object {
    let labels = labels(revision);
    let mut pod_annotations = annotations(revision, true);
    if let Some(name) = serving_container(revision).map(|container| text(container, "name"))
        && !name.is_empty()
    {
        pod_annotations.insert(
            "kubectl.kubernetes.io/default-container".to_owned(),
            name.to_owned(),
        );
    }
    let mut template = Map::new();
    template.insert(
        "metadata".to_owned(),
        json!({"labels": labels, "annotations": pod_annotations}),
    );
    template.insert("spec".to_owned(), pod_spec(revision));
    let spec = json!({
        "replicas": initial_scale(revision),
        "selector": {"matchLabels": {key::REVISION_UID: revision.uid()}},
        "progressDeadlineSeconds": progress_deadline(revision, config),
        "revisionHistoryLimit": 0,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": template,
    });
    let mut metadata = ObjectMeta {
        name: Some(deployment_name(revision)),
        namespace: Some(revision.namespace().to_owned()),
        labels: Some(labels),
        annotations: some_map(annotations(revision, true)),
        owner_references: Some(vec![controller_reference(Kind::Revision, revision)]),
        ..ObjectMeta::default()
    };
    let hash = hash_of(&spec, &metadata);
    metadata
        .labels
        .get_or_insert_default()
        .insert(key::DEPLOYMENT_HASH.to_owned(), hash);
    let mut data = Map::new();
    data.insert("spec".to_owned(), spec);
    new(Kind::Deployment, metadata, data)
}

/// An existing Deployment brought up to what its Revision asks for; `None` where it is
/// that already. Replicas and selector stay, and so do labels and annotations that are
/// none of Knative's (`kubectl rollout restart` leaves one).
pub fn updated_deployment(existing: &Object, desired: &Object) -> Option<Object> {
    if existing.label(key::DEPLOYMENT_HASH) == desired.label(key::DEPLOYMENT_HASH) {
        return None;
    }
    let mut updated = existing.clone();
    updated.metadata.labels = merged(&desired.metadata.labels, &existing.metadata.labels);
    updated.metadata.annotations = merged(
        &desired.metadata.annotations,
        &existing.metadata.annotations,
    );
    let mut spec = desired.spec().clone();
    let old = existing.spec();
    if let Some(spec) = spec.as_object_mut() {
        for key in ["replicas", "selector"] {
            if let Some(value) = old.get(key) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
    }
    for map in ["labels", "annotations"] {
        let path = format!("/template/metadata/{map}");
        let (Some(Value::Object(new)), Some(Value::Object(old))) =
            (spec.pointer_mut(&path), old.pointer(&path))
        else {
            continue;
        };
        for (key, value) in old {
            if !is_knatives(key) {
                new.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    set(&mut updated, "spec", spec);
    Some(updated)
}

type Texts = BTreeMap<String, String>;

fn merged(desired: &Option<Texts>, existing: &Option<Texts>) -> Option<Texts> {
    let mut all = without(existing.as_ref(), is_knatives);
    all.extend(desired.clone().unwrap_or_default());
    some_map(all)
}

fn is_knatives(key: &str) -> bool {
    key == "app" || key.contains("knative.dev/")
}

/// The PodAutoscaler of a Revision; its status is the autoscaler's business.
pub fn pod_autoscaler(revision: &Object, deployment: Option<&Object>, unavailable: bool) -> Object {
    let mut spec = json!({
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": deployment_name(revision),
        },
        "protocolType": protocol(revision),
    });
    if let Some(spec) = spec.as_object_mut() {
        let limit = integer(revision.spec(), "containerConcurrency").unwrap_or(0);
        if limit != 0 {
            spec.insert("containerConcurrency".to_owned(), json!(limit));
        }
        let reachability = reachability(revision, deployment, unavailable);
        if !reachability.is_empty() {
            spec.insert("reachability".to_owned(), json!(reachability));
        }
    }
    let mut all = annotations(revision, false);
    all.entry(key::AUTOSCALER_CLASS.to_owned())
        .or_insert_with(|| "kpa.autoscaling.knative.dev".to_owned());
    let metadata = ObjectMeta {
        name: Some(revision.name().to_owned()),
        namespace: Some(revision.namespace().to_owned()),
        labels: Some(labels(revision)),
        annotations: some_map(all),
        owner_references: Some(vec![controller_reference(Kind::Revision, revision)]),
        ..ObjectMeta::default()
    };
    let mut data = Map::new();
    data.insert("spec".to_owned(), spec);
    new(Kind::PodAutoscaler, metadata, data)
}

/// An existing PodAutoscaler brought up to date; `None` where it is. Annotations of other
/// groups stay; those of the autoscaling group that are gone from the Revision go.
pub fn updated_pod_autoscaler(existing: &Object, desired: &Object) -> Option<Object> {
    let wanted = desired.metadata.annotations.clone().unwrap_or_default();
    let mut annotations = without(existing.metadata.annotations.as_ref(), |name| {
        name.starts_with(key::AUTOSCALING)
    });
    annotations.extend(wanted);
    let annotations = some_map(annotations);
    if existing.spec() == desired.spec() && existing.metadata.annotations == annotations {
        return None;
    }
    let mut updated = existing.clone();
    updated.metadata.annotations = annotations;
    set(&mut updated, "spec", desired.spec().clone());
    Some(updated)
}

/// Whether traffic can reach the Revision: an unreachable one may always go to zero.
fn reachability(revision: &Object, deployment: Option<&Object>, unavailable: bool) -> &'static str {
    if unavailable
        && let Some(deployment) = deployment
        && integer(deployment.spec(), "replicas").unwrap_or(0) > 0
        && integer(deployment.status(), "readyReplicas").unwrap_or(0) == 0
    {
        return "Unreachable";
    }
    match revision.label(key::ROUTING_STATE) {
        Some(routing_state::ACTIVE) => "Reachable",
        Some(routing_state::RESERVE) => "Unreachable",
        _ => "",
    }
}

/// `h2c` where the serving port says so, else `http1`.
pub fn protocol(revision: &Object) -> &'static str {
    let port = serving_container(revision).and_then(|container| list(container, "ports").first());
    match port.map(|port| text(port, "name")) {
        Some("h2c") => "h2c",
        _ => "http1",
    }
}

/// The container with the port; the only one where there is just one.
fn serving_container(revision: &Object) -> Option<&Value> {
    let containers = list(revision.spec(), "containers");
    match containers {
        [only] => Some(only),
        several => several.iter().find(|c| !list(c, "ports").is_empty()),
    }
}

fn labels(revision: &Object) -> Texts {
    let mut labels = without(revision.metadata.labels.as_ref(), |name| {
        name == key::ROUTE || name == key::ROUTING_STATE
    });
    labels.insert(key::REVISION.to_owned(), revision.name().to_owned());
    labels.insert(key::REVISION_UID.to_owned(), revision.uid().to_owned());
    labels
        .entry("app".to_owned())
        .or_insert_with(|| revision.name().to_owned());
    labels
}

/// The Revision's annotations, without those that record its traffic.
fn annotations(revision: &Object, without_autoscaling: bool) -> Texts {
    without(revision.metadata.annotations.as_ref(), |name| {
        matches!(
            name,
            key::LAST_PINNED | key::NO_GC | key::ROUTING_STATE_MODIFIED | key::ROUTES
        ) || (without_autoscaling && name.starts_with(key::AUTOSCALING))
    })
}

fn initial_scale(revision: &Object) -> i64 {
    key::INITIAL_SCALE
        .iter()
        .find_map(|key| revision.annotation(key))
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1)
}

fn progress_deadline(revision: &Object, config: &ControllersConfig) -> i64 {
    revision
        .annotation(key::PROGRESS_DEADLINE)
        .and_then(GoDuration::parse)
        .map_or_else(
            || i64::try_from(config.progress_deadline.as_secs()).unwrap_or(i64::MAX),
            GoDuration::seconds,
        )
}

/// The Pod of a Revision: its own containers with Knative's environment added.
fn pod_spec(revision: &Object) -> Value {
    let mut spec = revision.spec().clone();
    let Some(fields) = spec.as_object_mut() else {
        return spec;
    };
    let timeout = fields.remove("timeoutSeconds");
    for own in [
        "containerConcurrency",
        "idleTimeoutSeconds",
        "responseStartTimeoutSeconds",
    ] {
        fields.remove(own);
    }
    if let Some(timeout) = timeout {
        // A request that is under way when its Pod goes may still take its time.
        fields.insert("terminationGracePeriodSeconds".to_owned(), timeout);
    }
    let digests = list(revision.status(), "containerStatuses").to_vec();
    let Some(Value::Array(containers)) = fields.get_mut("containers") else {
        return spec;
    };
    let only = containers.len() == 1;
    for (index, container) in containers.iter_mut().enumerate() {
        let serves = only || !list(container, "ports").is_empty();
        let digest = digests
            .get(index)
            .map_or("", |status| text(status, "imageDigest"));
        if let Some(container) = container.as_object_mut() {
            complete(container, serves, digest, revision);
        }
    }
    spec
}

fn complete(container: &mut Map<String, Value>, serves: bool, digest: &str, revision: &Object) {
    let mut env = match container.remove("env") {
        Some(Value::Array(env)) => env,
        _ => Vec::new(),
    };
    if serves {
        let port = container
            .get("ports")
            .and_then(|ports| ports.get(0)?.get("containerPort")?.as_i64())
            .filter(|port| *port != 0)
            .unwrap_or(DEFAULT_PORT);
        container.insert(
            "ports".to_owned(),
            json!([{"name": "user-port", "containerPort": port, "protocol": "TCP"}]),
        );
        env.push(json!({"name": "PORT", "value": port.to_string()}));
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if let Some(probe) = container.get_mut(probe) {
                point_at_port(probe, port);
            }
        }
    }
    for (name, label) in [
        ("K_REVISION", None),
        ("K_CONFIGURATION", Some(key::CONFIGURATION)),
        ("K_SERVICE", Some(key::SERVICE)),
    ] {
        let value = match label {
            None => revision.name(),
            Some(label) => revision.label(label).unwrap_or(""),
        };
        env.push(json!({"name": name, "value": value}));
    }
    container.insert("env".to_owned(), Value::Array(env));
    if !digest.is_empty() {
        container.insert("image".to_owned(), json!(digest));
    }
    container
        .entry("terminationMessagePolicy")
        .or_insert_with(|| json!("FallbackToLogsOnError"));
}

/// Probes of port 0 mean the serving port; without a period they are Knative's quick ones,
/// which here become a probe every second.
fn point_at_port(probe: &mut Value, port: i64) {
    for action in ["tcpSocket", "httpGet", "grpc"] {
        let Some(Value::Object(action)) = probe.get_mut(action) else {
            continue;
        };
        let unset = match action.get("port") {
            None | Some(Value::Null) => true,
            Some(Value::Number(number)) => number.as_i64() == Some(0),
            Some(_) => false,
        };
        if unset {
            action.insert("port".to_owned(), json!(port));
        }
    }
    if let Some(probe) = probe.as_object_mut() {
        probe.entry("periodSeconds").or_insert_with(|| json!(1));
    }
}

/// FNV-1a over what the Deployment is made from, to see cheaply whether it changed.
pub fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn hash_of(spec: &Value, metadata: &ObjectMeta) -> String {
    let all = json!([spec, metadata.annotations, metadata.labels]);
    format!("{:08x}", fnv(&all.to_string()))
}
