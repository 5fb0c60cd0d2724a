//! What the cluster refused is no judgement of it: once its owners lift their policy, releases go on by themselves.

use serde_json::json;
use sluice::api::delivery::Expand;
use sluice::api::rollout::{HoldReason, RolloutStatus};

use crate::harness::{DELIVERY, Harness, Hello, REFUSE, REFUSED_TAG, in_both_forms};

in_both_forms!(
    a_template_that_was_refused_is_released_by_itself_once_the_policy_is_lifted,
    traffic_that_was_refused_is_written_by_itself_once_the_policy_is_lifted,
);

/// What is said as long as something is refused.
const ASKED_AGAIN: &str = "the cluster is asked again every 5m at the latest";

async fn open(expand: Expand) -> Harness {
    let harness = Harness::brisk(expand).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    harness.settled("hello").await;
    harness
}

async fn well_again(harness: &Harness, commit: &str) {
    harness.promoted("hello", commit).await;
    harness
        .delivery(DELIVERY, "well again", |status| {
            status.last_good_commit.as_deref() == Some(commit) && status.problems.is_empty()
        })
        .await;
}

async fn a_template_that_was_refused_is_released_by_itself_once_the_policy_is_lifted(
    expand: Expand,
) {
    let harness = open(expand).await;
    let users = harness.users("hello", 20);
    let words = "this image is not signed";
    let two = Hello::new("hello", "two").template_annotated(REFUSE, words);
    let commit = harness.push("Greet two", &[two]);
    let status = harness.rolled_back("hello", &commit).await;
    assert!(status.message.contains(words), "{}", status.message);
    assert!(status.message.contains(ASKED_AGAIN), "{}", status.message);
    let said = harness.problem(&commit, ASKED_AGAIN).await;
    assert!(said.problems[0].message.contains(words), "{said:#?}");
    harness.lift_guard().await;
    well_again(&harness, &commit).await;
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}

async fn traffic_that_was_refused_is_written_by_itself_once_the_policy_is_lifted(expand: Expand) {
    let harness = open(expand).await;
    let users = harness.users("hello", 20);
    let words = "that tag is not allowed";
    let block = json!([{"latestRevision": true, "percent": 100, "tag": REFUSED_TAG}]);
    let commit = harness.push("Two", &[Hello::new("hello", "two").traffic(block.clone())]);
    let held = |status: &RolloutStatus| {
        status.hold.as_ref().map(|hold| hold.reason) == Some(HoldReason::Traffic)
    };
    let status = harness.until("hello", "held for its traffic", held).await;
    assert!(status.message.contains(words), "{}", status.message);
    assert!(status.message.contains(ASKED_AGAIN), "{}", status.message);
    let said = harness.problem(&commit, ASKED_AGAIN).await;
    assert!(said.problems[0].message.contains(words), "{said:#?}");
    assert!(harness.ask("hello").await.body.contains("one"));

    harness.lift_guard().await;
    well_again(&harness, &commit).await;
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let tagged = format!("{REFUSED_TAG}-hello");
    assert!(harness.ask(&tagged).await.body.contains("two"));
    harness.end().await;
}
