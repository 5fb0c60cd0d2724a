//! Down is unconditional: whatever else is broken, a candidate that fails loses its users.

use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice::agent::AgentConfig;
use sluice::api::delivery::{Delivery, Expand};
use sluice::api::rollout::{HoldReason, Phase, RolloutStatus};
use tokio::sync::watch;

use super::halfway::{CONFIRM_TIMEOUT, Halfway, fragile};
use super::hello;
use crate::harness::{Harness, REFUSED_TAG, TrafficHistory, in_both_forms};

in_both_forms!(
    a_status_store_that_refuses_keeps_no_failing_candidate_up,
    an_agent_that_begins_while_git_is_gone_takes_a_failing_candidate_down,
    an_agent_that_begins_while_the_manifest_is_broken_takes_a_failing_candidate_down,
    a_memory_of_a_later_release_is_held_and_a_failing_candidate_goes_down_all_the_same,
    a_traffic_block_that_nobody_takes_keeps_no_failing_candidate_up,
    a_webhook_that_does_not_answer_keeps_no_failing_candidate_up,
    a_delivery_that_is_deleted_while_a_pass_waits_is_heard_at_once,
);

const PHASES: &str = "/versions/0/schema/openAPIV3Schema/properties/status/properties/phase";

/// Changes what the definition of ServiceRollout says of a phase, as one of another release of Sluice would, and gives
/// what it said. Every ServiceRollout of the cluster is of it: who does this tells its story alone, and puts it back.
async fn redefine_phases(harness: &Harness, phases: Value) -> Value {
    let name = "servicerollouts.sluice.dev";
    let api: Api<CustomResourceDefinition> = Api::all(harness.client.clone());
    let known = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    let mut spec = known["spec"].clone();
    let known = std::mem::replace(spec.pointer_mut(PHASES).unwrap(), phases);
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name}, "spec": spec});
    // As an agent does: where a story fails before it puts them back, the next one's agent does it.
    let params = PatchParams::apply("sluice").force();
    api.patch(name, &params, &Patch::Apply(&definition))
        .await
        .unwrap();
    known
}

async fn a_status_store_that_refuses_keeps_no_failing_candidate_up(expand: Expand) {
    let halfway = Halfway::alone(expand).await;
    // A definition older than the agent: it knows no word for what comes now.
    let older = json!({"type": "string", "enum": ["Stepping"]});
    let phases = redefine_phases(&halfway.harness, older).await;
    halfway.fail().await;
    halfway.comes_down().await;
    redefine_phases(&halfway.harness, phases).await;
    let status = halfway
        .harness
        .until("hello", "remembered", |status| {
            status.phase == Phase::RolledBack
        })
        .await;
    assert_eq!(status.quarantine.len(), 1, "{status:#?}");
    halfway.harness.end().await;
}

async fn an_agent_that_begins_while_git_is_gone_takes_a_failing_candidate_down(expand: Expand) {
    let mut halfway = Halfway::begin(expand).await;
    halfway.harness.stop_agent().await;
    // A new Pod, whose copy is gone, and a forge that is away.
    let bare = halfway.harness.folder().join("shop.git");
    let away = halfway.harness.folder().join("away.git");
    std::fs::rename(&bare, &away).unwrap();
    std::fs::remove_dir_all(halfway.harness.folder().join("cache")).unwrap();
    halfway.harness.start_agent().await;
    let status = held(&halfway.harness, HoldReason::Source).await;
    assert_eq!(status.weight, 50, "{status:#?}");
    halfway.fail().await;
    halfway.comes_down().await;
    std::fs::rename(&away, &bare).unwrap();
    halfway
        .harness
        .until("hello", "out of reach of Git's word", |status| {
            status.phase == Phase::RolledBack && status.quarantine.len() == 1
        })
        .await;
    halfway.harness.end().await;
}

async fn an_agent_that_begins_while_the_manifest_is_broken_takes_a_failing_candidate_down(
    expand: Expand,
) {
    let mut halfway = Halfway::begin(expand).await;
    halfway.harness.stop_agent().await;
    halfway
        .harness
        .repository
        .write("apps/hello.yaml", "kind: Service\nspec: [\n");
    // With its copy it would go on with the commit before.
    std::fs::remove_dir_all(halfway.harness.folder().join("cache")).unwrap();
    halfway.harness.repository.push("Broken off");
    halfway.harness.start_agent().await;
    held(&halfway.harness, HoldReason::Source).await;
    halfway.fail().await;
    halfway.comes_down().await;
    let fix = halfway.harness.push("Mended", &[hello("three")]);
    halfway
        .harness
        .until("hello", "the fix on its way", |status| {
            let candidate = status.candidate.as_ref();
            candidate.and_then(|release| release.commit.as_ref()) == Some(&fix)
        })
        .await;
    halfway.harness.end().await;
}

