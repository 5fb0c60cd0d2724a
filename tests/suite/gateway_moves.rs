//! Requests while the cluster moves under them: bursts, moves, ends and a lost API
//! server. What a client gets is the only thing that counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use sluice::local::apiserver::ApiServer;
use sluice::local::controllers::kind::Kind;
use sluice::local::gateway::backend::RevisionKey;
use sluice::local::gateway::{Gateway, GatewayConfig};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gateway::{Fixture, PATIENCE, app, ingress, is_ready, ready_service, service};

type Http = HttpClient<HttpConnector, Empty<Bytes>>;

/// One request: status, reason and body, or what broke.
async fn ask(http: &Http, gateway: SocketAddr, host: &str) -> Result<(u16, String), String> {
    send(http, http::Method::GET, gateway, host).await
}

async fn send(
    http: &Http,
    method: http::Method,
    gateway: SocketAddr,
    host: &str,
) -> Result<(u16, String), String> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{gateway}/"))
        .header("host", host)
        .body(Empty::new())
        .unwrap();
    let answer = http.request(request).await.map_err(|e| format!("{e:?}"))?;
    let status = answer.status().as_u16();
    let reason = answer.headers().get("x-sluice-reason").cloned();
    let body = answer.into_body().collect().await;
    let body = body
        .map_err(|e| format!("in its answer: {e:?}"))?
        .to_bytes();
    let said = match reason {
        Some(reason) => reason.to_str().unwrap().to_owned(),
        None => String::from_utf8_lossy(&body).trim().to_owned(),
    };
    Ok((status, said))
}

/// Clients that ask one after the other without a pause, each on a connection of its own.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<BTreeMap<String, usize>>,
}

impl Load {
    fn start(gateway: SocketAddr, host: &'static str, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let stop = stop.clone();
            running.spawn(async move {
                let http: Http = HttpClient::builder(TokioExecutor::new()).build_http();
                let mut counts = BTreeMap::new();
                while !stop.load(Ordering::SeqCst) {
                    let got = match ask(&http, gateway, host).await {
                        Ok((status, said)) => format!("{status} {said}"),
                        Err(broken) => broken,
                    };
                    *counts.entry(got).or_insert(0) += 1;
                }
                counts
            });
        }
        Self {
            stop,
            clients: running,
        }
    }

    /// Ends them; how often each answer came.
    async fn stop(mut self) -> BTreeMap<String, usize> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = BTreeMap::new();
        while let Some(counts) = self.clients.join_next().await {
            for (answer, count) in counts.unwrap() {
                *all.entry(answer).or_insert(0) += count;
            }
        }
        all
    }
}

/// The Service's spec with further variables and another image.
fn changed(mut spec: Value, image: &str, env: &[(&str, &str)]) -> Value {
    let container = &mut spec["template"]["spec"]["containers"][0];
    container["image"] = json!(image);
    for (name, value) in env {
        let list = container["env"].as_array_mut().unwrap();
        list.push(json!({"name": name, "value": value}));
    }
    spec
}

