//! The gateway and the autoscaler on a cluster: what clients get while objects change.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use sluice::local::apiserver::ApiServer;
use sluice::local::autoscaler::{self, AutoscalerConfig};
use sluice::local::controllers::kind::Kind;
use sluice::local::controllers::{self, ControllersConfig};
use sluice::local::gateway::{Gateway, GatewayConfig};
use sluice::local::node::images::Images;
use sluice::local::node::{self, NodeConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A bound for waits, far above what any of them takes.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// An API server with a gateway.
pub struct Fixture {
    server: ApiServer,
    pub client: Client,
    pub gateway: Gateway,
    pub http: HttpClient<HttpConnector, Empty<Bytes>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Fixture {
    pub async fn start() -> Self {
        let server = ApiServer::builder()
            .kinds(sluice::local::knative::kinds())
            .build()
            .unwrap();
        let client = server.client();
        let stop = CancellationToken::new();
        let config = GatewayConfig::default();
        let gateway = Gateway::start(client.clone(), config, stop.clone())
            .await
            .unwrap();
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self {
            server,
            client,
            gateway,
            http,
            stop,
            tasks: JoinSet::new(),
        }
    }

    /// Adds all that makes a cluster of it; an idle revision goes to zero in a second.
    fn whole(&mut self, folder: &Path) {
        self.whole_with(folder, "images: []");
    }

    /// The same, on a node that knows these images besides the built-in ones.
    pub fn whole_with(&mut self, folder: &Path, images: &str) {
        let sluice = env!("CARGO_BIN_EXE_sluice");
        let file = folder.join("images.yaml");
        std::fs::write(&file, images).unwrap();
        let images = Images::load(&file, Path::new(sluice)).unwrap();
        let mut config = NodeConfig::new(folder.join("node"), images, sluice.into());
        config.requests = Arc::new(self.gateway.demand());
        self.server.set_pod_logs(config.logs.clone());
        let node = node::run(self.client.clone(), config, self.stop.clone());
        self.tasks.spawn(async move { node.await.unwrap() });
        let config = ControllersConfig::default();
        self.tasks.spawn(controllers::run(
            self.client.clone(),
            config,
            self.stop.clone(),
        ));
        let config = AutoscalerConfig {
            stable_window: Duration::from_secs(1),
            tick: Duration::from_millis(100),
            ..AutoscalerConfig::default()
        };
        let demand = self.gateway.demand();
        self.tasks.spawn(autoscaler::run(
            self.client.clone(),
            demand,
            config,
            self.stop.clone(),
        ));
    }

    pub async fn end(mut self) {
        self.stop.cancel();
        let ended = async {
            self.gateway.join().await;
            while let Some(task) = self.tasks.join_next().await {
                task.unwrap();
            }
            self.server.shutdown().await;
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("every task ends");
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), "default", &kind.resource())
    }

    pub async fn create(&self, kind: Kind, name: &str, spec: Value) {
        let mut object = DynamicObject::new(name, &kind.resource());
        object.data = json!({"spec": spec});
        self.api(kind)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    pub async fn patch(&self, kind: Kind, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.api(kind)
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Waits until an object is as wanted, and gives it.
    pub async fn wait(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut seen = watcher(self.api(kind), config).applied_objects().boxed();
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let object = seen.try_next().await.unwrap().unwrap();
                if wanted(&object) {
                    return object;
                }
                last = Some(object);
            }
        });
        match found.await {
            Ok(object) => object,
            Err(_) => panic!(
                "{name} is never {what}; last: {:#}",
                last.map(|o| o.data).unwrap_or_default()
            ),
        }
    }

    pub async fn served(&self, name: &str) -> DynamicObject {
        self.wait(Kind::Ingress, name, "ready at its generation", |ingress| {
            ingress.data["status"]["observedGeneration"].as_i64() == ingress.metadata.generation
                && is_ready(ingress)
        })
        .await
    }

    /// A revision with one ready Pod that is `app`.
    async fn revision(&self, name: &str, app: SocketAddr) {
        let spec = json!({"containers": [{"image": "example.com/app"}]});
        self.create(Kind::Revision, name, spec).await;
        let pod = json!({
            "metadata": {
                "name": format!("{name}-pod"),
                "labels": {"serving.knative.dev/revision": name},
                "annotations": {"local.sluice.dev/port": app.port().to_string()},
            },
            "spec": {"containers": [{"name": "user-container", "image": "example.com/app"}]},
        });
        let pods: Api<Pod> = Api::default_namespaced(self.client.clone());
        let pod = serde_json::from_value(pod).unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
        self.pod_ready(name, "True").await;
    }

    async fn pod_ready(&self, revision: &str, ready: &str) {
        let status = json!({"status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
        }});
        let pods: Api<Pod> = Api::default_namespaced(self.client.clone());
        pods.patch_status(
            &format!("{revision}-pod"),
            &PatchParams::default(),
            &Patch::Merge(&status),
        )
        .await
        .unwrap();
    }

    pub async fn ask(&self, host: &str) -> (u16, String) {
        ask(&self.http, self.gateway.address, host).await
    }

    /// The metrics page, found as an agent finds it.
    pub async fn metrics(&self) -> String {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "knative-serving");
        let config = watcher::Config::default().fields("metadata.name=sluice-gateway");
        let mut seen = watcher(maps, config).applied_objects().boxed();
        let map = tokio::time::timeout(PATIENCE, seen.try_next()).await;
        let url = map.unwrap().unwrap().unwrap().data.unwrap()["metricsURL"].clone();
        let page = self.http.get(url.parse().unwrap()).await.unwrap();
        let page = page.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(page.to_vec()).unwrap()
    }
}

