//! Knative's objects and the processes behind them: what each says of the other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};
use sluice::local::cluster::{LocalCluster, LocalConfig};
use sluice::local::controllers::kind::Kind;

use super::serving::{Cluster, PATIENCE, condition, configuration, manifest, service};

/// The conditions of an object, one a line: type, status, reason, message.
fn conditions(object: &DynamicObject) -> String {
    let all = object.data["status"]["conditions"].as_array();
    let lines = all.into_iter().flatten().map(|condition| {
        let words = ["type", "status", "reason", "message"];
        let words = words.map(|key| condition[key].as_str().unwrap_or("").to_owned());
        format!("{}\n", words.join(" ").trim_end())
    });
    lines.collect()
}

async fn only_pod(cluster: &Cluster) -> DynamicObject {
    let pods = cluster.api(Kind::Pod).list(&ListParams::default()).await;
    pods.unwrap().items.into_iter().next().expect("a Pod")
}

#[tokio::test]
async fn a_crash_loop_is_told_by_pods_at_once_and_by_the_revision_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::on_a_node(folder.path());
    let crashing = configuration("app", "sluice.local/crash:v1");
    cluster.apply(Kind::Configuration, crashing).await.unwrap();
    let revision = cluster
        .wait(Kind::Revision, "app-00001", "made", |_| true)
        .await;
    let deployed = |object: &DynamicObject| !object.data["status"]["conditions"].is_null();
    cluster
        .wait(Kind::Revision, "app-00001", "looked at", deployed)
        .await;
    let pod = loop {
        let pods = cluster.api(Kind::Pod).list(&ListParams::default()).await;
        match pods.unwrap().items.into_iter().next() {
            Some(pod) => break pod.name_any(),
            None => tokio::task::yield_now().await,
        }
    };
    let pod = cluster
        .wait(Kind::Pod, &pod, "in a loop", |pod| {
            let status = &pod.data["status"]["containerStatuses"][0];
            status["restartCount"].as_i64() >= Some(2)
                && status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
        .await;
    let status = &pod.data["status"]["containerStatuses"][0];
    let last = &status["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"], &last["message"]),
        (
            &json!(1),
            &json!("Error"),
            &json!("crash: crashing at start with status 1, as asked\n")
        )
    );
    let waiting = status["state"]["waiting"]["message"].as_str().unwrap();
    assert!(waiting.starts_with("back-off "), "{waiting}");
    assert!(
        waiting.contains("restarting failed container=user-container pod=app-00001-deployment-"),
        "{waiting}"
    );
    // As seen on a real one: 600 seconds long the Revision knows of nothing.
    let now = cluster.api(Kind::Revision).get("app-00001").await.unwrap();
    expect_test::expect![[r#"
        Active Unknown
        ContainerHealthy Unknown Deploying
        Ready Unknown Deploying
        ResourcesAvailable Unknown Deploying
    "#]]
    .assert_eq(&conditions(&now));
    let configuration = cluster.api(Kind::Configuration).get("app").await.unwrap();
    assert_eq!(conditions(&configuration), "Ready Unknown\n");
    assert_eq!(now.metadata.uid, revision.metadata.uid);
    cluster.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_is_told_where_it_serves_and_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::on_a_node(folder.path());
    let manifest = service("hello", "sluice.local/hello:v1");
    cluster.apply(Kind::Service, manifest).await.unwrap();
    cluster.ready(Kind::Service, "hello").await;
    let pod = only_pod(&cluster).await;
    let status = &pod.data["status"]["containerStatuses"][0];
    let id = status["containerID"].as_str().unwrap();
    let pid = id.strip_prefix("process://").unwrap();
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let environment: BTreeMap<&str, &str> = environment
        .split('\0')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let port = pod.annotations()["local.sluice.dev/port"].as_str();
    for (name, value) in [
        ("PORT", port),
        ("K_SERVICE", "hello"),
        ("K_CONFIGURATION", "hello"),
        ("K_REVISION", "hello-00001"),
        ("HOSTNAME", &pod.name_any()),
    ] {
        assert_eq!(environment.get(name), Some(&value), "{environment:?}");
    }
    // Nothing of whoever started the cluster is the program's to see.
    let names: Vec<&str> = environment.keys().copied().collect();
    expect_test::expect![
        "HOME HOSTNAME K_CONFIGURATION K_REVISION K_SERVICE PATH PORT SLUICE_MOUNTS"
    ]
    .assert_eq(&names.join(" "));
    cluster.stop().await;
}

#[tokio::test]
async fn a_service_of_two_containers_is_ready_when_both_run() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::on_a_node(folder.path());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let side = free.local_addr().unwrap().port().to_string();
    drop(free);
    let pair = manifest(
        "Service",
        "pair",
        json!({"template": {"spec": {"containers": [
            {"image": "sluice.local/hello", "ports": [{"containerPort": 8888}]},
            {"image": "sluice.local/hello", "env": [{"name": "PORT", "value": side}]},
        ]}}}),
    );
    cluster.apply(Kind::Service, pair).await.unwrap();
    cluster.ready(Kind::Service, "pair").await;
    let pod = only_pod(&cluster).await;
    let containers = pod.data["status"]["containerStatuses"].as_array().unwrap();
    let told: Vec<_> = containers
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["ready"] == true))
        .collect();
    assert_eq!(
        told,
        [("user-container-0", true), ("user-container-1", true)]
    );
    cluster.stop().await;
}

