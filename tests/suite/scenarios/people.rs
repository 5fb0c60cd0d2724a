//! What people ask of a release, by the program as they type it, on a whole cluster: each
//! word with its effect, its event, and its place in `sluice rollout get`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::{Value, json};
use sluice::api::delivery::Delivery;
use sluice::api::rollout::{HoldReason, Outcome, Phase};
use sluice::api::rollout_policy::RolloutPolicy;
use sluice::local::apiserver::{Admission, ApiError, Review};

use crate::harness::{Harness, Hello, PATIENCE, Setting};
use crate::program::{self, Said};

/// A policy with an approval at its first step, and quick otherwise.
fn house(namespace: &str) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "RolloutPolicy",
    "metadata": {"name": "house", "namespace": namespace},
    "spec": {
        "steps": [{"weight": 5, "approval": true}, {"weight": 50}],
        "bake": "300ms", "interval": "100ms", "progressDeadline": "30s", "confirmTimeout": "10s",
        "probes": {"count": 3},
        "analysis": {"minRequests": 2, "p99": {"max": "30s"}, "p50": {"max": "30s"}, "warmUp": {"requests": 0, "duration": "0s"},
            "lowTraffic": {"requests": 3, "readinessOnly": "Promote"}},
    }})
}

/// A service at rest under the house's policy, and the commit that it rests on.
async fn shop(setting: Setting) -> (Harness, String) {
    let mut harness = Harness::new(Setting {
        policy: "house".to_owned(),
        ..setting
    })
    .await;
    harness.start_agent().await;
    let policies: Api<RolloutPolicy> = Api::namespaced(harness.client.clone(), harness.namespace());
    let params = PatchParams::apply("test");
    let policy = Patch::Apply(house(harness.namespace()));
    policies.patch("house", &params, &policy).await.unwrap();
    harness.deliver().await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    (harness, first)
}

/// `sluice rollout ...` as ada.
async fn rollout(harness: &Harness, arguments: &[&str]) -> Said {
    program::said(program(harness, &[&["rollout"], arguments].concat())).await
}

/// The program, pointed at the story's cluster.
fn program(harness: &Harness, arguments: &[&str]) -> tokio::process::Command {
    let mut command = program::sluice(harness.folder(), arguments);
    command.arg("--kubeconfig").arg(harness.kubeconfig());
    command.args(["--namespace", harness.namespace()]);
    command
}

/// Waits for an event on a service's ServiceRollout and gives its message.
async fn event(harness: &Harness, service: &str, reason: &str, words: &str) -> String {
    let events: Api<Event> = Api::namespaced(harness.client.clone(), harness.namespace());
    let mut seen = std::pin::pin!(kube::runtime::WatchStreamExt::applied_objects(watcher(
        events,
        watcher::Config::default()
    )));
    let wait = async {
        while let Some(event) = futures::TryStreamExt::try_next(&mut seen).await.unwrap() {
            let message = event.message.unwrap_or_default();
            if event.involved_object.name.as_deref() == Some(service)
                && event.reason.as_deref() == Some(reason)
                && message.contains(words)
            {
                return message;
            }
        }
        panic!("the watch ended");
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("no event {reason} on {service} with {words:?}"))
}

