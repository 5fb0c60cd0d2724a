//! Knative Serving on the embedded API server: the real controllers and webhook, with a
//! pretended node, autoscaler and gateway, so that only they are on trial.

mod revisions;
mod routes;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use sluice::local::apiserver::{ApiServer, User};
use sluice::local::controllers::kind::Kind;
use sluice::local::controllers::{ControllersConfig, RevisionGc};
use sluice::local::node::NodeConfig;
use sluice::local::node::images::Images;
use sluice::local::node::lifecycle::backoff::BackoffPolicy;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes; a test that waits for this has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    server: std::sync::Arc<ApiServer>,
    user: Client,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::with(ControllersConfig {
            gateway_port: Some(8080),
            ..ControllersConfig::default()
        })
    }

    fn with(config: ControllersConfig) -> Self {
        Self::on(config, None)
    }

    /// With the real node, keeping its Pods in a folder.
    pub fn on_a_node(folder: &Path) -> Self {
        let sluice = PathBuf::from(env!("CARGO_BIN_EXE_sluice"));
        let images = Images::built_in(&sluice);
        let mut node = NodeConfig::new(folder.to_owned(), images, sluice);
        node.backoff = BackoffPolicy {
            initial: Duration::from_millis(100),
            max: Duration::from_millis(200),
        };
        Self::on(ControllersConfig::default(), Some(node))
    }

    fn on(config: ControllersConfig, node: Option<NodeConfig>) -> Self {
        // RUST_LOG=sluice=debug tells what the controllers do.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let server = ApiServer::builder()
            .register(sluice::local::knative::registration())
            .build()
            .unwrap();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let client = server.client();
        tasks.spawn(sluice::local::controllers::run(
            client.clone(),
            config,
            cancel.clone(),
        ));
        match node {
            None => {
                tasks.spawn(until(cancel.clone(), pretended_node(client.clone())));
            }
            Some(node) => {
                let running = sluice::local::node::run(client.clone(), node, cancel.clone());
                tasks.spawn(async move { running.await.unwrap() });
            }
        }
        tasks.spawn(until(cancel.clone(), pretended_autoscaler(client.clone())));
        tasks.spawn(until(cancel.clone(), pretended_gateway(client)));
        Self {
            user: server.client_as(User::admin("ada")),
            server: std::sync::Arc::new(server),
            cancel,
            tasks,
        }
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.user.clone(), "default", &kind.resource())
    }

    /// Server-side apply, as kubectl and the agent do it.
    pub async fn apply(&self, kind: Kind, manifest: Value) -> kube::Result<DynamicObject> {
        let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
        let params = PatchParams::apply("test").force();
        self.api(kind)
            .patch(&name, &params, &Patch::Apply(manifest))
            .await
    }

    /// Waits until an object is as wanted.
    pub async fn wait(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool + Send + Sync,
    ) -> DynamicObject {
        let condition = |object: Option<&DynamicObject>| object.is_some_and(&wanted);
        let found = kube::runtime::wait::await_condition(self.api(kind), name, condition);
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => panic!(
                "{kind:?} {name} never {what}: {}",
                serde_json::to_string_pretty(&self.api(kind).get(name).await.ok()).unwrap()
            ),
        }
    }

    pub async fn ready(&self, kind: Kind, name: &str) -> DynamicObject {
        self.wait(kind, name, "became ready", |object| {
            object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
                && condition(object, "Ready")["status"] == "True"
        })
        .await
    }

    pub async fn gone(&self, kind: Kind, name: &str) {
        let gone = kube::runtime::wait::await_condition(
            self.api(kind),
            name,
            |object: Option<&DynamicObject>| object.is_none(),
        );
        tokio::time::timeout(PATIENCE, gone)
            .await
            .unwrap_or_else(|_| panic!("{kind:?} {name} is still there"))
            .unwrap();
    }

    pub async fn stop(mut self) {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.server.shutdown().await;
    }
}

async fn until(cancel: CancellationToken, work: impl Future<Output = ()>) {
    cancel.run_until_cancelled(work).await;
}

fn resource(kind: Kind) -> ApiResource {
    kind.resource()
}

