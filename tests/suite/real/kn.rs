//! Services that were made with `kn` before Sluice came.

use serde_json::{Value, json};
use sluice::api::delivery::Expand;
use sluice::api::rollout::Outcome;

use super::at_hand;
use crate::harness::{BRISK, Harness, Hello, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_made_by_kn_is_adopted_and_released_without_losing_a_request() {
    if !at_hand() {
        return;
    }
    let mut harness = Harness::new(Setting {
        policy: BRISK.to_owned(),
        ..Setting::default()
    })
    .await;
    // What `kn service create hello --image ... --env ... --scale-min 1` sends.
    let by_kn = Hello::new("hello", "one")
        .template_annotated("autoscaling.knative.dev/min-scale", "1")
        .template_annotated("client.knative.dev/updateTimestamp", "2026-01-01T00:00:00Z")
        .template_annotated("client.knative.dev/user-image", "sluice.local/hello");
    harness.create(by_kn.service(), "kn").await;
    let is_ready = |service: &kube::api::DynamicObject| {
        let conditions = service.data.pointer("/status/conditions");
        let mut all = conditions.and_then(Value::as_array).into_iter().flatten();
        all.any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    harness
        .when(harness.serving("Service"), "hello", "Ready", is_ready)
        .await;
    let users = harness.users("hello", 20);
    // Git has it as a person writes it down, without the marks of the tool.
    let in_git =
        Hello::new("hello", "one").template_annotated("autoscaling.knative.dev/min-scale", "1");
    let commit = harness.push("Into Git", std::slice::from_ref(&in_git));
    harness.start_agent().await;
    harness.deliver().await;
    let status = harness.promoted("hello", &commit).await;
    assert_eq!(status.expand, Some(Expand::Service), "it stays a Service");
    assert_eq!(
        status.history.last().map(|entry| entry.outcome),
        Some(Outcome::Adopted)
    );
    let second = harness.push("Greet two", &[in_git.env("TARGET", "two")]);
    harness.promoted("hello", &second).await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    // And what `kn service update hello --env TARGET=three` does by hand is put back.
    let by_hand = json!({"spec": {"template": {
        "metadata": {"annotations": {"client.knative.dev/updateTimestamp": "2026-01-02T00:00:00Z"}},
        "spec": Hello::new("hello", "three").service()["spec"]["template"]["spec"],
    }}});
    harness
        .by_hand(&harness.serving("Service"), "hello", "kn", &by_hand)
        .await;
    harness
        .told("ServiceRollout", "hello", "TemplateDrift")
        .await;
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}
