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

use crate::program::{self, Said};
use crate::world::{Hello, PATIENCE, Setting, World};

/// A policy with an approval at its first step, and quick otherwise.
fn house(namespace: &str) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "RolloutPolicy",
    "metadata": {"name": "house", "namespace": namespace},
    "spec": {
        "steps": [{"weight": 5, "approval": true}, {"weight": 50}],
        "bake": "300ms", "interval": "100ms", "progressDeadline": "30s", "confirmTimeout": "10s",
        "probes": {"count": 3},
        "analysis": {"minRequests": 2, "p99": {"max": "30s"}, "p50": {"max": "30s"}, "warmUp": {"requests": 0, "duration": "0s"},
            "lowTraffic": {"requests": 3}},
    }})
}

/// A service at rest under the house's policy, and the commit that it rests on.
async fn shop(setting: Setting) -> (World, String) {
    let mut world = World::new(Setting {
        policy: "house".to_owned(),
        ..setting
    })
    .await;
    world.start_agent().await;
    let policies: Api<RolloutPolicy> = Api::namespaced(world.client.clone(), world.namespace());
    let params = PatchParams::apply("test");
    let policy = Patch::Apply(house(world.namespace()));
    policies.patch("house", &params, &policy).await.unwrap();
    world.deliver().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    (world, first)
}

/// `sluice rollout ...` as ada.
async fn rollout(world: &World, arguments: &[&str]) -> Said {
    program::said(program(world, &[&["rollout"], arguments].concat())).await
}

/// The program, pointed at the story's cluster.
fn program(world: &World, arguments: &[&str]) -> tokio::process::Command {
    let mut command = program::sluice(world.folder(), arguments);
    command.arg("--kubeconfig").arg(world.kubeconfig());
    command.args(["--namespace", world.namespace()]);
    command
}