/// Calls back for every state of every object of a kind.
async fn each<F>(client: Client, kind: Kind, mut handle: impl FnMut(DynamicObject) -> F)
where
    F: Future<Output = ()>,
{
    let api: Api<DynamicObject> = Api::all_with(client, &resource(kind));
    let events = watcher(api, watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let mut events = std::pin::pin!(events);
    while let Ok(Some(object)) = events.try_next().await {
        handle(object).await;
    }
}

async fn write_status(client: &Client, kind: Kind, object: &DynamicObject, status: Value) {
    if object.data["status"] == status {
        return;
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource(kind));
    let patch = Patch::Merge(json!({ "status": status }));
    // The object may be gone by now.
    let _ = api
        .patch_status(&object.name_any(), &PatchParams::default(), &patch)
        .await;
}

/// Makes every Pod ready, except those of images called `never`; ends those on their way out.
async fn pretended_node(client: Client) {
    let pods: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &resource(Kind::Pod));
    each(client.clone(), Kind::Pod, |pod| {
        let (client, pods) = (client.clone(), pods.clone());
        async move {
            if pod.metadata.deletion_timestamp.is_some() {
                let _ = pods
                    .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                    .await;
                return;
            }
            let image = pod.data["spec"]["containers"][0]["image"].as_str().unwrap();
            let ready = if image.contains("never") {
                "False"
            } else {
                "True"
            };
            if pod.data["status"]["conditions"][0]["status"] == ready {
                return;
            }
            write_status(
                &client,
                Kind::Pod,
                &pod,
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}),
            )
            .await;
        }
    })
    .await;
}

/// Reports the Deployment's ready Pods as the autoscaler would.
async fn pretended_autoscaler(client: Client) {
    let autoscalers: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &resource(Kind::PodAutoscaler));
    let report = |deployment: Option<DynamicObject>, autoscaler: DynamicObject| {
        let client = client.clone();
        async move {
            let ready = deployment
                .and_then(|d| d.data["status"]["readyReplicas"].as_i64())
                .unwrap_or(0);
            let status = if ready > 0 { "True" } else { "Unknown" };
            write_status(
                &client,
                Kind::PodAutoscaler,
                &autoscaler,
                json!({
                    "actualScale": ready,
                    "desiredScale": 1,
                    "conditions": [
                        {"type": "Ready", "status": status},
                        {"type": "ScaleTargetInitialized", "status": status},
                    ],
                }),
            )
            .await;
        }
    };
    let deployments: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &resource(Kind::Deployment));
    let by_deployment = each(client.clone(), Kind::Deployment, |deployment| {
        let (autoscalers, report) = (autoscalers.clone(), &report);
        async move {
            let revision = deployment.name_any().replace("-deployment", "");
            if let Ok(Some(autoscaler)) = autoscalers.get_opt(&revision).await {
                report(Some(deployment), autoscaler).await;
            }
        }
    });
    let by_autoscaler = each(client.clone(), Kind::PodAutoscaler, |autoscaler| {
        let (deployments, report) = (deployments.clone(), &report);
        async move {
            let name = format!("{}-deployment", autoscaler.name_any());
            let deployment = deployments.get_opt(&name).await.ok().flatten();
            report(deployment, autoscaler).await;
        }
    });
    futures::join!(by_deployment, by_autoscaler);
}

/// Takes every Ingress as it is.
async fn pretended_gateway(client: Client) {
    each(client.clone(), Kind::Ingress, |ingress| {
        let client = client.clone();
        async move {
            let status = json!({
                "observedGeneration": ingress.metadata.generation,
                "conditions": [{"type": "Ready", "status": "True"}],
            });
            write_status(&client, Kind::Ingress, &ingress, status).await;
        }
    })
    .await;
}

pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> &'a Value {
    object.data["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

pub fn manifest(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

pub fn template(image: &str) -> Value {
    json!({"spec": {"containers": [{"image": image}]}})
}

pub fn service(name: &str, image: &str) -> Value {
    manifest("Service", name, json!({"template": template(image)}))
}

pub fn configuration(name: &str, image: &str) -> Value {
    manifest("Configuration", name, json!({"template": template(image)}))
}

pub fn route(name: &str, traffic: Value) -> Value {
    manifest("Route", name, json!({ "traffic": traffic }))
}

#[tokio::test]
async fn a_service_becomes_ready_and_moves_to_its_next_revision() {
    let cluster = Cluster::start();
    cluster
        .apply(Kind::Service, service("hello", "app:1"))
        .await
        .unwrap();
    let ready = cluster.ready(Kind::Service, "hello").await;
    assert_eq!(
        ready.data["status"]["url"],
        "http://hello.default.localhost:8080"
    );
    assert_eq!(
        ready.data["status"]["latestReadyRevisionName"],
        "hello-00001"
    );
    assert_eq!(ready.annotations()["serving.knative.dev/creator"], "ada");
    assert_eq!(ready.metadata.generation, Some(1));
    let core = cluster.api(Kind::CoreService).get("hello").await.unwrap();
    assert_eq!(core.labels()["serving.knative.dev/route"], "hello");

    cluster
        .apply(Kind::Service, service("hello", "app:2"))
        .await
        .unwrap();
    let moved = cluster
        .wait(Kind::Service, "hello", "moved", |service| {
            service.data["status"]["traffic"][0]["revisionName"] == "hello-00002"
                && condition(service, "Ready")["status"] == "True"
        })
        .await;
    assert_eq!(moved.metadata.generation, Some(2));
    cluster
        .wait(Kind::Revision, "hello-00001", "was retired", |revision| {
            revision.labels()["serving.knative.dev/routingState"] == "reserve"
        })
        .await;

    // Once all is done, the same apply again changes nothing at all.
    let again = cluster
        .apply(Kind::Service, service("hello", "app:2"))
        .await
        .unwrap();
    assert_eq!(again.metadata.generation, Some(2));
    assert_eq!(
        cluster
            .api(Kind::Revision)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_deleted_service_takes_everything_with_it() {
    let cluster = Cluster::start();
    cluster
        .apply(Kind::Service, service("hello", "app:1"))
        .await
        .unwrap();
    cluster.ready(Kind::Service, "hello").await;
    cluster
        .api(Kind::Service)
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    for (kind, name) in [
        (Kind::Service, "hello"),
        (Kind::Route, "hello"),
        (Kind::Configuration, "hello"),
        (Kind::Revision, "hello-00001"),
        (Kind::Deployment, "hello-00001-deployment"),
        (Kind::PodAutoscaler, "hello-00001"),
        (Kind::Ingress, "hello"),
        (Kind::CoreService, "hello"),
    ] {
        cluster.gone(kind, name).await;
    }
    let pods = async {
        while !cluster
            .api(Kind::Pod)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, pods)
        .await
        .expect("Pods are left");
    cluster.stop().await;
}

#[tokio::test]
async fn sixty_services_at_once_all_become_ready() {
    let cluster = Cluster::start();
    let services = cluster.api(Kind::Service);
    for number in 0..60 {
        let object = serde_json::from_value(service(&format!("s-{number}"), "app:1")).unwrap();
        services
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    for number in 0..60 {
        cluster.ready(Kind::Service, &format!("s-{number}")).await;
    }
    let pods = cluster
        .api(Kind::Pod)
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(pods.items.len(), 60, "one Pod each, none made twice");
    cluster.stop().await;
}

#[tokio::test]
async fn on_a_real_node_a_service_runs_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::on_a_node(folder.path());
    cluster
        .apply(Kind::Service, service("hello", "sluice.local/hello:v1"))
        .await
        .unwrap();
    cluster.ready(Kind::Service, "hello").await;
    let pods = cluster
        .api(Kind::Pod)
        .list(&ListParams::default())
        .await
        .unwrap();
    let pod = pods.items.first().unwrap();
    assert_eq!(pod.labels()["serving.knative.dev/revision"], "hello-00001");
    assert_eq!(condition(pod, "Ready")["status"], "True");
    cluster
        .api(Kind::Service)
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    cluster.gone(Kind::Pod, &pod.name_any()).await;
    cluster.stop().await;
}

#[tokio::test]
async fn on_a_real_node_a_crash_loop_fails_its_revision_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::on_a_node(folder.path());
    let mut crashing = configuration("app", "sluice.local/crash:v1");
    crashing["spec"]["template"]["metadata"] =
        json!({"annotations": {"serving.knative.dev/progress-deadline": "3s"}});
    cluster.apply(Kind::Configuration, crashing).await.unwrap();
    let revision = cluster
        .wait(Kind::Revision, "app-00001", "failed", |revision| {
            condition(revision, "Ready")["status"] == "False"
        })
        .await;
    let healthy = condition(&revision, "ContainerHealthy");
    assert!(
        healthy["reason"].as_str().unwrap().starts_with("ExitCode"),
        "{healthy}"
    );
    assert!(
        healthy["message"]
            .as_str()
            .unwrap()
            .starts_with("Container failed with: "),
        "{healthy}"
    );
    cluster.stop().await;
}