pub async fn ask(
    http: &HttpClient<HttpConnector, Empty<Bytes>>,
    gateway: SocketAddr,
    host: &str,
) -> (u16, String) {
    let request = Request::get(format!("http://{gateway}/"))
        .header("host", host)
        .body(Empty::new())
        .unwrap();
    let answer = http.request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).trim().to_owned())
}

pub fn is_ready(object: &DynamicObject) -> bool {
    object.data["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
        })
}

/// A server that says its name, in the role of a Pod.
pub async fn app(tasks: &mut JoinSet<()>, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |_| async move {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                    name.as_bytes(),
                ))))
            });
            connections.spawn(async move {
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

pub fn ingress(splits: &[(&str, u8)]) -> Value {
    let splits: Vec<_> = splits
        .iter()
        .map(|(name, percent)| {
            json!({"serviceName": name, "serviceNamespace": "default", "servicePort": 80, "percent": percent})
        })
        .collect();
    json!({"rules": [{"hosts": ["hello.default.localhost"], "visibility": "ExternalIP",
                      "http": {"paths": [{"splits": splits}]}}]})
}

#[tokio::test]
async fn a_ready_ingress_is_one_that_is_served() {
    let stage = Fixture::start().await;
    let mut apps = JoinSet::new();
    let (one, two) = (app(&mut apps, "one").await, app(&mut apps, "two").await);
    stage.revision("hello-1", one).await;
    stage.revision("hello-2", two).await;
    let host = "hello.default.localhost";
    assert_eq!(stage.ask(host).await.0, 404);

    stage
        .create(Kind::Ingress, "hello", ingress(&[("hello-1", 100)]))
        .await;
    stage.served("hello").await;
    assert_eq!(stage.ask(host).await, (200, "one".into()));

    let splits = ingress(&[("hello-1", 80), ("hello-2", 20)]);
    stage
        .patch(Kind::Ingress, "hello", json!({"spec": splits}))
        .await;
    stage.served("hello").await;
    let mut counts = BTreeMap::new();
    for _ in 0..100 {
        *counts.entry(stage.ask(host).await.1).or_insert(0) += 1;
    }
    assert_eq!(
        counts,
        BTreeMap::from([("one".into(), 80), ("two".into(), 20)])
    );

    let page = stage.metrics().await;
    for line in [
        r#"envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-1"} 81"#,
        r#"envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-2"} 20"#,
        r#"envoy_cluster_external_upstream_rq_time_count{envoy_cluster_name="default/hello-2"} 20"#,
    ] {
        assert!(page.contains(line), "{line}\n not in\n{page}");
    }

    stage
        .api(Kind::Ingress)
        .delete("hello", &Default::default())
        .await
        .unwrap();
    let gone = async {
        while stage.ask(host).await.0 != 404 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the host is gone with its Ingress");
    stage.end().await;
}

#[tokio::test]
async fn a_request_waits_while_no_pod_is_ready() {
    let stage = Fixture::start().await;
    let mut apps = JoinSet::new();
    let address = app(&mut apps, "one").await;
    stage.revision("hello-1", address).await;
    stage
        .create(Kind::Ingress, "hello", ingress(&[("hello-1", 100)]))
        .await;
    stage.served("hello").await;
    assert_eq!(stage.ask("hello.default.localhost").await.0, 200);
    stage.pod_ready("hello-1", "False").await;
    let key = sluice::local::gateway::backend::RevisionKey::new("default", "hello-1");
    let demand = stage.gateway.demand();
    let until = async |holds: &dyn Fn() -> bool| {
        let waited = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap();
    };
    until(&|| demand.load(&key).ready == 0).await;
    let asked = tokio::spawn({
        let (http, gateway) = (stage.http.clone(), stage.gateway.address);
        async move { ask(&http, gateway, "hello.default.localhost").await }
    });
    until(&|| demand.load(&key).waiting == 1).await;
    stage.pod_ready("hello-1", "True").await;
    assert_eq!(asked.await.unwrap(), (200, "one".into()));
    stage.end().await;
}

/// A Service as admission leaves it.
pub fn service(target: &str) -> Value {
    json!({
        "template": {
            "spec": {
                "containerConcurrency": 0,
                "timeoutSeconds": 60,
                "enableServiceLinks": false,
                "containers": [{
                    "name": "user-container",
                    "image": "sluice.local/hello",
                    "env": [{"name": "TARGET", "value": target}],
                    "resources": {},
                    "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
                }],
            },
        },
        "traffic": [{"latestRevision": true, "percent": 100}],
    })
}

pub async fn ready_service(stage: &Fixture, generation: i64) {
    stage
        .wait(Kind::Service, "hello", "ready", |service| {
            service.data["status"]["observedGeneration"].as_i64() == Some(generation)
                && is_ready(service)
        })
        .await;
}

#[tokio::test]
async fn a_service_goes_to_zero_and_comes_back_with_the_next_request() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole(folder.path());
    stage.create(Kind::Service, "hello", service("World")).await;
    ready_service(&stage, 1).await;
    let host = "hello.default.localhost";
    assert_eq!(stage.ask(host).await, (200, "Hello World!".into()));
    stage
        .wait(Kind::PodAutoscaler, "hello-00001", "at zero", |pa| {
            pa.data["status"]["desiredScale"] == 0 && pa.data["status"]["actualScale"] == 0
        })
        .await;
    let revision = stage
        .wait(Kind::Revision, "hello-00001", "inactive", |revision| {
            revision.data["status"]["conditions"]
                .as_array()
                .is_some_and(|all| {
                    all.iter()
                        .any(|c| c["type"] == "Active" && c["status"] == "False")
                })
        })
        .await;
    assert!(is_ready(&revision), "at zero a revision is still ready");
    assert_eq!(stage.ask(host).await, (200, "Hello World!".into()));
    let page = stage.metrics().await;
    let cold = r#"sluice_gateway_cold_starts_total{envoy_cluster_name="default/hello-00001"} 1"#;
    assert!(page.contains(cold), "{page}");
    stage.end().await;
}

#[tokio::test]
async fn a_rollout_under_load_harms_no_request() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole(folder.path());
    stage.create(Kind::Service, "hello", service("old")).await;
    ready_service(&stage, 1).await;
    let (stop, new) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut users = JoinSet::new();
    for _ in 0..4 {
        let (http, gateway) = (stage.http.clone(), stage.gateway.address);
        let (stop, new) = (stop.clone(), new.clone());
        users.spawn(async move {
            let mut harmed = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                match ask(&http, gateway, "hello.default.localhost").await {
                    (200, body) if body == "Hello new!" => {
                        new.fetch_add(1, Ordering::SeqCst);
                    }
                    (200, _) => {}
                    other => harmed.push(other),
                }
            }
            harmed
        });
    }
    let spec = service("new");
    stage
        .patch(
            Kind::Service,
            "hello",
            json!({"spec": {"template": spec["template"]}}),
        )
        .await;
    ready_service(&stage, 2).await;
    // The old revision is unreachable now, and its instance ends.
    stage
        .wait(Kind::PodAutoscaler, "hello-00001", "at zero", |pa| {
            pa.data["status"]["desiredScale"] == 0 && pa.data["status"]["actualScale"] == 0
        })
        .await;
    stop.store(true, Ordering::SeqCst);
    while let Some(harmed) = users.join_next().await {
        assert_eq!(harmed.unwrap(), []);
    }
    assert!(new.load(Ordering::SeqCst) > 0);
    stage.end().await;
}
