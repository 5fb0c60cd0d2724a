//! A service whose Delivery goes, or changes, while users are there.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sluice::api::delivery::Delivery;
use sluice::api::rollout::{Phase, ServiceRollout};

use super::stage::until;
use crate::world::{Answer, Hello, World};

fn deliveries(world: &World) -> Api<Delivery> {
    Api::namespaced(world.client.clone(), world.namespace())
}

async fn change(world: &World, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    deliveries(world)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn harmed(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status != 200).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_moves_to_another_delivery_serves_on_and_is_released_by_that_one_alone() {
    let world = World::start().await;
    let first = world.push(
        "Open the shop",
        &[Hello::new("hello", "one"), Hello::new("other", "one")],
    );
    world.promoted("hello", &first).await;
    let users = world.users("hello", 20);
    let mut annex = deliveries(&world).get("shop").await.unwrap();
    let mut spec = json!(annex.spec);
    spec["source"]["path"] = json!("annex");
    annex.spec = serde_json::from_value(spec).unwrap();
    annex.metadata = kube::api::ObjectMeta {
        name: Some("annex".to_owned()),
        ..Default::default()
    };
    annex.status = None;
    world
        .repository
        .write("annex/README.md", "More services.\n");
    world.repository.push("An annex");
    deliveries(&world)
        .create(&Default::default(), &annex)
        .await
        .unwrap();
    world
        .repository
        .git(&["mv", "apps/hello.yaml", "annex/hello.yaml"]);
    world.repository.push("It moves");
    let routes = world.serving("Route");
    until(&routes, "hello", "the annex's", |route: &DynamicObject| {
        let marks = route.metadata.annotations.as_ref();
        marks
            .and_then(|marks| marks.get("sluice.dev/delivery"))
            .map(String::as_str)
            == Some("default.annex")
    })
    .await;
    let manifest = Hello::new("hello", "two").manifest();
    world.repository.write("annex/hello.yaml", &manifest);
    let second = world.repository.push("Greet two");
    world.promoted("hello", &second).await;
    assert!(world.ask("hello").await.body.contains("two"));
    assert_eq!(harmed(&users.stop().await), 0);
    let shop = deliveries(&world)
        .get("shop")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(shop.services.unwrap().total, 1, "one loop for one service");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_keeps_the_form_that_it_serves_in_whatever_the_delivery_asks_for_later() {
    let world = World::start().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let users = world.users("hello", 20);
    change(&world, "shop", json!({"target": {"expand": "Service"}})).await;
    let second = world.push(
        "Greet two",
        &[Hello::new("hello", "two"), Hello::new("young", "one")],
    );
    world.promoted("young", &second).await;
    world.promoted("hello", &second).await;
    let services = world.serving("Service");
    assert!(services.get_opt("hello").await.unwrap().is_none());
    assert!(
        services.get_opt("young").await.unwrap().is_some(),
        "a new one has the new form"
    );
    change(&world, "shop", json!({"target": {"expand": "Routes"}})).await;
    let third = world.push(
        "Greet three",
        &[Hello::new("hello", "three"), Hello::new("young", "two")],
    );
    world.promoted("young", &third).await;
    world.promoted("hello", &third).await;
    assert!(services.get_opt("young").await.unwrap().is_some());
    assert_eq!(harmed(&users.stop().await), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_somebody_deletes_comes_back_with_what_it_keeps_out() {
    let world = World::start().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let bad = world.push(
        "Crash",
        &[Hello::new("hello", "two").env("CRASH_AT_START", "3")],
    );
    world.rolled_back("hello", &bad).await;
    let rollouts: Api<ServiceRollout> = Api::namespaced(world.client.clone(), world.namespace());
    let uid = rollouts.get("hello").await.unwrap().metadata.uid;
    rollouts
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    until(&rollouts, "hello", "there again", |rollout| {
        let status = rollout.status.clone().unwrap_or_default();
        rollout.metadata.uid != uid
            && status.phase == Phase::RolledBack
            && status
                .quarantine
                .iter()
                .any(|q| q.commit.as_deref() == Some(bad.as_str()))
    })
    .await;
    world.end().await;
}
