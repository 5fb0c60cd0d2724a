//! How a Pod starts: image, environment, init containers, again, and two hundred at once.

use super::*;

#[tokio::test]
async fn the_environment_comes_from_config_maps_and_secrets_once_they_are_there() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sh:1", "args": ["echo $WORD $TOKEN $POD $(cat $SLUICE_VOLUME_FILES/word) $DEEP; exec sleep 1000"],
        "env": [
            {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "word"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "DEEP", "value": "<$(WORD)>"},
        ],
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
    }], "volumes": [{"name": "files", "configMap": {"name": "words"}}]});
    cluster.create("env", spec).await;
    let words: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "words"}, "data": {"word": "hi"}}))
            .unwrap();
    let keys: Secret =
        serde_json::from_value(json!({"metadata": {"name": "keys"}, "data": {"TOKEN": "dDA="}}))
            .unwrap();
    let event = cluster.event("env", "FailedMount").await;
    assert_eq!(
        event.message.as_deref(),
        Some("MountVolume.SetUp failed for volume \"files\" : configmap \"words\" not found")
    );
    let config_maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    config_maps
        .create(&PostParams::default(), &words)
        .await
        .unwrap();
    let (_, message) = cluster.waiting("env", "CreateContainerConfigError").await;
    assert_eq!(message, "secret \"keys\" not found");
    let secrets: Api<Secret> = Api::default_namespaced(cluster.client.clone());
    secrets.create(&PostParams::default(), &keys).await.unwrap();
    cluster.ready("env").await;
    assert_eq!(cluster.first_line("env").await, "hi t0 env hi <hi>");
    cluster.stop().await;
}

#[tokio::test]
async fn an_unknown_image_and_an_unknown_probe_say_what_to_do() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            "alien",
            json!({"containers": [{"name": "main", "image": "nginx:1.27"}]}),
        )
        .await;
    // `ErrImagePull` comes first, and may be over before the watch begins.
    let (_, message) = cluster.waiting("alien", "ImagePullBackOff").await;
    assert!(
        message.starts_with("Back-off pulling image \"nginx:1.27\": ErrImagePull: ")
            && message.contains("no command is known for this one; add `- {match: \"nginx*\""),
        "{message}"
    );
    let mut spec = shell("sleep 1000");
    spec["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 0, "scheme": "HTTPS"}});
    cluster.create("secure", spec).await;
    let (_, message) = cluster
        .waiting("secure", "CreateContainerConfigError")
        .await;
    assert!(
        message.starts_with("readiness probe: httpGet over https is not supported"),
        "{message}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn what_ran_runs_again_when_the_node_comes_back() {
    let mut cluster = Cluster::start().await;
    cluster
        .create(
            "steady",
            json!({"containers": [{"name": "main", "image": "sluice.local/hello"}]}),
        )
        .await;
    cluster
        .create(
            "job",
            json!({"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "sh:1", "args": ["echo done"]}]}),
        )
        .await;
    let before = cluster.ready("steady").await;
    let ended = |pod: &Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Succeeded");
    cluster.wait("job", "done", ended).await;
    cluster.stop_node().await;
    assert_eq!(get(port(&before)).await, None);
    assert!(
        cluster.pods.get("steady").await.is_ok(),
        "stopping the node deletes no Pod"
    );
    cluster.start_node();
    let after = cluster
        .wait("steady", "restarted", |pod| {
            restarts(pod) == 1 && is_ready(pod)
        })
        .await;
    let last = container(&after).last_state.unwrap().terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (255, Some("Unknown"))
    );
    assert_eq!(
        port(&after),
        port(&before),
        "a port that is still free is kept"
    );
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while get(port(&after)).await.is_none() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it does not serve again"
        );
    }
    assert_eq!(restarts(&cluster.pods.get("job").await.unwrap()), 0);
    assert_eq!(cluster.first_line("job").await, "done");
    cluster.stop().await;
}

#[tokio::test]
async fn init_containers_prepare_what_the_main_one_finds() {
    let cluster = Cluster::start().await;
    let mount = json!([{"name": "data", "mountPath": "/data"}]);
    let spec = json!({
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [
            {"name": "one", "image": "sh:1", "args": ["echo one > $SLUICE_VOLUME_DATA/x"], "volumeMounts": mount},
            {"name": "two", "image": "sh:1", "args": ["echo two >> $SLUICE_VOLUME_DATA/x"], "volumeMounts": mount},
        ],
        "containers": [{"name": "main", "image": "sh:1", "volumeMounts": mount,
            "args": ["echo $(cat $SLUICE_VOLUME_DATA/x); exec sleep 1000"]}],
    });
    cluster.create("init", spec).await;
    let pod = cluster.ready("init").await;
    assert_eq!(cluster.first_line("init").await, "one two");
    let init = pod.status.unwrap().init_container_statuses.unwrap();
    assert!(
        init.iter()
            .all(|one| one.ready && one.state.as_ref().unwrap().terminated.is_some())
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_pods_start_together() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{"name": "main", "image": "sluice.local/hello",
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 0}}}]});
    for n in 0..200 {
        cluster.create(&format!("pod-{n}"), spec.clone()).await;
    }
    for n in 0..200 {
        cluster.ready(&format!("pod-{n}")).await;
    }
    let pods = cluster.pods.list(&ListParams::default()).await.unwrap();
    let ports: std::collections::HashSet<u16> = pods.iter().map(port).collect();
    assert_eq!(ports.len(), 200);
    let restarted: Vec<_> = pods
        .iter()
        .filter(|pod| restarts(pod) > 0)
        .map(|pod| container(pod).last_state)
        .collect();
    assert!(restarted.is_empty(), "{restarted:#?}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_probes_command_does_not_wait_for_the_port_that_its_container_listens_on() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "own:1",
        // By then it listens.
        "readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 1, "timeoutSeconds": 1},
    }]});
    cluster.create("asked", spec).await;
    let pod = cluster.ready("asked").await;
    assert_eq!(restarts(&pod), 0);
    cluster.stop().await;
}
