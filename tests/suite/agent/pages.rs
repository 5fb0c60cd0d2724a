//! What the agent tells to machines.

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::stage::{Stage, config_map};

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
    let stage = Stage::new().await;
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
    assert!(figure("sluice_source_looks_total", ",result=\"success\"") >= 2.0);
    assert!(figure("sluice_delivery_syncs_total", ",result=\"success\"") >= 1.0);
    assert!(figure("sluice_delivery_syncs_total", ",result=\"failure\"") >= 1.0);
    assert!(figure("sluice_delivery_last_success_timestamp_seconds", "") > 1e9);
    assert_eq!(figure("sluice_delivery_ready", ""), 1.0);
    assert_eq!(figure("sluice_delivery_problems", ""), 0.0);
    assert!(figure("sluice_delivery_sync_duration_seconds_count", "") >= 2.0);
    assert!(text.contains("sluice_leader 1\n"), "{text}");
    assert!(
        text.contains("sluice_api_requests_total{verb=\"patch\"}"),
        "{text}"
    );
    stage.end().await;
}
