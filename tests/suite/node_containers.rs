//! What a manifest can ask of a container, and what comes out of it as a process.

use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, LogParams, PostParams};
use serde_json::json;

use super::node::{Cluster, PATIENCE, container, get, is_ready, port, restarts, shell, statuses};

#[tokio::test]
async fn a_grpc_probe_asks_the_health_service() {
    let cluster = Cluster::start().await;
    let spec = |env: &str| {
        json!({"containers": [{
            "name": "main", "image": "sluice.local/hello",
            "env": [{"name": "NEVER_READY", "value": env}],
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"grpc": {"port": 8080}, "periodSeconds": 1},
        }]})
    };
    cluster.create("well", spec("0")).await;
    cluster.ready("well").await;
    cluster.create("ill", spec("1")).await;
    let event = cluster.event("ill", "Unhealthy").await;
    assert_eq!(
        event.message.as_deref(),
        Some("Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")")
    );
    cluster
        .create("deaf", {
            let mut spec = shell("exec sleep 1000");
            spec["containers"][0]["readinessProbe"] =
                json!({"grpc": {"port": 0}, "periodSeconds": 1});
            spec
        })
        .await;
    let event = cluster.event("deaf", "Unhealthy").await;
    let message = event.message.unwrap();
    assert!(
        message.starts_with(
            "Readiness probe failed: error: failed to connect service at \"127.0.0.1:"
        ) && message.ends_with(": connection refused"),
        "{message}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_slow_start_is_waited_for_and_one_that_never_ends_is_cut_short() {
    let cluster = Cluster::start().await;
    let spec = |env: serde_json::Value, failures: i32| {
        json!({"containers": [{
            "name": "main", "image": "sluice.local/hello", "env": [env],
            "startupProbe": {"tcpSocket": {"port": 0}, "periodSeconds": 1, "failureThreshold": failures},
            // It would end a container that is not up yet.
            "livenessProbe": {"tcpSocket": {"port": 0}, "periodSeconds": 1, "failureThreshold": 1},
        }]})
    };
    let slow = json!({"name": "LISTEN_AFTER_MS", "value": "2500"});
    cluster.create("slow", spec(slow, 60)).await;
    let never = json!({"name": "NEVER_LISTEN", "value": "1"});
    cluster.create("never", spec(never, 1)).await;
    let event = cluster.event("never", "Killing").await;
    assert_eq!(
        event.message.as_deref(),
        Some("Container main failed startup probe, will be restarted")
    );
    let is_up = |pod: &Pod| container(pod).started == Some(true);
    let pod = cluster.wait("slow", "started", is_up).await;
    assert_eq!(restarts(&pod), 0, "the liveness probe waited, too");
    cluster.stop().await;
}

#[tokio::test]
async fn a_manifests_command_replaces_the_images_and_its_arguments_follow() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sh:1",
        "command": ["sh", "-c", "echo $0 $1 \"$2\"; exec sleep 1000"],
        "args": ["one", "$(WORD)", "$(NOBODY) $$(WORD)"],
        "env": [{"name": "WORD", "value": "two"}],
    }]});
    cluster.create("words", spec).await;
    assert_eq!(
        cluster.first_line("words").await,
        "one two $(NOBODY) $(WORD)"
    );
    let spec = json!({"containers": [{"name": "main", "image": "port:1"}]});
    cluster.create("port", spec).await;
    let pod = cluster.ready("port").await;
    assert_eq!(cluster.first_line("port").await, port(&pod).to_string());
    cluster.stop().await;
}

