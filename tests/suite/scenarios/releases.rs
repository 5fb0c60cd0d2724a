//! Releases from a push to their end, on a whole cluster with real requests.

use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use sluice::api::delivery::{Delivery, Expand};
use sluice::api::rollout::{Outcome, Phase, Rollout};

use crate::world::{Hello, NAMESPACE, Setting, World};

/// Releases in both forms; the rest of the stage is the usual one.
async fn stage(expand: Expand) -> World {
    let mut world = World::new(Setting {
        expand,
        ..Setting::default()
    })
    .await;
    world.start_agent().await;
    world.deliver().await;
    world
}

async fn good_then_bad(expand: Expand) {
    let world = stage(expand).await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let users = world.users("hello", 20);

    let good = world.push("Greet two", &[Hello::new("hello", "two")]);
    let status = world.promoted("hello", &good).await;
    let weights: Vec<u8> = status
        .evidence
        .iter()
        .map(|evidence| evidence.weight)
        .collect();
    assert_eq!(
        weights,
        [0, 5, 20, 50],
        "every step was judged, in order: {:#?}",
        status.evidence
    );
    assert!(world.ask("hello").await.body.contains("two"));
    let so_far = users.stop().await;
    let harmed = so_far.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(
        harmed,
        0,
        "a good release harms nobody ({} requests)",
        so_far.len()
    );

    let users = world.users("hello", 20);
    let bad = world.push(
        "Half of the answers fail",
        &[Hello::new("hello", "three").env("FAIL_PERCENT", "50")],
    );
    let status = world.taken_back("hello", &bad).await;
    let answers = users.stop().await;
    let ended = &status.history[0];
    assert_eq!(
        (ended.outcome, ended.weight),
        (Outcome::RolledBack, 5),
        "{ended:#?}"
    );
    let harmed = answers.iter().filter(|answer| answer.status != 200).count();
    assert!(
        harmed * 10 < answers.len(),
        "{harmed} of {} were harmed at 5 %",
        answers.len()
    );
    assert!(
        world.ask("hello").await.body.contains("two"),
        "stable serves"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_walks_up_and_a_bad_one_is_taken_back_at_its_first_step() {
    good_then_bad(Expand::Routes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_the_service_itself_delivered() {
    good_then_bad(Expand::Service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_crashes_at_its_start_is_taken_back_by_its_pods_and_harms_nobody() {
    let world = World::start().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let users = world.users("hello", 20);
    let bad = world.push(
        "Crash",
        &[Hello::new("hello", "two").env("CRASH_AT_START", "3")],
    );
    let status = world.taken_back("hello", &bad).await;
    let answers = users.stop().await;
    assert_eq!(status.history[0].weight, 0, "it never met a user");
    assert!(
        status.quarantine[0].reason.contains("crash"),
        "{}",
        status.quarantine[0].reason
    );
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "nobody was harmed"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_revert_puts_the_old_revision_back_without_a_new_one() {
    let world = World::start().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    let old = world
        .promoted("hello", &first)
        .await
        .stable
        .unwrap()
        .revision;
    let second = world.push("Greet two", &[Hello::new("hello", "two")]);
    world.promoted("hello", &second).await;
    world.push("Revert: greet one", &[Hello::new("hello", "one")]);
    let status = world
        .until("hello", "back on the first revision", |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.revision == old)
        })
        .await;
    assert!(world.ask("hello").await.body.contains("one"), "{status:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_stays_out_across_a_restart_of_the_agent_until_a_person_says_retry() {
    let mut world = World::start().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    let stable = world
        .promoted("hello", &first)
        .await
        .stable
        .unwrap()
        .revision;
    let bad = world.push(
        "Crash",
        &[Hello::new("hello", "two").env("CRASH_AT_START", "3")],
    );
    world.taken_back("hello", &bad).await;

    world.stop_agent().await;
    world.start_agent().await;
    // A second service shows that the new agent has read Git and acted on it.
    let other = world.push("Another service", &[Hello::new("other", "one")]);
    world.promoted("other", &other).await;
    let status = world.until("hello", "at rest", |_| true).await;
    assert_eq!(
        (status.phase, status.stable.unwrap().revision),
        (Phase::RolledBack, stable)
    );

    let request = json!({"spec": {"request": {"id": "again", "action": "retry"}}});
    let rollouts: Api<Rollout> = Api::namespaced(world.client.clone(), NAMESPACE);
    rollouts
        .patch("hello", &PatchParams::default(), &Patch::Merge(&request))
        .await
        .unwrap();
    let status = world
        .until("hello", "tried again and taken back again", |status| {
            status.phase == Phase::RolledBack
                && status.quarantine.iter().any(|bad| bad.attempt == 1)
        })
        .await;
    assert_eq!(status.handled_request.as_deref(), Some("again"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_costs_its_own_service_only_and_is_said_with_its_line() {
    let world = World::start().await;
    world.repository.write("apps/broken.yaml", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: broken\nspec:\n  template:\n    spec:\n      containers: nothing\n");
    let commit = world.push("One good, one broken", &[Hello::new("hello", "one")]);
    world.promoted("hello", &commit).await;
    let deliveries: Api<Delivery> = Api::namespaced(world.client.clone(), NAMESPACE);
    let status = deliveries.get("shop").await.unwrap().status.unwrap();
    let problem = status.problems.iter().find(|problem| {
        problem
            .origin
            .as_deref()
            .is_some_and(|origin| origin.starts_with("apps/broken.yaml:8"))
    });
    assert!(problem.is_some(), "{:#?}", status.problems);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_leaves_git_leaves_the_cluster_but_an_empty_folder_deletes_nothing() {
    let world = World::start().await;
    let commit = world.push(
        "Two services",
        &[Hello::new("hello", "one"), Hello::new("other", "one")],
    );
    world.promoted("hello", &commit).await;
    world.promoted("other", &commit).await;
    world.repository.remove("apps/other.yaml");
    world.repository.push("Close the other one");
    let routes = routes(&world);
    world.gone(&routes, "other").await;
    world.repository.remove("apps/hello.yaml");
    let empty = world.repository.push("Close everything, by accident");
    world.observed(&empty).await;
    assert_eq!(
        routes
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        1,
        "an empty render deletes nothing"
    );
    assert!(world.ask("hello").await.body.contains("one"));
    world.end().await;
}

fn routes(world: &World) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("serving.knative.dev", "v1", "Route"));
    Api::namespaced_with(world.client.clone(), NAMESPACE, &kind)
}