async fn at_zero(stage: &Fixture, revision: &str) {
    stage
        .wait(Kind::PodAutoscaler, revision, "at zero", |pa| {
            pa.data["status"]["desiredScale"] == 0 && pa.data["status"]["actualScale"] == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_a_hundred_requests_to_a_service_at_zero_is_answered_to_the_last() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole_with(folder.path(), "images: []");
    // It starts slowly: all of them have to wait.
    let spec = changed(
        service("World"),
        "sluice.local/hello",
        &[("LISTEN_AFTER_MS", "500")],
    );
    stage.create(Kind::Service, "hello", spec).await;
    ready_service(&stage, 1).await;
    at_zero(&stage, "hello-00001").await;
    let mut burst = JoinSet::new();
    for _ in 0..100 {
        let (http, gateway) = (stage.http.clone(), stage.gateway.address);
        burst.spawn(async move { ask(&http, gateway, "hello.default.localhost").await });
    }
    while let Some(answer) = burst.join_next().await {
        assert_eq!(answer.unwrap(), Ok((200, "Hello World!".to_owned())));
    }
    let page = stage.metrics().await;
    let cold = r#"sluice_gateway_cold_starts_total{envoy_cluster_name="default/hello-00001"} 100"#;
    assert!(page.contains(cold), "{page}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_moves_twenty_times_under_load_and_no_request_is_harmed() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole_with(folder.path(), "images: []");
    for colour in ["blue", "green"] {
        // Each request takes its time: at every move some are under way.
        let spec = changed(service(colour), "sluice.local/hello", &[("DELAY_MS", "20")]);
        let spec = json!({"template": spec["template"]});
        stage.create(Kind::Configuration, colour, spec).await;
    }
    let traffic = |revision: &str| json!({"traffic": [{"revisionName": revision, "percent": 100, "latestRevision": false}]});
    stage
        .create(Kind::Route, "app", traffic("blue-00001"))
        .await;
    let moved = async |generation: i64, revision: &str| {
        stage
            .wait(Kind::Route, "app", revision, |route| {
                let status = &route.data["status"];
                status["observedGeneration"].as_i64() == Some(generation)
                    && is_ready(route)
                    && status["traffic"][0]["revisionName"] == revision
            })
            .await;
    };
    moved(1, "blue-00001").await;
    let load = Load::start(stage.gateway.address, "app.default.localhost", 8);
    for turn in 0..20 {
        let revision = ["green-00001", "blue-00001"][turn % 2];
        let patch = json!({"spec": traffic(revision)});
        stage.patch(Kind::Route, "app", patch).await;
        moved(i64::try_from(turn).unwrap() + 2, revision).await;
    }
    let answers = load.stop().await;
    let kinds: Vec<&str> = answers.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        ["200 Hello blue!", "200 Hello green!"],
        "{answers:?}"
    );
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_deleted_answers_what_it_has_before_it_is_told_to_end() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    // A program that drops everything at the first signal, as many do.
    let rude = format!(
        "images: [{{match: 'rude:*', command: [sh, -c, \"trap 'exit 1' TERM; {} sample hello & wait\"]}}]",
        env!("CARGO_BIN_EXE_sluice")
    );
    stage.whole_with(folder.path(), &rude);
    // Longer than the moment that every deleted Pod goes on serving.
    let spec = changed(service("patience"), "rude:1", &[("DELAY_MS", "1500")]);
    stage.create(Kind::Service, "hello", spec).await;
    ready_service(&stage, 1).await;
    let mut asked = JoinSet::new();
    for _ in 0..4 {
        let (http, gateway) = (stage.http.clone(), stage.gateway.address);
        asked.spawn(async move {
            // What may have been done is not sent again, unlike a GET.
            let post = http::Method::POST;
            send(&http, post, gateway, "hello.default.localhost").await
        });
    }
    let demand = stage.gateway.demand();
    let key = RevisionKey::new("default", "hello-00001");
    let at_the_pod = async {
        while demand.load(&key).in_flight < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, at_the_pod).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(stage.client.clone());
    let pod = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .remove(0);
    let name = pod.metadata.name.unwrap();
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    while let Some(answer) = asked.join_next().await {
        assert_eq!(answer.unwrap(), Ok((200, "Hello patience!".to_owned())));
    }
    // And then it goes, long before its 60 seconds of grace are over.
    let gone = kube::runtime::wait::await_condition(pods, &name, |pod: Option<&Pod>| pod.is_none());
    let at_once = PATIENCE / 3;
    tokio::time::timeout(at_once, gone)
        .await
        .expect("it goes")
        .unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_deleted_under_load_breaks_no_answer_off() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole_with(folder.path(), "images: []");
    let spec = changed(service("all"), "sluice.local/hello", &[("DELAY_MS", "20")]);
    stage.create(Kind::Service, "hello", spec).await;
    ready_service(&stage, 1).await;
    let load = Load::start(stage.gateway.address, "hello.default.localhost", 8);
    let services = stage.api(Kind::Service);
    services
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    let gone = kube::runtime::wait::await_condition(
        stage.api(Kind::Revision),
        "hello-00001",
        |revision: Option<&DynamicObject>| revision.is_none(),
    );
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("it goes")
        .unwrap();
    let no_route = async {
        while stage.ask("hello.default.localhost").await.0 != 404 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, no_route).await.unwrap();
    let answers = load.stop().await;
    for answer in answers.keys() {
        // Served, or told plainly that there is nothing any more.
        assert!(
            ["200 Hello all!", "404 UnknownHost", "503 RevisionGone"].contains(&answer.as_str()),
            "{answers:?}"
        );
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_stand_while_the_api_server_is_away_and_follow_it_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let build = || {
        let data = Some(folder.path().join("api"));
        ApiServer::builder()
            .kinds(sluice::local::knative::kinds())
            .data_dir(data)
            .build()
            .unwrap()
    };
    let server = build();
    let listening = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listening.address;
    listening.write_kubeconfig(&kubeconfig).unwrap();
    let config = Kubeconfig::read_from(&kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let client = kube::Client::try_from(config.unwrap()).unwrap();
    let stop = CancellationToken::new();
    let gateway = Gateway::start(client.clone(), GatewayConfig::default(), stop.clone());
    let gateway = gateway.await.unwrap();

    let mut apps = JoinSet::new();
    for (revision, name) in [("hello-1", "one"), ("hello-2", "two")] {
        let address = app(&mut apps, name).await;
        let make = async |kind: Kind, name: &str, data: Value| {
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), "default", &kind.resource());
            let mut object = DynamicObject::new(name, &kind.resource());
            object.metadata.labels =
                Some([("serving.knative.dev/revision".into(), revision.into())].into());
            object.metadata.annotations =
                Some([("local.sluice.dev/port".into(), address.port().to_string())].into());
            object.data = data;
            api.create(&PostParams::default(), &object).await.unwrap();
            api
        };
        let spec = json!({"spec": {"containers": [{"name": "c", "image": "example.com/app"}]}});
        make(Kind::Revision, revision, spec.clone()).await;
        let pods = make(Kind::Pod, revision, spec).await;
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let params = PatchParams::default();
        pods.patch_status(revision, &params, &Patch::Merge(ready))
            .await
            .unwrap();
    }
    let ingresses: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &Kind::Ingress.resource());
    let mut object = DynamicObject::new("hello", &Kind::Ingress.resource());
    object.data = json!({"spec": ingress(&[("hello-1", 100)])});
    ingresses
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let http: Http = HttpClient::builder(TokioExecutor::new()).build_http();
    let says = async |wanted: (u16, &str)| {
        let until = async {
            loop {
                let got = ask(&http, gateway.address, "hello.default.localhost")
                    .await
                    .unwrap();
                if got == (wanted.0, wanted.1.to_owned()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, until)
            .await
            .expect("it is served");
    };
    says((200, "one")).await;

    listening.shutdown().await;
    server.shutdown().await;
    drop(server);
    assert!(
        ingresses.get("hello").await.is_err(),
        "the API server is away"
    );
    for _ in 0..100 {
        let got = ask(&http, gateway.address, "hello.default.localhost").await;
        assert_eq!(got, Ok((200, "one".to_owned())));
    }

    let server = build();
    let listening = server.serve(address).await.unwrap();
    let here: Api<DynamicObject> =
        Api::namespaced_with(server.client(), "default", &Kind::Ingress.resource());
    let patch = Patch::Merge(json!({"spec": ingress(&[("hello-2", 100)])}));
    here.patch("hello", &PatchParams::default(), &patch)
        .await
        .unwrap();
    says((200, "two")).await;

    stop.cancel();
    gateway.join().await;
    listening.shutdown().await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_metrics_page_is_read_by_prometheus_own_rules() {
    use prometheus_parse::{Scrape, Value as Read};
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole_with(folder.path(), "images: []");
    let spec = changed(
        service("half"),
        "sluice.local/hello",
        &[("FAIL_PERCENT", "50")],
    );
    stage.create(Kind::Service, "hello", spec).await;
    ready_service(&stage, 1).await;
    for _ in 0..10 {
        stage.ask("hello.default.localhost").await;
    }
    stage.ask("nobody.default.localhost").await;
    let page = stage.metrics().await;
    let scrape = Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let of = |metric: &str| -> Vec<_> {
        let samples = scrape.samples.iter();
        samples.filter(|sample| sample.metric == metric).collect()
    };
    let mut codes = BTreeMap::new();
    for sample in of("envoy_cluster_external_upstream_rq") {
        assert_eq!(
            sample.labels.get("envoy_cluster_name"),
            Some("default/hello-00001")
        );
        let code = sample.labels.get("envoy_response_code").unwrap().to_owned();
        let Read::Counter(count) = sample.value else {
            panic!("{sample:?} is no counter");
        };
        codes.insert(code, count);
    }
    assert_eq!(
        codes,
        BTreeMap::from([("200".into(), 5.0), ("500".into(), 5.0)])
    );
    let times = of("envoy_cluster_external_upstream_rq_time");
    let [time] = times.as_slice() else {
        panic!("one histogram for one revision: {times:?}");
    };
    let Read::Histogram(buckets) = &time.value else {
        panic!("{time:?} is no histogram");
    };
    assert!(buckets.is_sorted_by(|a, b| a.less_than < b.less_than && a.count <= b.count));
    let last = buckets.last().unwrap();
    assert_eq!((last.less_than, last.count), (f64::INFINITY, 10.0));
    assert_eq!(of("sluice_gateway_unrouted_requests_total").len(), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn min_scale_and_initial_scale_are_kept_and_given_up_when_nobody_can_ask() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole_with(folder.path(), "images: []");
    let mut spec = service("two");
    spec["template"]["metadata"] = json!({"annotations": {
        "autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/initial-scale": "3",
    }});
    stage.create(Kind::Service, "hello", spec).await;
    ready_service(&stage, 1).await;
    let scale = async |wanted: i64| {
        stage
            .wait(Kind::Revision, "hello-00001", "at its scale", |revision| {
                let status = &revision.data["status"];
                status["desiredReplicas"].as_i64() == Some(wanted)
                    && status["actualReplicas"].as_i64() == Some(wanted)
            })
            .await;
    };
    // Ready at three; and then two stay, however long nobody asks.
    scale(2).await;
    let pods: Api<Pod> = Api::default_namespaced(stage.client.clone());
    let running = pods.list(&ListParams::default()).await.unwrap();
    let made = running.items.len();
    assert!(
        (2..=3).contains(&made),
        "{made} Pods: the third is on its way out"
    );
    let next = service("next");
    let patch = json!({"spec": {"template": next["template"]}});
    stage.patch(Kind::Service, "hello", patch).await;
    ready_service(&stage, 2).await;
    scale(0).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_settings_are_heeded_when_they_change_and_when_they_go() {
    let mut stage = Fixture::start().await;
    let folder = tempfile::tempdir().unwrap();
    stage.whole_with(folder.path(), "images: []");
    // The gateway makes the namespace when it says where it is.
    stage.metrics().await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "knative-serving");
    let set = async |name: &str, data: Value| {
        let map = json!({"metadata": {"name": name}, "data": data});
        let map = serde_json::from_value(map).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    };
    set("config-autoscaler", json!({"initial-scale": "2"})).await;
    set(
        "config-gc",
        json!({
            "retain-since-create-time": "disabled", "retain-since-last-active-time": "disabled",
            "min-non-active-revisions": "0", "max-non-active-revisions": "0",
        }),
    )
    .await;
    let starts_with_two = stage.wait(
        Kind::Deployment,
        "hello-00001-deployment",
        "told to start with two",
        |deployment| deployment.data["spec"]["replicas"] == 2,
    );
    let made = stage.create(Kind::Service, "hello", service("one"));
    futures::join!(starts_with_two, made);
    ready_service(&stage, 1).await;
    let next = json!({"spec": {"template": service("two")["template"]}});
    stage.patch(Kind::Service, "hello", next).await;
    ready_service(&stage, 2).await;
    // None without traffic may stay.
    let gone = kube::runtime::wait::await_condition(
        stage.api(Kind::Revision),
        "hello-00001",
        |revision: Option<&DynamicObject>| revision.is_none(),
    );
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the old one goes")
        .unwrap();
    // Without its settings the cluster is as before.
    maps.delete("config-gc", &DeleteParams::default())
        .await
        .unwrap();
    at_zero(&stage, "hello-00002").await;
    stage.end().await;
}