async fn a_memory_of_a_later_release_is_held_and_a_failing_candidate_goes_down_all_the_same(
    expand: Expand,
) {
    let mut halfway = Halfway::alone(expand).await;
    halfway.harness.stop_agent().await;
    let raw = halfway
        .harness
        .objects("sluice.dev/v1alpha1", "ServiceRollout");
    let later = json!({"status": {"phase": "Soaking", "soak": {"rounds": 3}}});
    let params = PatchParams::default();
    // The later release's definition has more words, and its agent has written one of them. On a cluster that other
    // stories share, an agent of theirs may put its own definition back in between.
    let mut known = None;
    let phases = loop {
        let before = redefine_phases(&halfway.harness, json!({"type": "string"})).await;
        let phases = known.get_or_insert(before).clone();
        let later = Patch::Merge(&later);
        match raw.patch_status("hello", &params, &later).await {
            Ok(_) => break phases,
            Err(kube::Error::Api(status)) if status.code == 422 => {}
            Err(error) => panic!("{error}"),
        }
    };
    let mut config = AgentConfig::new(halfway.harness.client.clone());
    config.install_crds = false;
    halfway.harness.start_agent_with(config).await;
    halfway
        .harness
        .delivery("shop", "a memory that cannot be read", |status| {
            let said = |problem: &sluice::api::delivery::Problem| {
                problem
                    .message
                    .contains("status.phase: unknown variant `Soaking`")
            };
            status.problems.iter().any(said)
        })
        .await;
    let kept = raw.get("hello").await.unwrap();
    assert_eq!(
        kept.data["status"]["phase"], "Soaking",
        "it is not written over"
    );
    assert_eq!(
        halfway.share_of_candidate().await,
        50,
        "nothing goes up, nothing down"
    );
    halfway.fail().await;
    halfway.comes_down().await;
    let written = halfway
        .harness
        .when(raw, "hello", "the end remembered", |object| {
            object.data["status"]["phase"] == "RolledBack"
        })
        .await;
    assert_eq!(
        written.data["status"]["soak"]["rounds"], 3,
        "what this release does not know"
    );
    redefine_phases(&halfway.harness, phases).await;
    halfway.harness.end().await;
}

async fn a_traffic_block_that_nobody_takes_keeps_no_failing_candidate_up(expand: Expand) {
    let halfway = Halfway::begin(expand).await;
    let history = TrafficHistory::of(halfway.harness.traffic_object(), "hello");
    let bad = fragile("two").traffic(json!([{"latestRevision": true, "percent": 90}]));
    let commit = halfway.harness.push("Ninety per cent of us", &[bad]);
    halfway.harness.observed(&commit).await;
    halfway.fail().await;
    let begun = Instant::now();
    halfway.comes_down().await;
    let took = begun.elapsed();
    assert!(took < CONFIRM_TIMEOUT / 2, "down after {took:?}");
    halfway
        .harness
        .until("hello", "rolled back", |status| {
            status.phase == Phase::RolledBack
        })
        .await;
    for split in history.so_far() {
        let sum: i64 = split.iter().filter_map(|target| target.percent).sum();
        assert_eq!(sum, 100, "{split:?}");
    }
    halfway.harness.end().await;
}

/// A client that gets no answer to what it asks of traffic without effect, and whether it has asked.
fn unanswered(client: kube::Client) -> (kube::Client, watch::Receiver<bool>) {
    let (asks, asked) = watch::channel(false);
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, asks) = (client.clone(), asks.clone());
        async move {
            let query = request.uri().query().unwrap_or_default();
            if query.contains("dryRun=All") && query.contains("sluice-traffic") {
                asks.send_replace(true);
                return std::future::pending().await;
            }
            client.send(request).await
        }
    });
    (kube::Client::new(service, "default"), asked)
}

async fn a_webhook_that_does_not_answer_keeps_no_failing_candidate_up(expand: Expand) {
    let mut halfway = Halfway::begin(expand).await;
    halfway.harness.stop_agent().await;
    let (client, mut asked) = unanswered(halfway.harness.client.clone());
    let config = AgentConfig::new(client);
    halfway.harness.start_agent_with(config).await;
    let block = json!([{"latestRevision": true, "percent": 100, "tag": REFUSED_TAG}]);
    halfway
        .harness
        .push("A tag", &[fragile("two").traffic(block)]);
    held(&halfway.harness, HoldReason::Traffic).await;
    // The cluster is asked again whether it takes the traffic now.
    asked.wait_for(|asked| *asked).await.unwrap();
    halfway.fail().await;
    let begun = Instant::now();
    halfway.comes_down().await;
    let took = begun.elapsed();
    assert!(took < CONFIRM_TIMEOUT / 2, "down after {took:?}");
    halfway.harness.end().await;
}

async fn a_delivery_that_is_deleted_while_a_pass_waits_is_heard_at_once(expand: Expand) {
    // Two definitions of one kind: the second is never served, and the pass waits for it.
    const PLURALS: [&str; 2] = ["widgets", "gadgets"];
    let halfway = Halfway::alone(expand).await;
    for plural in PLURALS {
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"plural": plural, "singular": plural, "kind": "Widget", "listKind": "WidgetList"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
        let text = serde_yaml::to_string(&definition).unwrap();
        halfway
            .harness
            .repository
            .write(&format!("apps/{plural}.yaml"), &text);
    }
    halfway.harness.repository.push("Two kinds of one name");
    let definitions: Api<CustomResourceDefinition> = Api::all(halfway.harness.client.clone());
    for plural in PLURALS {
        let name = format!("{plural}.example.com");
        halfway
            .harness
            .when(definitions.clone(), &name, "applied", |_| true)
            .await;
    }
    let deliveries: Api<Delivery> =
        Api::namespaced(halfway.harness.client.clone(), halfway.harness.namespace());
    let begun = Instant::now();
    deliveries
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    halfway.comes_down().await;
    let took = begun.elapsed();
    // A pass waits 30 s for a kind to be served.
    assert!(took < Duration::from_secs(15), "heard after {took:?}");
    for plural in PLURALS {
        let name = format!("{plural}.example.com");
        let params = DeleteParams::default();
        definitions.delete(&name, &params).await.unwrap();
    }
    halfway.harness.end().await;
}

/// Waits until the release stands still for this reason.
async fn held(harness: &Harness, reason: HoldReason) -> RolloutStatus {
    harness
        .until("hello", &format!("held: {reason:?}"), |status| {
            status.hold.as_ref().map(|hold| hold.reason) == Some(reason)
        })
        .await
}
