//! An API server, a connected cluster, and a Delivery's plans between them.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice::api::delivery::Drift;
use sluice::api::object::ObjectKey;
use sluice::api::serving::TrafficTarget;
use sluice::cluster::{Cluster, StepOutcome};
use sluice::local::apiserver::{Admission, ApiError, ApiServer, Review};
use sluice::manifest::{self, File};
use sluice::plan::{Claims, DeliveryId, Input, Manager, Plan, Stage, invariants, plan};
use sluice::render::{Destination, render};
use tokio_util::sync::CancellationToken;

/// No wait in these tests is meant to come near this.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Refuses every ConfigMap that is called `bad`, as a webhook would.
struct Guard;

impl Admission for Guard {
    fn validate(&self, review: &Review<'_>, _: &Value) -> Result<(), ApiError> {
        if review.kind == "ConfigMap" && review.name == "bad" {
            return Err(ApiError::denied("guard.example.com", "bad is a bad name"));
        }
        Ok(())
    }
}

pub struct Bed {
    pub server: ApiServer,
    pub cluster: Cluster,
    pub stop: CancellationToken,
    pub inventory: Vec<ObjectKey>,
}

pub async fn bed() -> Bed {
    let server = ApiServer::builder()
        .register(sluice::local::knative::registration())
        .admission(Arc::new(Guard))
        .build()
        .unwrap();
    let (cluster, stop) = connect(server.client());
    let bed = Bed {
        server,
        cluster,
        stop,
        inventory: Vec::new(),
    };
    bed.watch().await;
    bed
}

fn connect(client: kube::Client) -> (Cluster, CancellationToken) {
    let stop = CancellationToken::new();
    (Cluster::over(client, stop.clone()), stop)
}

impl Bed {
    /// Watches what the tests deliver.
    pub async fn watch(&self) {
        watch(&self.cluster).await;
    }

    /// Another agent, with nothing in its memory.
    pub async fn restart(&mut self) {
        self.stop.cancel();
        self.cluster.join().await;
        (self.cluster, self.stop) = connect(self.server.client());
        self.watch().await;
    }

    pub fn plan(&self, git: &[Value]) -> Plan {
        let files: Vec<File> = git
            .iter()
            .enumerate()
            .map(|(n, object)| File {
                path: format!("apps/{n}.yaml").into(),
                content: object.to_string().into_bytes().into(),
                id: [n as u8; 20],
            })
            .collect();
        let loaded = Arc::new(manifest::load(&files, &manifest::Options::default()));
        let to = Destination::new(DeliveryId::new("default", "shop"));
        let made = plan(&Input {
            rendered: &render(&loaded, to, &self.cluster),
            inventory: &self.inventory,
            elsewhere: &Claims::default(),
            awaits: None,
            prune: true,
            drift: Drift::Correct,
            live: &self.cluster,
        });
        assert_eq!(invariants::check(&made), []);
        made
    }

    /// One pass: plan, carry out, and each service straight to its end.
    pub async fn deliver(&mut self, git: &[Value]) -> Vec<StepOutcome> {
        let plan = self.plan(git);
        self.cluster.settle(&plan.settled);
        self.inventory.clone_from(&plan.inventory);
        let outcomes = self
            .cluster
            .carry_out(&plan, Stage::Namespaces..=Stage::Prune)
            .await;
        for service in &plan.services {
            if plan
                .steps
                .iter()
                .any(|step| step.key == service.template_key())
            {
                let template = service.template_object(&service.template.value());
                self.cluster
                    .apply(&template, Manager::Objects)
                    .await
                    .unwrap();
                let traffic = service.traffic_object(&[TrafficTarget {
                    revision_name: Some(format!("{}-00001", service.name)),
                    percent: Some(100),
                    latest_revision: Some(false),
                    ..TrafficTarget::default()
                }]);
                self.cluster
                    .apply(&traffic, Manager::Traffic)
                    .await
                    .unwrap();
            }
        }
        outcomes
    }

    /// Somebody else's hand on the cluster.
    pub async fn someone(&self, manager: &str, object: &Value, how: Hand) {
        someone(self.server.client(), manager, object, how).await;
    }

    /// Waits until the cache shows something.
    pub async fn until(&self, shown: impl Fn(&Cluster) -> bool) {
        until(&self.cluster, shown).await;
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.cluster.join().await;
        self.server.shutdown().await;
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Hand {
    Merge,
    Apply,
}

pub async fn someone(client: kube::Client, manager: &str, object: &Value, how: Hand) {
    let key = ObjectKey::of(object).unwrap();
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &key.kind));
    let api: Api<DynamicObject> = Api::namespaced_with(
        client,
        key.namespace.as_deref().unwrap_or("default"),
        &resource,
    );
    let params = PatchParams {
        field_manager: Some(manager.to_owned()),
        force: how == Hand::Apply,
        ..PatchParams::default()
    };
    let patch = match how {
        Hand::Merge => Patch::Merge(object),
        Hand::Apply => Patch::Apply(object),
    };
    api.patch(&key.name, &params, &patch).await.unwrap();
}

pub async fn watch(cluster: &Cluster) {
    for (api_version, kind) in [
        ("v1", "Namespace"),
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("apps/v1", "Deployment"),
        ("serving.knative.dev/v1", "Service"),
        ("serving.knative.dev/v1", "Configuration"),
        ("serving.knative.dev/v1", "Route"),
    ] {
        cluster.watch(api_version, kind, None).await.unwrap();
    }
}

pub async fn until(cluster: &Cluster, shown: impl Fn(&Cluster) -> bool) {
    let changes = cluster.changes();
    let wait = async {
        while !shown(cluster) {
            changes.next().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the cache shows it");
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"a": value}})
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("", "ConfigMap", "default", name)
}

pub fn data(cluster: &Cluster, name: &str) -> Option<String> {
    cluster.get(&key(name))?.value()["data"]["a"]
        .as_str()
        .map(str::to_owned)
}

/// One of everything that a team keeps in a repository.
pub fn repository() -> Vec<Value> {
    vec![
        config_map("settings", "1"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"a": "b"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker"}, "spec": {
            "selector": {"matchLabels": {"app": "worker"}},
            "template": {"metadata": {"labels": {"app": "worker"}}, "spec": {"containers": [
                {"name": "app", "image": "worker:1", "ports": [{"containerPort": 80}],
                 "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}]}}}}),
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "hello",
            "labels": {"team": "a"}}, "spec": {"template": {"spec": {"containers": [
                {"image": "hello:1", "env": [{"name": "TARGET", "value": "world"}]}]}}}}),
    ]
}
