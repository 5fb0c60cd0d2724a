//! Sluice's kinds on a real API server.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::rollout::ServiceRollout;

use super::{at_hand, kubectl};
use crate::world::{Hello, Setting, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_told_by_kubectl() {
    if !at_hand() {
        return;
    }
    let world = World::set(Setting::default()).await;
    let namespace = world.namespace().to_owned();
    let commit = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &commit).await;

    let table = kubectl(&["get", "rollouts,deliveries", "--namespace", &namespace]);
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
        "rollout.status.evidence",
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
        "rollout/hello",
    ]);
    assert!(events.contains("Promoted"), "{events}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollouts_status_is_written_apart_from_what_people_ask_for() {
    if !at_hand() {
        return;
    }
    let world = World::set(Setting::default()).await;
    let commit = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &commit).await;
    let rollouts: Api<ServiceRollout> = Api::namespaced(world.client.clone(), world.namespace());
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
    world.end().await;
}