#[tokio::test]
async fn children_that_somebody_deletes_come_back_and_serve_on() {
    let cluster = Cluster::start();
    let manifest = service("hello", "app:1");
    cluster.apply(Kind::Service, manifest).await.unwrap();
    cluster.ready(Kind::Service, "hello").await;
    for (kind, name) in [
        (Kind::Ingress, "hello"),
        (Kind::CoreService, "hello"),
        (Kind::PodAutoscaler, "hello-00001"),
        (Kind::Deployment, "hello-00001-deployment"),
        (Kind::Route, "hello"),
        (Kind::Revision, "hello-00001"),
        (Kind::Configuration, "hello"),
    ] {
        let before = cluster.api(kind).get(name).await.unwrap();
        cluster
            .api(kind)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        cluster
            .wait(kind, name, "made again", |now| {
                now.metadata.uid != before.metadata.uid
            })
            .await;
        cluster.ready(Kind::Service, "hello").await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_service_pins_one_revision_tags_it_and_lets_the_latest_follow() {
    let cluster = Cluster::start();
    let with = |image: &str, traffic: Value| {
        let mut manifest = service("hello", image);
        manifest["spec"]["traffic"] = traffic;
        manifest
    };
    let first = service("hello", "app:1");
    cluster.apply(Kind::Service, first).await.unwrap();
    cluster.ready(Kind::Service, "hello").await;
    let split = json!([
        {"revisionName": "hello-00001", "percent": 90, "tag": "stable"},
        {"latestRevision": true, "percent": 10, "tag": "candidate"},
        {"latestRevision": true, "percent": 0, "tag": "next"},
    ]);
    for number in [2, 3] {
        let manifest = with(&format!("app:{number}"), split.clone());
        cluster.apply(Kind::Service, manifest).await.unwrap();
        let latest = format!("hello-{number:05}");
        let moved = |service: &DynamicObject| {
            let status = &service.data["status"];
            status["observedGeneration"].as_i64() == service.metadata.generation
                && condition(service, "Ready")["status"] == "True"
                && status["traffic"][1]["revisionName"] == latest.as_str()
        };
        let service = cluster.wait(Kind::Service, "hello", "moved", moved).await;
        let url = |tag: &str| format!("http://{tag}-hello.default.localhost:8080");
        assert_eq!(
            service.data["status"]["traffic"],
            json!([
                {"revisionName": "hello-00001", "percent": 90, "latestRevision": false,
                 "tag": "stable", "url": url("stable")},
                {"revisionName": latest, "percent": 10, "latestRevision": true,
                 "tag": "candidate", "url": url("candidate")},
                {"revisionName": latest, "percent": 0, "latestRevision": true,
                 "tag": "next", "url": url("next")},
            ])
        );
    }
    // What no target names any more is in reserve, what one names is active.
    let reserve = |revision: &DynamicObject| {
        revision.labels()["serving.knative.dev/routingState"] == "reserve"
    };
    cluster
        .wait(Kind::Revision, "hello-00002", "in reserve", reserve)
        .await;
    let pinned = cluster
        .api(Kind::Revision)
        .get("hello-00001")
        .await
        .unwrap();
    assert_eq!(
        pinned.labels()["serving.knative.dev/routingState"],
        "active"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_nobody_knows_is_missing_before_a_pod_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = LocalCluster::start(LocalConfig {
        data_dir: Some(folder.path().to_owned()),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sluice"))),
        ..LocalConfig::default()
    })
    .await
    .unwrap();
    let client = cluster.client();
    let api = |kind: Kind| -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), "default", &kind.resource())
    };
    let manifest: DynamicObject =
        serde_json::from_value(service("shop", "ghcr.io/acme/shop:1.4")).unwrap();
    let services = api(Kind::Service);
    services
        .create(&PostParams::default(), &manifest)
        .await
        .unwrap();
    let failed = |service: Option<&DynamicObject>| {
        service.is_some_and(|service| {
            condition(service, "ConfigurationsReady")["status"] == "False"
                && condition(service, "RoutesReady")["status"] == "False"
        })
    };
    let failed = kube::runtime::wait::await_condition(services, "shop", failed);
    let failed = tokio::time::timeout(PATIENCE, failed)
        .await
        .expect("it fails");
    let why = "Unable to fetch image \"ghcr.io/acme/shop:1.4\": failed to resolve image to digest: \
               the local node runs images as processes and no command is known for this one; give \
               `--images FILE` a file with `- {match: \"ghcr.io/acme/shop*\", command: \
               [\"PROGRAM\", \"ARGUMENT\"]}` under `images:`";
    assert_eq!(
        conditions(&failed.unwrap().unwrap()),
        format!(
            "ConfigurationsReady False RevisionFailed Revision \"shop-00001\" failed with message: {why}.\n\
             Ready False RevisionMissing Configuration \"shop\" does not have any ready Revision.\n\
             RoutesReady False RevisionMissing Configuration \"shop\" does not have any ready Revision.\n"
        )
    );
    let revision = api(Kind::Revision).get("shop-00001").await.unwrap();
    assert_eq!(
        conditions(&revision),
        format!(
            "ContainerHealthy False ContainerMissing {why}\nReady False ContainerMissing {why}\n\
             ResourcesAvailable Unknown ResolvingDigests\n"
        )
    );
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    assert_eq!(
        pods.list(&ListParams::default()).await.unwrap().items.len(),
        0
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_allowed_fails_the_revision_before_a_pod_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images.yaml");
    std::fs::write(&images, "images: [{match: 'shop:*', command: [shop]}]").unwrap();
    let cluster = LocalCluster::start(LocalConfig {
        data_dir: Some(folder.path().join("data")),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sluice"))),
        images: Some(images),
        ..LocalConfig::default()
    })
    .await
    .unwrap();
    let client = cluster.client();
    let mut manifest = service("shop", "shop:1.4");
    manifest["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["sh", "-c", "id"]);
    let manifest: DynamicObject = serde_json::from_value(manifest).unwrap();
    let services: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &Kind::Service.resource());
    let params = PostParams::default();
    services.create(&params, &manifest).await.unwrap();
    let failed = |service: Option<&DynamicObject>| {
        service.is_some_and(|one| condition(one, "ConfigurationsReady")["status"] == "False")
    };
    let failed = kube::runtime::wait::await_condition(services, "shop", failed);
    let failed = tokio::time::timeout(PATIENCE, failed).await;
    failed.expect("it fails").unwrap();
    let revisions: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &Kind::Revision.resource());
    let revision = revisions.get("shop-00001").await.unwrap();
    let told = conditions(&revision).replace(&*folder.path().to_string_lossy(), "HERE");
    expect_test::expect![[r#"
        ContainerHealthy False CreateContainerError `command` is not allowed for the image "shop:1.4": give the entry `match: "shop:*"` in HERE/images.yaml, the file given with --images, `allowCommand: true`, and start the cluster again
        Ready False CreateContainerError `command` is not allowed for the image "shop:1.4": give the entry `match: "shop:*"` in HERE/images.yaml, the file given with --images, `allowCommand: true`, and start the cluster again
        ResourcesAvailable Unknown Deploying
    "#]].assert_eq(&told);
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pods = pods.list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.items.len(), 0);
    cluster.shutdown().await;
}
