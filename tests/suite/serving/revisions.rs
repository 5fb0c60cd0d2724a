//! Revisions: names, deadlines, the sweep.

use super::*;

#[tokio::test]
async fn a_revision_name_of_the_users_own_is_used_and_guarded() {
    let cluster = Cluster::start();
    let named = |name: &str, image: &str| {
        let mut service = service("hello", image);
        service["spec"]["template"]["metadata"] = json!({"name": name});
        service
    };
    cluster
        .apply(Kind::Service, named("hello-blue", "app:1"))
        .await
        .unwrap();
    let ready = cluster.ready(Kind::Service, "hello").await;
    assert_eq!(
        ready.data["status"]["latestReadyRevisionName"],
        "hello-blue"
    );
    let refused = cluster
        .apply(Kind::Service, named("hello-blue", "app:2"))
        .await
        .unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("validation failed: Saw the following changes without a name change (-old +new): spec.template.metadata.name"),
        "{text}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_template_that_never_becomes_ready_fails_at_its_deadline() {
    let cluster = Cluster::start();
    let mut service = service("hello", "never:1");
    service["spec"]["template"]["metadata"] =
        json!({"annotations": {"serving.knative.dev/progress-deadline": "1s"}});
    cluster.apply(Kind::Service, service).await.unwrap();
    let failed = cluster
        .wait(Kind::Service, "hello", "failed", |service| {
            condition(service, "ConfigurationsReady")["status"] == "False"
        })
        .await;
    assert_eq!(
        condition(&failed, "ConfigurationsReady")["reason"],
        "RevisionFailed"
    );
    let revision = cluster
        .api(Kind::Revision)
        .get("hello-00001")
        .await
        .unwrap();
    assert_eq!(
        condition(&revision, "ResourcesAvailable")["reason"],
        "ProgressDeadlineExceeded"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn old_revisions_are_swept() {
    let cluster = Cluster::with(ControllersConfig {
        revision_gc: RevisionGc {
            retain_since_create: None,
            retain_since_active: None,
            min_non_active: 0,
            max_non_active: Some(1),
        },
        ..ControllersConfig::default()
    });
    for number in 1..=4 {
        cluster
            .apply(Kind::Service, service("hello", &format!("app:{number}")))
            .await
            .unwrap();
        cluster
            .wait(Kind::Service, "hello", "moved", |service| {
                service.data["status"]["latestReadyRevisionName"] == format!("hello-{number:05}")
            })
            .await;
    }
    cluster.gone(Kind::Revision, "hello-00001").await;
    cluster.gone(Kind::Revision, "hello-00002").await;
    cluster.ready(Kind::Service, "hello").await;
    assert!(cluster.api(Kind::Revision).get("hello-00004").await.is_ok());
    cluster.stop().await;
}
