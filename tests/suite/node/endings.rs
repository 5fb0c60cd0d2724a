//! How a Pod ends: its grace, and what does not hear.

use super::*;

#[tokio::test]
async fn a_pod_that_will_not_hear_is_killed_after_its_grace_and_then_deleted() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            "deaf",
            shell("trap 'echo no' TERM; echo $$$$; while :; do sleep 0.05; done"),
        )
        .await;
    cluster.ready("deaf").await;
    let pid = cluster.first_line("deaf").await;
    assert!(is_alive(&pid));
    let params = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let log = cluster.pods.log_stream("deaf", &params).await.unwrap();
    cluster
        .pods
        .delete("deaf", &DeleteParams::default().grace_period(1))
        .await
        .unwrap();
    // The Pod is there as long as its process is.
    let pod = cluster.pods.get("deaf").await.unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some());
    cluster.gone("deaf").await;
    assert!(!is_alive(&pid));
    let lines: Vec<String> = log.lines().try_collect().await.unwrap();
    assert!(
        lines[0] == pid && lines.contains(&"no".to_owned()),
        "{lines:?}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_that_hears_goes_at_once_and_a_forced_delete_kills() {
    let cluster = Cluster::start().await;
    cluster
        .create("polite", shell("echo $$$$; exec sleep 1000"))
        .await;
    cluster
        .create(
            "forced",
            shell("trap '' TERM; echo $$$$; while :; do sleep 0.05; done"),
        )
        .await;
    for (name, grace) in [("polite", 1000), ("forced", 0)] {
        cluster.ready(name).await;
        let pid = cluster.first_line(name).await;
        assert!(is_alive(&pid), "{name}");
        cluster
            .pods
            .delete(name, &DeleteParams::default().grace_period(grace))
            .await
            .unwrap();
        cluster.gone(name).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while is_alive(&pid) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} is still alive"
            );
            tokio::task::yield_now().await;
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_of_a_revision_serves_on_for_a_moment_after_it_was_deleted() {
    let cluster = Cluster::start().await;
    let pod = json!({
        "metadata": {"name": "rev", "labels": {"serving.knative.dev/revision": "rev-00001"}},
        "spec": {"containers": [{"name": "main", "image": "sluice.local/hello",
            "readinessProbe": {"tcpSocket": {"port": 0}}}]},
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    cluster
        .pods
        .create(&PostParams::default(), &pod)
        .await
        .unwrap();
    let pod = cluster.ready("rev").await;
    cluster
        .pods
        .delete("rev", &DeleteParams::default())
        .await
        .unwrap();
    // The node says that it is stopping it...
    cluster.event("rev", "Killing").await;
    // ... and still it answers.
    assert_eq!(get(port(&pod)).await.as_deref(), Some("Hello World!\n"));
    cluster.gone("rev").await;
    assert_eq!(get(port(&pod)).await, None);
    cluster.stop().await;
}
