//! Down is unconditional: whatever else is broken, a candidate that fails loses its users.

use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice::agent::AgentConfig;
use sluice::api::delivery::{Delivery, Expand};
use sluice::api::rollout::{HoldReason, Phase, RolloutStatus};

use super::{hello, open_shop};
use crate::harness::{Harness, Hello, Setting, TrafficHistory, in_both_forms, share, split_of};

in_both_forms!(
    a_status_store_that_refuses_keeps_no_failing_candidate_up,
    an_agent_that_begins_while_git_is_gone_takes_a_failing_candidate_down,
    an_agent_that_begins_while_the_manifest_is_broken_takes_a_failing_candidate_down,
    a_memory_of_a_later_release_is_held_and_a_failing_candidate_goes_down_all_the_same,
    a_traffic_block_that_nobody_takes_keeps_no_failing_candidate_up,
    a_delivery_that_is_deleted_while_a_pass_waits_is_heard_at_once,
);

/// What ends a candidate's process, so that its release fails when the story says so.
const CRASH: &str = "/crash";

fn fragile(target: &str) -> Hello {
    hello(target).env("CRASH_ON_PATH", CRASH)
}

/// A release that stands at 50 %.
struct Halfway {
    harness: Harness,
    stable: String,
    candidate: String,
}

impl Halfway {
    async fn begin(expand: Expand) -> Self {
        let mut harness = Harness::new(Setting {
            expand,
            policy: "quick".to_owned(),
            alone: true,
            ..Setting::default()
        })
        .await;
        harness.start_agent().await;
        open_shop(&harness, "10m").await;
        harness.push("Greet two", &[fragile("two")]);
        let status = harness
            .until("hello", "at 50 %", |status| {
                status.phase == Phase::Stepping && status.confirmed_at.is_some()
            })
            .await;
        let name =
            |release: Option<sluice::api::rollout::Release>| release.unwrap().revision.unwrap();
        Self {
            harness,
            stable: name(status.stable),
            candidate: name(status.candidate),
        }
    }

    /// Its process ends twice, which is a pattern.
    async fn fail(&self) {
        for _ in 0..2 {
            // Until one is there to take the request, the gateway answers for it.
            while self.crash().await != 0 && self.share_of_candidate().await > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// 0 once a request has ended a process.
    async fn crash(&self) -> u16 {
        let namespace = self.harness.namespace();
        let answer = self
            .harness
            .ask_in(namespace, "candidate-hello", CRASH)
            .await;
        if answer.status == 502 {
            0
        } else {
            answer.status
        }
    }

    async fn share_of_candidate(&self) -> i64 {
        let object = self.harness.traffic_object().get("hello").await.unwrap();
        share(&split_of(&object, "/spec/traffic"), &self.candidate)
    }

    /// Nobody is on the candidate any more, by what the cluster has, and not by any memory.
    async fn comes_down(&self) {
        let candidate = self.candidate.clone();
        let down = |object: &kube::api::DynamicObject| {
            share(&split_of(object, "/status/traffic"), &candidate) == 0
        };
        let api = self.harness.traffic_object();
        let object = self.harness.when(api, "hello", "stable alone", down).await;
        assert_eq!(
            share(&split_of(&object, "/status/traffic"), &self.stable),
            100
        );
        assert_eq!(self.harness.ask("hello").await.body, "Hello one!\n");
    }
}

/// Changes the definition of ServiceRollout, as one of another release of Sluice would be.
async fn redefine(harness: &Harness, patch: Value) {
    let api: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(harness.client.clone());
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    api.patch(
        "servicerollouts.sluice.dev",
        &PatchParams::default(),
        &Patch::<()>::Json(patch),
    )
    .await
    .unwrap();
}

const PHASES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/phase";

async fn a_status_store_that_refuses_keeps_no_failing_candidate_up(expand: Expand) {
    let halfway = Halfway::begin(expand).await;
    // A definition older than the agent: it knows no word for what comes now.
    let known =
        json!([{"op": "add", "path": PHASES, "value": {"type": "string", "enum": ["Stepping"]}}]);
    redefine(&halfway.harness, known).await;
    halfway.fail().await;
    halfway.comes_down().await;
    let any = json!([{"op": "add", "path": PHASES, "value": {"type": "string"}}]);
    redefine(&halfway.harness, any).await;
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
    let mut halfway = Halfway::begin(expand).await;
    halfway.harness.stop_agent().await;
    // The later release's definition has more words, and its agent has written one of them.
    let any = json!([{"op": "add", "path": PHASES, "value": {"type": "string"}}]);
    redefine(&halfway.harness, any).await;
    let raw = halfway
        .harness
        .objects("sluice.dev/v1alpha1", "ServiceRollout");
    let later = json!({"status": {"phase": "Soaking", "soak": {"rounds": 3}}});
    let params = PatchParams::default();
    raw.patch_status("hello", &params, &Patch::Merge(later))
        .await
        .unwrap();
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
    halfway.harness.end().await;
}

async fn a_traffic_block_that_nobody_takes_keeps_no_failing_candidate_up(expand: Expand) {
    let halfway = Halfway::begin(expand).await;
    let history = TrafficHistory::of(halfway.harness.traffic_object(), "hello");
    let bad = fragile("two").traffic(json!([{"latestRevision": true, "percent": 90}]));
    let commit = halfway.harness.push("Ninety per cent of us", &[bad]);
    halfway.harness.observed(&commit).await;
    halfway.fail().await;
    halfway.comes_down().await;
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

async fn a_delivery_that_is_deleted_while_a_pass_waits_is_heard_at_once(expand: Expand) {
    let halfway = Halfway::begin(expand).await;
    // Two definitions of one kind: the second is never served, and the pass waits for it.
    for plural in ["widgets", "gadgets"] {
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
    let definitions: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(halfway.harness.client.clone());
    for plural in ["widgets", "gadgets"] {
        let name = format!("{plural}.example.com");
        halfway
            .harness
            .when(definitions.clone(), &name, "applied", |_| true)
            .await;
    }
    let deliveries: Api<Delivery> =
        Api::namespaced(halfway.harness.client.clone(), halfway.harness.namespace());
    let begun = std::time::Instant::now();
    deliveries
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    halfway.comes_down().await;
    let took = begun.elapsed();
    // A pass waits 30 s for a kind to be served.
    assert!(took < Duration::from_secs(15), "heard after {took:?}");
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
