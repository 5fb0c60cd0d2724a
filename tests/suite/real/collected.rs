//! What Knative itself does to a Service's objects: old Revisions are collected.

use serde_json::{Value, json};
use sluice::api::rollout::{Outcome, Phase};

use super::{at_hand, kubectl};
use crate::harness::{BRISK, Harness, Hello, Setting};

/// Knative keeps no Revision that has no traffic, from here on.
struct NothingIsKept;

impl NothingIsKept {
    fn begin() -> Self {
        Self::set(&json!({
            "min-non-active-revisions": "0", "max-non-active-revisions": "0",
            "retain-since-create-time": "disabled", "retain-since-last-active-time": "disabled",
        }));
        Self
    }

    fn set(data: &Value) {
        let patch = json!({"data": data}).to_string();
        kubectl(&[
            "patch",
            "configmap",
            "config-gc",
            "--namespace=knative-serving",
            "--type=merge",
            "--patch",
            &patch,
        ]);
    }
}

impl Drop for NothingIsKept {
    fn drop(&mut self) {
        Self::set(&json!({
            "min-non-active-revisions": null, "max-non-active-revisions": null,
            "retain-since-create-time": null, "retain-since-last-active-time": null,
        }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sluice_may_go_back_to_is_not_collected() {
    if !at_hand() {
        return;
    }
    let harness = Harness::set(Setting {
        policy: BRISK.to_owned(),
        alone: true,
        ..Setting::default()
    })
    .await;
    let mut revisions = Vec::new();
    for target in ["one", "two"] {
        let commit = harness.push(target, &[Hello::new("hello", target)]);
        let stable = harness.promoted("hello", &commit).await.stable.unwrap();
        revisions.push(stable.revision.unwrap());
    }
    let bad = Hello::new("hello", "bad").env("CRASH_AT_START", "1");
    let bad = harness.push("Crash", &[bad]);
    let status = harness.rolled_back("hello", &bad).await;
    let collected = status.quarantine[0].revision.clone().unwrap();
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    harness.promoted("hello", &third).await;
    // What was rolled back is of no use to anybody.
    let nothing = NothingIsKept::begin();
    harness.gone(&harness.serving("Revision"), &collected).await;
    // The ones before are there, and the way back is one write.
    harness.push("Revert to one", &[Hello::new("hello", "one")]);
    let status = harness
        .until("hello", "on its first revision again", |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.revision.as_ref() == Some(&revisions[0]))
        })
        .await;
    assert_eq!(status.history[0].outcome, Outcome::Reverted);
    assert!(harness.ask("hello").await.body.contains("one"));
    drop(nothing);
    harness.end().await;
}