/// Waits for an event on a service's Rollout and gives its message.
async fn event(world: &World, service: &str, reason: &str, words: &str) -> String {
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.namespace());
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
async fn held(world: &World, commit: &str, reason: HoldReason) {
    world
        .until("hello", &format!("held: {reason:?}"), |status| {
            status.phase == Phase::Holding
                && status.hold.as_ref().is_some_and(|h| h.reason == reason)
                && status.candidate.as_ref().unwrap().commit.as_deref() == Some(commit)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_its_approval_and_goes_on_when_it_is_given() {
    let (world, _) = shop(Setting::default()).await;
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    held(&world, &second, HoldReason::Approval).await;
    let story = rollout(&world, &["get", "hello"]).await.done();
    for words in [
        "Phase      Holding",
        "\"Greet two\" at 5 %",
        "this step waits for `sluice rollout promote`",
    ] {
        assert!(story.contains(words), "{words:?} in\n{story}");
    }
    event(&world, "hello", "ReleaseHeld", "held at 5 %").await;

    let watching = program(&world, &["rollout", "watch", "hello"]);
    let watching = tokio::spawn(program::said(watching));
    let answer = rollout(&world, &["promote", "hello"]).await.done();
    assert!(answer.starts_with("promote: hello Stepping"), "{answer}");
    let status = world.promoted("hello", &second).await;
    let weights: Vec<u8> = status.evidence.iter().map(|e| e.weight).collect();
    assert_eq!(weights, [0, 5, 50], "the step after was judged as well");
    event(&world, "hello", "Promoted", "is stable").await;
    let watched = tokio::time::timeout(PATIENCE, watching)
        .await
        .expect("a release at rest ends the watch")
        .unwrap()
        .done();
    assert!(
        watched.lines().last().unwrap().contains("Stable"),
        "{watched}"
    );
    let story = rollout(&world, &["get", "hello"]).await.done();
    assert!(story.contains("Asked      promote by ada: done"), "{story}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_a_reason_and_changes_nothing() {
    let (world, _) = shop(Setting::default()).await;
    for (words, why) in [
        (vec!["promote", "hello"], "no release is on its way"),
        (vec!["abort", "hello"], "`sluice rollout undo` goes back"),
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
        let answer = rollout(&world, &words).await.failed();
        let expected = format!("error: {} refused: ", words[0]);
        assert!(
            answer.starts_with(&expected) && answer.contains(why),
            "{answer}"
        );
        event(&world, "hello", "RequestRefused", why).await;
        let story = rollout(&world, &["get", "hello"]).await.done();
        let asked = format!("Asked      {} by ada: refused, ", words[0]);
        assert!(story.contains(&asked), "{story}");
    }
    let status = world.until("hello", "at rest", |_| true).await;
    assert_eq!((status.phase, status.history.len()), (Phase::Stable, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_retried_and_undone_by_a_person() {
    let (world, first) = shop(Setting::default()).await;
    let old = world
        .until("hello", "at rest", |_| true)
        .await
        .stable
        .unwrap();
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    held(&world, &second, HoldReason::Approval).await;

    let answer = rollout(&world, &["abort", "hello"]).await.done();
    assert!(answer.contains("abort: hello Roll"), "{answer}");
    let status = world.rolled_back("hello", &second).await;
    assert!(status.quarantine[0].reason.contains("ada"), "{status:#?}");
    event(&world, "hello", "RollingBack", "ada").await;
    let story = rollout(&world, &["get", "hello"]).await.done();
    assert!(
        story.contains("QUARANTINED") && story.contains("`sluice rollout retry`"),
        "{story}"
    );

    rollout(&world, &["retry", "hello"]).await.done();
    event(
        &world,
        "hello",
        "Retried",
        "quarantine lifted, attempt 2, by ada",
    )
    .await;
    held(&world, &second, HoldReason::Approval).await;
    rollout(&world, &["promote", "hello"]).await.done();
    world.promoted("hello", &second).await;

    let answer = rollout(&world, &["undo", "hello"]).await.done();
    assert!(answer.starts_with("undo: hello"), "{answer}");
    let status = world
        .until("hello", "on the old revision", |status| {
            status.phase == Phase::RolledBack
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|s| s.revision == old.revision)
        })
        .await;
    assert_eq!(status.history[0].outcome, Outcome::Undone);
    assert!(world.ask("hello").await.body.contains("one"));
    event(&world, "hello", "Promoted", "undone by ada").await;

    let history = rollout(&world, &["history", "hello"]).await.done();
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
    let json = rollout(&world, &["history", "hello", "-o", "json"])
        .await
        .done();
    let past: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(past[0]["outcome"], "Undone");
    assert_eq!(past[3]["commit"], json!(first));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_starts_nothing_and_goes_on_when_it_is_resumed() {
    let (world, _) = shop(Setting::default()).await;
    let answer = rollout(&world, &["pause", "hello"]).await.done();
    assert!(answer.starts_with("hello is paused: "), "{answer}");
    let again = rollout(&world, &["pause", "hello"]).await.done();
    assert_eq!(again, "hello is paused already\n");
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    world
        .until("hello", "waiting", |status| {
            status.message.contains("waits: paused")
        })
        .await;
    let story = rollout(&world, &["get", "hello"]).await.done();
    assert!(
        story.contains("Paused     yes; `sluice rollout resume hello`"),
        "{story}"
    );
    assert_eq!(revisions(&world).await, ["hello-00001"], "nothing was made");

    let answer = rollout(&world, &["resume", "hello"]).await.done();
    assert_eq!(answer, "hello goes on\n");
    held(&world, &second, HoldReason::Approval).await;
    // Paused on its way: an approval given meanwhile does not make the pause undone.
    rollout(&world, &["pause", "hello"]).await.done();
    held(&world, &second, HoldReason::Paused).await;
    event(&world, "hello", "ReleaseHeld", "paused").await;
    rollout(&world, &["resume", "hello"]).await.done();
    held(&world, &second, HoldReason::Approval).await;
    event(&world, "hello", "ReleaseResumed", "goes on").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_delivery_freezes_and_goes_on_with_the_newest_commit() {
    let (world, _) = shop(Setting::default()).await;
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    held(&world, &second, HoldReason::Approval).await;
    suspend(&world, true).await;
    held(&world, &second, HoldReason::Suspended).await;
    let third = world.push("Greet three", &[Hello::new("hello", "three")]);
    world.observed(&third).await;
    let said = program::said(program(&world, &["sync", "--wait"])).await;
    assert_eq!(said.code, Some(1), "nothing was delivered: {said:#?}");
    assert!(said.out.contains("suspended"), "{said:#?}");
    assert_eq!(revisions(&world).await, ["hello-00001", "hello-00002"]);

    suspend(&world, false).await;
    held(&world, &third, HoldReason::Approval).await;
    let status = world.until("hello", "held", |_| true).await;
    assert_eq!(status.history[0].outcome, Outcome::Superseded);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_template_is_tried_again_when_a_person_says_so() {
    let closed = Arc::new(AtomicBool::new(true));
    let (world, _) = shop(Setting {
        admission: vec![Arc::new(House(closed.clone()))],
        ..Setting::default()
    })
    .await;
    let second = world.push("Greet nobody", &[Hello::new("hello", "nobody")]);
    let status = world.rolled_back("hello", &second).await;
    let why = &status.quarantine[0].reason;
    assert!(why.contains("nobody is not greeted here"), "{why}");
    assert_eq!(revisions(&world).await, ["hello-00001"]);
    // Still refused: tried again, and rolled back again.
    rollout(&world, &["retry", "hello"]).await.done();
    world
        .until("hello", "tried again", |status| {
            status.phase == Phase::RolledBack && status.quarantine.iter().any(|q| q.attempt == 1)
        })
        .await;
    closed.store(false, Ordering::Relaxed);
    rollout(&world, &["retry", "hello"]).await.done();
    held(&world, &second, HoldReason::Approval).await;
    world.end().await;
}

/// A house where `nobody` is not greeted while it is closed.
struct House(Arc<AtomicBool>);

impl Admission for House {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        let greets = object.pointer("/spec/template/spec/containers/0/env/0/value");
        let refused = review.kind == "Configuration"
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
    let (mut world, _) = shop(Setting::default()).await;
    let policies: Api<RolloutPolicy> = Api::namespaced(world.client.clone(), world.namespace());
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    held(&world, &second, HoldReason::Approval).await;
    policies
        .delete("house", &DeleteParams::default())
        .await
        .unwrap();
    held(&world, &second, HoldReason::Policy).await;
    event(&world, "hello", "ReleaseHeld", "no RolloutPolicy \"house\"").await;
    // Also an agent that never knew it holds.
    world.stop_agent().await;
    world.start_agent().await;
    held(&world, &second, HoldReason::Policy).await;
    let params = PatchParams::apply("test");
    policies
        .patch("house", &params, &Patch::Apply(house(world.namespace())))
        .await
        .unwrap();
    held(&world, &second, HoldReason::Approval).await;
    rollout(&world, &["promote", "hello"]).await.done();
    world.promoted("hello", &second).await;

    let bad = Hello::new("hello", "three").env("CRASH_ON_PATH", "/crash");
    let third = world.push("Crash when asked to", &[bad]);
    held(&world, &third, HoldReason::Approval).await;
    policies
        .delete("house", &DeleteParams::default())
        .await
        .unwrap();
    held(&world, &third, HoldReason::Policy).await;
    world.stop_agent().await;
    world.start_agent().await;
    // Two crashes of the candidate, each asked for at its own door.
    let back = world.rolled_back("hello", &third);
    let knock = async {
        loop {
            crash(&world).await;
        }
    };
    let status = tokio::select! {
        status = back => status,
        () = knock => unreachable!("it knocks for ever"),
    };
    assert!(status.quarantine[0].reason.contains("crash"), "{status:#?}");
    assert!(world.ask("hello").await.body.contains("two"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_edited_in_the_middle_of_a_release_is_followed_at_once() {
    let (world, _) = shop(Setting::default()).await;
    let policies: Api<RolloutPolicy> = Api::namespaced(world.client.clone(), world.namespace());
    let params = PatchParams::apply("test");
    let counted_every = async |interval: &str| {
        let mut policy = house(world.namespace());
        policy["spec"]["interval"] = json!(interval);
        policy["spec"]["analysis"]["lowTraffic"] = json!({"syntheticProbes": false});
        let policy = Patch::Apply(policy);
        policies.patch("house", &params, &policy).await.unwrap();
    };
    counted_every("10m").await;
    let users = world.users("hello", 20);
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    world
        .until("hello", "at 5 %", |status| status.weight == 5)
        .await;
    counted_every("100ms").await;
    held(&world, &second, HoldReason::Approval).await;
    users.stop().await;
    world.end().await;
}

/// Asks the candidate to crash.
async fn crash(world: &World) {
    world
        .ask_in(world.namespace(), "candidate-hello", "/crash")
        .await;
}

async fn suspend(world: &World, suspended: bool) {
    let deliveries: Api<Delivery> = Api::namespaced(world.client.clone(), world.namespace());
    let change = Patch::Merge(json!({"spec": {"suspend": suspended}}));
    let params = PatchParams::default();
    deliveries.patch("shop", &params, &change).await.unwrap();
}

/// The names of the Revisions that there are.
async fn revisions(world: &World) -> Vec<String> {
    let found = world
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
