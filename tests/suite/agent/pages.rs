//! What the agent tells to machines.

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::fixture::{Fixture, config_map, holds};

/// A page's status and text.
pub async fn page(router: &Router, path: &str) -> (u16, String) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn deliveries_are_counted_and_health_is_said() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write(
        "apps/broken.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
    );
    repository.push("One good, one broken");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage
        .says("shop", "one problem", |status| status.problems.len() == 1)
        .await;
    repository.remove("apps/broken.yaml");
    let good = repository.push("Only the good one");
    stage.delivered("shop", &good).await;
    assert_eq!(
        page(&stage.pages, "/healthz").await,
        (200, "ok\n".to_owned())
    );
    assert_eq!(
        page(&stage.pages, "/readyz").await,
        (200, "ok\n".to_owned())
    );
    let (status, text) = page(&stage.pages, "/metrics").await;
    assert_eq!(status, 200);
    let figure = |name: &str, more: &str| -> f64 {
        let of = format!("{name}{{namespace=\"default\",delivery=\"shop\"{more}}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(of.as_str()));
        line.unwrap_or_else(|| panic!("no {of}\n{text}"))
            .parse()
            .unwrap()
    };
    assert!(figure("sluice_source_polls_total", ",result=\"success\"") >= 2.0);
    assert!(figure("sluice_delivery_syncs_total", ",result=\"success\"") >= 1.0);
    assert!(figure("sluice_delivery_syncs_total", ",result=\"failure\"") >= 1.0);
    assert!(figure("sluice_delivery_last_success_timestamp_seconds", "") > 1e9);
    assert_eq!(figure("sluice_delivery_ready", ""), 1.0);
    assert_eq!(figure("sluice_delivery_problems", ""), 0.0);
    assert!(figure("sluice_delivery_sync_duration_seconds_count", "") >= 2.0);
    assert_eq!(figure("sluice_delivery_leader", ""), 1.0);
    assert!(
        plain(&text, "sluice_api_requests_total{verb=\"patch\"} ") > 0,
        "{text}"
    );
    stage.end().await;
}

/// A figure without labels of a Delivery.
fn plain(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or("0").trim().parse().unwrap()
}

#[tokio::test]
async fn a_commit_that_changes_nothing_costs_no_reading_and_only_its_own_record() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    for name in ["a", "b", "c"] {
        repository.write(&format!("apps/{name}.yaml"), &config_map(name, "1"));
    }
    let first = repository.push("Three");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    let version =
        |map: &k8s_openapi::api::core::v1::ConfigMap| map.metadata.resource_version.clone();
    let before = version(&stage.maps().get("a").await.unwrap());
    let requests = async || {
        let text = page(&stage.pages, "/metrics").await.1;
        let of = |verb: &str| {
            plain(
                &text,
                &format!("sluice_api_requests_total{{verb=\"{verb}\"}} "),
            )
        };
        let reads: u64 = ["discovery", "get", "list"].map(of).iter().sum();
        (
            reads,
            of("patch") + of("create") + of("delete") + of("update"),
        )
    };
    let (reads, writes) = requests().await;
    repository.write("README.md", "Words.\n");
    repository.write(
        "apps/a.yaml",
        &format!("# a comment\n{}", config_map("a", "1")),
    );
    let second = repository.push("Words only");
    stage.delivered("shop", &second).await;
    let (reads_after, writes_after) = requests().await;
    assert_eq!(reads_after, reads);
    assert!(
        (1..=2).contains(&(writes_after - writes)),
        "its status: {}",
        writes_after - writes
    );
    assert_eq!(version(&stage.maps().get("a").await.unwrap()), before);
    stage.end().await;
}

#[tokio::test]
async fn of_two_agents_one_delivers_and_the_other_goes_on_where_it_ends() {
    let mut stage = Fixture::new().await;
    stage.stop_agent().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    let one = stage.agent("one", |_| {}).await;
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    let (pages, (cancel, task)) = stage.agent("two", |_| {}).await;
    let leads = async |pages: &Router| {
        let leader = r#"sluice_delivery_leader{namespace="default",delivery="shop"} "#;
        plain(&page(pages, "/metrics").await.1, leader)
    };
    assert_eq!((leads(&one.0).await, leads(&pages).await), (1, 0));
    assert_eq!(page(&pages, "/readyz").await.0, 200, "ready to take over");

    one.1.0.cancel();
    one.1.1.await.unwrap();
    assert_eq!(leads(&one.0).await, 0);
    repository.write("apps/a.yaml", &config_map("a", "2"));
    let second = repository.push("Two");
    stage.delivered("shop", &second).await;
    assert!(holds(&stage.maps().get("a").await.unwrap(), "2"));
    assert_eq!(leads(&pages).await, 1);
    cancel.cancel();
    task.await.unwrap();
    stage.end().await;
}
