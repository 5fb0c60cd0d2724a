//! The first delivery of a service: there is nothing to roll back to.

use sluice::api::delivery::Expand;
use sluice::api::rollout::{EvidenceVerdict, Outcome, Phase};

use crate::harness::{Harness, Hello, in_both_forms};

in_both_forms!(
    a_first_delivery_is_probed_and_then_serves,
    a_bad_first_delivery_never_counts_as_stable_and_a_fix_comes_through,
    a_first_delivery_that_crashes_gets_no_route_and_a_fix_comes_through,
);

async fn a_first_delivery_is_probed_and_then_serves(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let commit = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    let status = harness.promoted("hello", &commit).await;
    assert_eq!(status.expand, Some(expand));
    assert_eq!(status.history.len(), 1, "{:#?}", status.history);
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    assert_eq!(status.evidence[0].verdict, EvidenceVerdict::Pass);
    let answer = harness.ask("hello").await;
    assert_eq!((answer.status, answer.body.trim()), (200, "Hello one!"));
    let delivered = harness
        .delivery("shop", "delivered", |status| {
            status.last_good_commit.as_ref() == Some(&commit)
        })
        .await;
    assert_eq!(delivered.applied_commit.as_ref(), Some(&commit));
    assert_eq!(delivered.services.unwrap().ready, 1);
    harness.end().await;
}

async fn a_bad_first_delivery_never_counts_as_stable_and_a_fix_comes_through(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let bad = Hello::new("hello", "one").env("FAIL_PERCENT", "100");
    let commit = harness.push("Open the shop", &[bad.without_readiness_path()]);
    let status = harness
        .until("hello", "failed", |status| status.phase == Phase::Failed)
        .await;
    assert_eq!(status.stable, None, "it never counted as stable");
    assert_eq!(status.history[0].outcome, Outcome::Failed);
    assert_eq!(status.quarantine[0].commit.as_ref(), Some(&commit));
    let said = harness
        .delivery("shop", "a failed release", |status| {
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
            ready.is_some_and(|ready| ready.reason == "ReleaseFailed")
        })
        .await;
    assert_ne!(said.last_good_commit.as_ref(), Some(&commit));

    let fix = harness.push("Answer", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &fix).await;
    assert!(
        harness.ask("hello").await.body.contains("two"),
        "{status:#?}"
    );
    harness.end().await;
}

async fn a_first_delivery_that_crashes_gets_no_route_and_a_fix_comes_through(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let bad = Hello::new("hello", "one").env("CRASH_AT_START", "4");
    harness.push("Open the shop", &[bad]);
    let status = harness
        .until("hello", "failed", |status| status.phase == Phase::Failed)
        .await;
    assert!(
        status.quarantine[0].reason.contains("exit code 4"),
        "{}",
        status.quarantine[0].reason
    );
    let fix = harness.push("Start", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &fix).await;
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}