/// Waits until the release of `commit` stands still, for this reason.
async fn held(harness: &Harness, commit: &str, reason: HoldReason) {
    harness
        .until("hello", &format!("held: {reason:?}"), |status| {
            status.phase == Phase::Holding
                && status.hold.as_ref().is_some_and(|h| h.reason == reason)
                && status.candidate.as_ref().unwrap().commit.as_deref() == Some(commit)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_its_approval_and_goes_on_when_it_is_given() {
    let (harness, _) = shop(Setting::default()).await;
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    held(&harness, &second, HoldReason::Approval).await;
    let story = rollout(&harness, &["get", "hello"]).await.done();
    for words in [
        "Phase      Holding",
        "\"Greet two\" at 5 %",
        "this step waits for `sluice rollout promote`",
    ] {
        assert!(story.contains(words), "{words:?} in\n{story}");
    }
    event(&harness, "hello", "ReleaseHeld", "held at 5 %").await;

    let watching = program(&harness, &["rollout", "watch", "hello"]);
    let watching = tokio::spawn(program::said(watching));
    let answer = rollout(&harness, &["promote", "hello"]).await.done();
    assert!(answer.starts_with("promote: hello Stepping"), "{answer}");
    let status = harness.promoted("hello", &second).await;
    let weights: Vec<u8> = status.evidence.iter().map(|e| e.weight).collect();
    assert_eq!(weights, [0, 5, 50], "the step after was judged as well");
    event(&harness, "hello", "Promoted", "is stable").await;
    let watched = tokio::time::timeout(PATIENCE, watching)
        .await
        .expect("a release at rest ends the watch")
        .unwrap()
        .done();
    assert!(
        watched.lines().last().unwrap().contains("Stable"),
        "{watched}"
    );
    let story = rollout(&harness, &["get", "hello"]).await.done();
    assert!(story.contains("Asked      promote by ada: done"), "{story}");
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_a_reason_and_changes_nothing() {
    let (harness, _) = shop(Setting::default()).await;
    for (words, why) in [
        (vec!["promote", "hello"], "no release is on its way"),
        (vec!["abort", "hello"], "`sluice rollout undo` rolls back"),
        (
            vec!["retry", "hello"],
            "Git's template is not in quarantine",
        ),
        (vec!["undo", "hello"], "there is no earlier good revision"),
        (
            vec!["undo", "hello", "--to", "hello-00009"],
            "hello-00009 is no revision to roll back to",
        ),
    ] {
        let answer = rollout(&harness, &words).await.failed();
        let expected = format!("error: {} refused: ", words[0]);
        assert!(
            answer.starts_with(&expected) && answer.contains(why),
            "{answer}"
        );
        event(&harness, "hello", "RequestRefused", why).await;
        let story = rollout(&harness, &["get", "hello"]).await.done();
        let asked = format!("Asked      {} by ada: refused, ", words[0]);
        assert!(story.contains(&asked), "{story}");
    }
    let status = harness.until("hello", "at rest", |_| true).await;
    assert_eq!((status.phase, status.history.len()), (Phase::Stable, 1));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_retried_and_undone_by_a_person() {
    let (harness, first) = shop(Setting::default()).await;
    let old = harness
        .until("hello", "at rest", |_| true)
        .await
        .stable
        .unwrap();
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    held(&harness, &second, HoldReason::Approval).await;

    let answer = rollout(&harness, &["abort", "hello"]).await.done();
    assert!(answer.contains("abort: hello Roll"), "{answer}");
    let status = harness.rolled_back("hello", &second).await;
    assert!(status.quarantine[0].reason.contains("ada"), "{status:#?}");
    event(&harness, "hello", "RollingBack", "ada").await;
    let story = rollout(&harness, &["get", "hello"]).await.done();
    assert!(
        story.contains("QUARANTINED") && story.contains("`sluice rollout retry`"),
        "{story}"
    );

    rollout(&harness, &["retry", "hello"]).await.done();
    event(
        &harness,
        "hello",
        "Retried",
        "quarantine lifted, attempt 2, by ada",
    )
    .await;
    held(&harness, &second, HoldReason::Approval).await;
    rollout(&harness, &["promote", "hello"]).await.done();
    harness.promoted("hello", &second).await;

    let answer = rollout(&harness, &["undo", "hello"]).await.done();
    assert!(answer.starts_with("undo: hello"), "{answer}");
    let status = harness
        .until("hello", "on the old revision", |status| {
            status.phase == Phase::RolledBack
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|s| s.revision == old.revision)
        })
        .await;
    assert_eq!(status.history[0].outcome, Outcome::Undone);
    assert!(harness.ask("hello").await.body.contains("one"));
    event(&harness, "hello", "Promoted", "undone by ada").await;

    let history = rollout(&harness, &["history", "hello"]).await.done();
    let outcomes: Vec<&str> = history
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(
        outcomes,
        ["Undone", "Promoted", "RolledBack", "Promoted"],
        "{history}"
    );
    let json = rollout(&harness, &["history", "hello", "-o", "json"])
        .await
        .done();
    let past: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(past[0]["outcome"], "Undone");
    assert_eq!(past[3]["commit"], json!(first));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_starts_nothing_and_goes_on_when_it_is_resumed() {
    let (harness, _) = shop(Setting::default()).await;
    let answer = rollout(&harness, &["pause", "hello"]).await.done();
    assert!(answer.starts_with("hello is paused: "), "{answer}");
    let again = rollout(&harness, &["pause", "hello"]).await.done();
    assert_eq!(again, "hello is paused already\n");
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness
        .until("hello", "waiting", |status| {
            status.message.contains("waits: paused")
        })
        .await;
    let story = rollout(&harness, &["get", "hello"]).await.done();
    assert!(
        story.contains("Paused     yes; `sluice rollout resume hello`"),
        "{story}"
    );
    assert_eq!(
        revisions(&harness).await,
        ["hello-00001"],
        "nothing was made"
    );

    let answer = rollout(&harness, &["resume", "hello"]).await.done();
    assert_eq!(answer, "hello goes on\n");
    held(&harness, &second, HoldReason::Approval).await;
    // Paused on its way: neither gate hides the other, and it goes on when both are open.
    rollout(&harness, &["pause", "hello"]).await.done();
    held(&harness, &second, HoldReason::Paused).await;
    event(&harness, "hello", "ReleaseHeld", "paused").await;
    let story = rollout(&harness, &["get", "hello"]).await.done();
    for gate in ["Waits for  Paused for ", "Waits for  Approval for "] {
        assert!(story.contains(gate), "{story}");
    }
    rollout(&harness, &["resume", "hello"]).await.done();
    held(&harness, &second, HoldReason::Approval).await;
    rollout(&harness, &["promote", "hello"]).await.done();
    event(&harness, "hello", "ReleaseResumed", "goes on").await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_for_some_seconds_ends_with_nobody_s_help() {
    let (harness, _) = shop(Setting::default()).await;
    let answer = rollout(&harness, &["pause", "hello", "--for", "8s"]).await;
    let answer = answer.done();
    assert!(answer.starts_with("hello is paused until 2"), "{answer}");
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness
        .until("hello", "waiting", |status| {
            status.message.contains("waits: paused until 2")
        })
        .await;
    let story = rollout(&harness, &["get", "hello"]).await.done();
    assert!(story.contains("Paused     yes until 2"), "{story}");
    held(&harness, &second, HoldReason::Approval).await;
    let story = rollout(&harness, &["get", "hello"]).await.done();
    assert!(!story.contains("Paused"), "{story}");
    let answer = rollout(&harness, &["resume", "hello"]).await.done();
    assert_eq!(answer, "hello is not paused\n");
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_delivery_freezes_and_goes_on_with_the_newest_commit() {
    let (harness, _) = shop(Setting::default()).await;
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    held(&harness, &second, HoldReason::Approval).await;
    suspend(&harness, true).await;
    held(&harness, &second, HoldReason::Suspended).await;
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    harness.observed(&third).await;
    let said = program::said(program(&harness, &["sync", "--wait"])).await;
    assert_eq!(said.code, Some(1), "nothing was delivered: {said:#?}");
    assert!(said.out.contains("suspended"), "{said:#?}");
    assert_eq!(revisions(&harness).await, ["hello-00001", "hello-00002"]);

    suspend(&harness, false).await;
    held(&harness, &third, HoldReason::Approval).await;
    let status = harness.until("hello", "held", |_| true).await;
    assert_eq!(status.history[0].outcome, Outcome::Superseded);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_template_is_tried_again_when_a_person_says_so() {
    let closed = Arc::new(AtomicBool::new(true));
    let (harness, _) = shop(Setting {
        admission: vec![Arc::new(House(closed.clone()))],
        ..Setting::default()
    })
    .await;
    let second = harness.push("Greet nobody", &[Hello::new("hello", "nobody")]);
    let status = harness.rolled_back("hello", &second).await;
    let why = &status.quarantine[0].reason;
    assert!(why.contains("nobody is not greeted here"), "{why}");
    assert_eq!(revisions(&harness).await, ["hello-00001"]);
    // Still refused: tried again, and rolled back again.
    rollout(&harness, &["retry", "hello"]).await.done();
    harness
        .until("hello", "tried again", |status| {
            status.phase == Phase::RolledBack && status.quarantine.iter().any(|q| q.attempt == 1)
        })
        .await;
    closed.store(false, Ordering::Relaxed);
    rollout(&harness, &["retry", "hello"]).await.done();
    held(&harness, &second, HoldReason::Approval).await;
    harness.end().await;
}

/// A house where `nobody` is not greeted while it is closed.
struct House(Arc<AtomicBool>);

impl Admission for House {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        let greets = object.pointer("/spec/template/spec/containers/0/env/0/value");
        let refused = matches!(review.kind, "Configuration" | "Service")
            && greets == Some(&json!("nobody"))
            && self.0.load(Ordering::Relaxed);
        if refused {
            return Err(ApiError::denied(
                "house.example.com",
                "nobody is not greeted here",
            ));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_policy_is_gone_holds_is_watched_and_goes_on_when_it_is_back() {
    let (mut harness, _) = shop(Setting::default()).await;
    let policies: Api<RolloutPolicy> = Api::namespaced(harness.client.clone(), harness.namespace());
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    held(&harness, &second, HoldReason::Approval).await;
    policies
        .delete("house", &DeleteParams::default())
        .await
        .unwrap();
    held(&harness, &second, HoldReason::Policy).await;
    event(
        &harness,
        "hello",
        "ReleaseHeld",
        "no RolloutPolicy \"house\"",
    )
    .await;
    // Also an agent that never knew it holds.
    harness.stop_agent().await;
    harness.start_agent().await;
    held(&harness, &second, HoldReason::Policy).await;
    let params = PatchParams::apply("test");
    policies
        .patch("house", &params, &Patch::Apply(house(harness.namespace())))
        .await
        .unwrap();
    held(&harness, &second, HoldReason::Approval).await;
    rollout(&harness, &["promote", "hello"]).await.done();
    harness.promoted("hello", &second).await;

    let bad = Hello::new("hello", "three").env("CRASH_ON_PATH", "/crash");
    let third = harness.push("Crash when asked to", &[bad]);
    held(&harness, &third, HoldReason::Approval).await;
    policies
        .delete("house", &DeleteParams::default())
        .await
        .unwrap();
    held(&harness, &third, HoldReason::Policy).await;
    harness.stop_agent().await;
    harness.start_agent().await;
    // Two crashes of the candidate, each asked for at its own door.
    let back = harness.rolled_back("hello", &third);
    let knock = async {
        loop {
            crash(&harness).await;
        }
    };
    let status = tokio::select! {
        status = back => status,
        () = knock => unreachable!("it knocks for ever"),
    };
    assert!(status.quarantine[0].reason.contains("crash"), "{status:#?}");
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_edited_in_the_middle_of_a_release_is_followed_at_once() {
    let (harness, _) = shop(Setting::default()).await;
    let policies: Api<RolloutPolicy> = Api::namespaced(harness.client.clone(), harness.namespace());
    let params = PatchParams::apply("test");
    let counted_every = async |interval: &str| {
        let mut policy = house(harness.namespace());
        policy["spec"]["interval"] = json!(interval);
        policy["spec"]["analysis"]["lowTraffic"] = json!({"syntheticProbes": false});
        let policy = Patch::Apply(policy);
        policies.patch("house", &params, &policy).await.unwrap();
    };
    counted_every("10m").await;
    let users = harness.users("hello", 20);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness
        .until("hello", "at 5 %", |status| status.weight == 5)
        .await;
    counted_every("100ms").await;
    held(&harness, &second, HoldReason::Approval).await;
    users.stop().await;
    harness.end().await;
}

/// Asks the candidate to crash.
async fn crash(harness: &Harness) {
    harness
        .ask_in(harness.namespace(), "candidate-hello", "/crash")
        .await;
}

async fn suspend(harness: &Harness, suspended: bool) {
    let deliveries: Api<Delivery> = Api::namespaced(harness.client.clone(), harness.namespace());
    let change = Patch::Merge(json!({"spec": {"suspend": suspended}}));
    let params = PatchParams::default();
    deliveries.patch("shop", &params, &change).await.unwrap();
}

/// The names of the Revisions that there are.
async fn revisions(harness: &Harness) -> Vec<String> {
    let found = harness
        .serving("Revision")
        .list(&ListParams::default())
        .await
        .unwrap();
    let mut names: Vec<String> = found
        .items
        .into_iter()
        .filter_map(|revision| revision.metadata.name)
        .collect();
    names.sort();
    names
}