#[tokio::test]
async fn a_command_that_is_not_there_loops_as_a_crash_does_and_says_what_is_missing() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sh:1", "command": ["/no/such/program"],
    }]});
    cluster.create("lost", spec).await;
    let looping = |pod: &Pod| restarts(pod) >= 1 && container(pod).last_state.is_some();
    let pod = cluster.wait("lost", "in a loop", looping).await;
    let last = container(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (128, Some("StartError"))
    );
    let message = last.message.unwrap();
    assert!(
        message.contains("exec: \"/no/such/program\": No such file or directory"),
        "{message}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn optional_references_may_be_missing_and_a_missing_key_is_named() {
    let cluster = Cluster::start().await;
    let spec = json!({
        "volumes": [{"name": "files", "configMap": {"name": "gone", "optional": true}}],
        "containers": [{
            "name": "main", "image": "sh:1",
            "args": ["echo \"<$A> <$B>\" $(ls $SLUICE_VOLUME_FILES | wc -l); exec sleep 1000"],
            "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a", "optional": true}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "b", "optional": true}}},
            ],
            "envFrom": [{"secretRef": {"name": "gone", "optional": true}}],
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        }],
    });
    cluster.create("modest", spec).await;
    assert_eq!(cluster.first_line("modest").await, "<> <> 0");

    let words: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "words"}, "data": {"a": "1"}})).unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    maps.create(&PostParams::default(), &words).await.unwrap();
    let mut spec = shell("exec sleep 1000");
    spec["containers"][0]["env"] =
        json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "b"}}}]);
    cluster.create("mistaken", spec).await;
    let waits = |pod: &Pod| {
        let state = statuses(pod)
            .first()
            .and_then(|status| status.state.clone());
        let waiting = state.and_then(|state| state.waiting);
        waiting.is_some_and(|waiting| {
            waiting.reason.as_deref() == Some("CreateContainerConfigError")
                && waiting.message.as_deref()
                    == Some("couldn't find key b in ConfigMap default/words")
        })
    };
    cluster
        .wait("mistaken", "told what is missing", waits)
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_sidecar_has_a_port_of_its_own_and_both_have_to_be_ready() {
    let cluster = Cluster::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = free.local_addr().unwrap().port();
    drop(free);
    let spec = json!({"containers": [
        {"name": "side", "image": "sluice.local/hello", "env": [
            {"name": "TARGET", "value": "beside"}, {"name": "PORT", "value": own.to_string()},
            {"name": "LISTEN_AFTER_MS", "value": "300"},
        ], "readinessProbe": {"httpGet": {"port": own, "path": "/healthz"}}},
        {"name": "main", "image": "sluice.local/hello", "env": [{"name": "TARGET", "value": "World"}],
            "ports": [{"containerPort": 8080}], "readinessProbe": {"tcpSocket": {"port": 8080}}},
    ]});
    cluster.create("pair", spec).await;
    let pod = cluster.ready("pair").await;
    assert_eq!(get(port(&pod)).await.as_deref(), Some("Hello World!\n"));
    assert_eq!(get(own).await.as_deref(), Some("Hello beside!\n"));
    let unnamed = cluster.pods.logs("pair", &LogParams::default()).await;
    let error = unnamed.unwrap_err().to_string();
    assert!(
        error.contains(
            "a container name must be specified for pod pair, choose one of: [side main]"
        ),
        "{error}"
    );
    let of_side = LogParams {
        container: Some("side".into()),
        ..LogParams::default()
    };
    let log = cluster.pods.logs("pair", &of_side).await.unwrap();
    assert!(log.starts_with("hello greets \"beside\""), "{log}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_program_that_floods_its_log_is_kept_within_bounds_and_harms_nobody() {
    let cluster = Cluster::start().await;
    let line = "x".repeat(99);
    let script = format!("yes {line} | head -n 400000; echo the end; exec sleep 1000");
    cluster.create("flood", shell(&script)).await;
    cluster
        .create("calm", shell("echo calm; exec sleep 1000"))
        .await;
    assert_eq!(cluster.first_line("calm").await, "calm");
    let follow = LogParams {
        follow: true,
        tail_lines: Some(1),
        ..LogParams::default()
    };
    let flood = cluster.ready("flood").await;
    let lines = cluster
        .pods
        .log_stream("flood", &follow)
        .await
        .unwrap()
        .lines();
    let mut lines = std::pin::pin!(lines);
    let end = async {
        while let Some(line) = lines.next().await {
            if line.unwrap() == "the end" {
                return;
            }
        }
        panic!("the log ended before its last line");
    };
    tokio::time::timeout(PATIENCE, end).await.unwrap();
    // 40 MB were printed; two files of 10 MiB, their stamps and a line are kept.
    let mut kept = 0;
    let mut folders = vec![cluster.folder.path().join("node").join("logs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                data if data.is_dir() => folders.push(entry.path()),
                data => kept += data.len(),
            }
        }
    }
    assert!((10 << 20..22 << 20).contains(&kept), "{kept} bytes");
    let pod = cluster.wait("flood", "ready", is_ready).await;
    assert_eq!(restarts(&pod), 0);
    assert_eq!(pod.metadata.uid, flood.metadata.uid);
    cluster.stop().await;
}
