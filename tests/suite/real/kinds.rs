//! Sluice's kinds on a real API server.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::rollout::ServiceRollout;

use super::{at_hand, kubectl};
use crate::harness::{Harness, Hello, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_told_by_kubectl() {
    if !at_hand() {
        return;
    }
    let harness = Harness::set(Setting::default()).await;
    let namespace = harness.namespace().to_owned();
    let commit = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &commit).await;

    let table = kubectl(&[
        "get",
        "servicerollouts,deliveries",
        "--namespace",
        &namespace,
    ]);
    for said in [
        "PHASE",
        "STABLE",
        "Stable",
        "hello-00001",
        "COMMIT",
        &commit,
    ] {
        assert!(table.contains(said), "{said} is not in\n{table}");
    }
    for kind in [
        "servicerollout.status.evidence",
        "delivery.spec.source.ref",
        "rolloutpolicy.spec.analysis",
    ] {
        let explained = kubectl(&["explain", kind]);
        assert!(
            explained.contains("DESCRIPTION") && explained.contains("FIELDS"),
            "{explained}"
        );
    }
    let events = kubectl(&[
        "events",
        "--namespace",
        &namespace,
        "--for",
        "servicerollout/hello",
    ]);
    assert!(events.contains("Promoted"), "{events}");
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollouts_status_is_written_apart_from_what_people_ask_for() {
    if !at_hand() {
        return;
    }
    let harness = Harness::set(Setting::default()).await;
    let commit = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &commit).await;
    let rollouts: Api<ServiceRollout> =
        Api::namespaced(harness.client.clone(), harness.namespace());
    let forged = json!({"status": {"phase": "Failed", "message": "forged"}});
    let answer = rollouts
        .patch("hello", &PatchParams::default(), &Patch::Merge(&forged))
        .await
        .unwrap();
    assert_ne!(
        answer.status.unwrap().message,
        "forged",
        "status is a subresource"
    );
    let wrong = json!({"spec": {"paused": "perhaps"}});
    let refused = rollouts
        .patch("hello", &PatchParams::default(), &Patch::Merge(&wrong))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("spec.paused"), "{refused}");
    harness.end().await;
}
