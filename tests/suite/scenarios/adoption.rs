//! Services that were there before Sluice came: taken over as they are, with no request lost.

use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice::api::delivery::Expand;
use sluice::api::rollout::{Outcome, Phase};

use crate::harness::{BRISK, Harness, Hello, Setting, in_both_forms, share};

in_both_forms!(
    a_service_made_by_hand_with_two_revisions_and_a_split_is_adopted_without_losing_a_request,
    a_configuration_and_a_route_made_by_hand_are_adopted_as_they_are,
    a_service_whose_template_is_not_git_s_is_adopted_and_then_released,
);

/// Who made the services of these stories.
const HAND: &str = "kubectl-create";

/// A cluster that people work on by hand; Sluice is not there yet.
async fn before(expand: Expand) -> Harness {
    Harness::new(Setting {
        expand,
        policy: BRISK.to_owned(),
        ..Setting::default()
    })
    .await
}

/// Waits until an object is Ready at its present generation.
async fn ready(harness: &Harness, kind: &str, name: &str) -> DynamicObject {
    harness
        .when(harness.serving(kind), name, "Ready", |object| {
            let conditions = object.data.pointer("/status/conditions");
            let ready = conditions.and_then(Value::as_array).is_some_and(|all| {
                all.iter()
                    .any(|c| c["type"] == "Ready" && c["status"] == "True")
            });
            let observed = object.data.pointer("/status/observedGeneration");
            ready && observed.and_then(Value::as_i64) == object.metadata.generation
        })
        .await
}

fn two_to_one(first: &str, second: &str) -> Value {
    json!([
        {"revisionName": first, "percent": 70, "latestRevision": false},
        {"revisionName": second, "percent": 30, "tag": "next", "latestRevision": false},
    ])
}

async fn a_service_made_by_hand_with_two_revisions_and_a_split_is_adopted_without_losing_a_request(
    expand: Expand,
) {
    let mut harness = before(expand).await;
    harness
        .create(Hello::new("hello", "one").service(), HAND)
        .await;
    ready(&harness, "Service", "hello").await;
    let services = harness.serving("Service");
    let change = Hello::new("hello", "two").service();
    harness
        .by_hand(&services, "hello", "kubectl-edit", &change)
        .await;
    ready(&harness, "Service", "hello").await;
    let split = json!({"spec": {"traffic": two_to_one("hello-00001", "hello-00002")}});
    harness
        .by_hand(&services, "hello", "kubectl-edit", &split)
        .await;
    ready(&harness, "Service", "hello").await;

    let users = harness.users("hello", 20);
    let history = harness.watch_traffic("hello");
    // Git has what the second revision was made from.
    let commit = harness.push("Into Git", &[Hello::new("hello", "two")]);
    harness.start_agent().await;
    harness.deliver().await;
    let said = harness.told("ServiceRollout", "hello", "Adopted").await;
    assert!(said.contains("hello-00001 is stable"), "{said}");
    assert!(said.contains("is kept until the first release"), "{said}");
    let status = harness
        .until("hello", "at rest", |status| {
            matches!(status.phase, Phase::Stable) && !status.history.is_empty()
        })
        .await;
    assert_eq!(
        status.expand,
        Some(Expand::Service),
        "a live Service stays one"
    );
    let adopted = status.history.last().unwrap();
    assert_eq!(adopted.outcome, Outcome::Adopted);

    // 70 % of the users saw the first revision: it is stable, and Git's template, which
    // nobody has judged, is let in beside it like any other.
    let status = harness.promoted("hello", &commit).await;
    let answers = users.stop().await;
    let lost: Vec<_> = answers.iter().filter(|a| a.status != 200).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", answers.len());
    assert_eq!(status.expand, Some(Expand::Service));
    for split in history.so_far() {
        assert_eq!(split.iter().filter_map(|t| t.percent).sum::<i64>(), 100);
    }
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}

async fn a_configuration_and_a_route_made_by_hand_are_adopted_as_they_are(expand: Expand) {
    let mut harness = before(expand).await;
    let hello = Hello::new("hello", "one");
    harness.create(hello.configuration(), HAND).await;
    let all = json!([{"configurationName": "hello", "percent": 100, "latestRevision": true}]);
    harness.create(hello.route(all), HAND).await;
    ready(&harness, "Route", "hello").await;

    let users = harness.users("hello", 20);
    let history = harness.watch_traffic("hello");
    let commit = harness.push("Into Git", &[hello]);
    harness.start_agent().await;
    harness.deliver().await;
    let status = harness.promoted("hello", &commit).await;
    assert_eq!(
        status.expand,
        Some(Expand::Routes),
        "what stands alone stays so"
    );
    assert_eq!(status.history.len(), 1, "{:#?}", status.history);
    assert_eq!(status.history[0].outcome, Outcome::Adopted);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &second).await;
    let new = status.stable.unwrap().revision.unwrap();
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    assert_eq!(history.shares(&new), [0, 5, 20, 50, 100]);
    harness.end().await;
}

async fn a_service_whose_template_is_not_git_s_is_adopted_and_then_released(expand: Expand) {
    let mut harness = before(expand).await;
    harness
        .create(Hello::new("hello", "one").service(), HAND)
        .await;
    ready(&harness, "Service", "hello").await;
    let users = harness.users("hello", 20);
    let history = harness.watch_traffic("hello");
    let commit = harness.push("Into Git, changed", &[Hello::new("hello", "two")]);
    harness.start_agent().await;
    harness.deliver().await;
    let status = harness.promoted("hello", &commit).await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    assert_eq!(
        status.history.iter().map(|h| h.outcome).collect::<Vec<_>>(),
        [Outcome::Promoted, Outcome::Adopted]
    );
    let new = status.stable.unwrap().revision.unwrap();
    assert_eq!(
        history.shares(&new),
        [0, 5, 20, 50, 100],
        "its first user met it at 5 %"
    );
    let first = history.so_far().first().cloned().unwrap();
    assert_eq!(share(&first, "hello-00001"), 100);
    harness.end().await;
}
