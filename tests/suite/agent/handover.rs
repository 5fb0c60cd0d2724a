//! A service whose Delivery goes, or changes, while users are there.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sluice::agent::AgentConfig;
use sluice::api::delivery::{Delivery, Expand};
use sluice::api::rollout::{Phase, ServiceRollout};

use super::fixture::until;
use crate::harness::{Answer, BRISK, Harness, Hello, PATIENCE, Setting};

fn deliveries(harness: &Harness) -> Api<Delivery> {
    Api::namespaced(harness.client.clone(), harness.namespace())
}

async fn change(harness: &Harness, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    deliveries(harness)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn harmed(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status != 200).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_moves_to_another_delivery_serves_on_and_is_released_by_that_one_alone() {
    let harness = Harness::start().await;
    let first = harness.push(
        "Open the shop",
        &[Hello::new("hello", "one"), Hello::new("other", "one")],
    );
    harness.promoted("hello", &first).await;
    let users = harness.users("hello", 20);
    let mut annex = deliveries(&harness).get("shop").await.unwrap();
    let mut spec = json!(annex.spec);
    spec["source"]["path"] = json!("annex");
    annex.spec = serde_json::from_value(spec).unwrap();
    annex.metadata = kube::api::ObjectMeta {
        name: Some("annex".to_owned()),
        ..Default::default()
    };
    annex.status = None;
    harness
        .repository
        .write("annex/README.md", "More services.\n");
    harness.repository.push("An annex");
    deliveries(&harness)
        .create(&Default::default(), &annex)
        .await
        .unwrap();
    harness
        .repository
        .git(&["mv", "apps/hello.yaml", "annex/hello.yaml"]);
    harness.repository.push("It moves");
    let routes = harness.serving("Route");
    until(&routes, "hello", "the annex's", |route: &DynamicObject| {
        let marks = route.metadata.annotations.as_ref();
        marks
            .and_then(|marks| marks.get("sluice.dev/delivery"))
            .map(String::as_str)
            == Some("default.annex")
    })
    .await;
    let manifest = Hello::new("hello", "two").manifest();
    harness.repository.write("annex/hello.yaml", &manifest);
    let second = harness.repository.push("Greet two");
    harness.promoted("hello", &second).await;
    assert!(harness.ask("hello").await.body.contains("two"));
    assert_eq!(harmed(&users.stop().await), 0);
    let shop = deliveries(&harness)
        .get("shop")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(shop.services.unwrap().total, 1, "one loop for one service");
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_keeps_the_form_that_it_serves_in_whatever_the_delivery_asks_for_later() {
    let harness = Harness::set(Setting {
        expand: Expand::Routes,
        ..Setting::default()
    })
    .await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let users = harness.users("hello", 20);
    change(&harness, "shop", json!({"target": {"expand": "Service"}})).await;
    let second = harness.push(
        "Greet two",
        &[Hello::new("hello", "two"), Hello::new("young", "one")],
    );
    harness.promoted("young", &second).await;
    harness.promoted("hello", &second).await;
    let services = harness.serving("Service");
    assert!(services.get_opt("hello").await.unwrap().is_none());
    assert!(
        services.get_opt("young").await.unwrap().is_some(),
        "a new one has the new form"
    );
    change(&harness, "shop", json!({"target": {"expand": "Routes"}})).await;
    let third = harness.push(
        "Greet three",
        &[Hello::new("hello", "three"), Hello::new("young", "two")],
    );
    harness.promoted("young", &third).await;
    harness.promoted("hello", &third).await;
    assert!(services.get_opt("young").await.unwrap().is_some());
    assert_eq!(harmed(&users.stop().await), 0);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_somebody_deletes_comes_back_with_what_it_keeps_out() {
    let harness = Harness::start().await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let bad = harness.push(
        "Crash",
        &[Hello::new("hello", "two").env("CRASH_AT_START", "3")],
    );
    harness.rolled_back("hello", &bad).await;
    let rollouts: Api<ServiceRollout> =
        Api::namespaced(harness.client.clone(), harness.namespace());
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
    harness.end().await;
}

/// The kinds as a release had them whose default was another one.
async fn install_older_kinds(harness: &Harness) {
    let api: Api<CustomResourceDefinition> = Api::all(harness.client.clone());
    for definition in sluice::api::crds::all() {
        let text = serde_json::to_string(&definition).unwrap();
        let older = text
            .replace(r#""default":"Service""#, r#""default":"Routes""#)
            .replace(
                r#""default":{"expand":"Service"}"#,
                r#""default":{"expand":"Routes"}"#,
            );
        let is_delivery = text.contains(r#""kind":"Delivery""#);
        assert_eq!(older != text, is_delivery, "the default is in the Delivery");
        let older: CustomResourceDefinition = serde_json::from_str(&older).unwrap();
        let name = older.metadata.name.clone().unwrap();
        let by_the_agent = PatchParams::apply("sluice");
        api.patch(&name, &by_the_agent, &Patch::Apply(&older))
            .await
            .unwrap();
    }
    harness.kinds_are_there().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_made_under_an_older_default_is_not_moved_by_an_upgrade() {
    let mut harness = Harness::new(Setting::default()).await;
    install_older_kinds(&harness).await;
    let mut older = AgentConfig::new(harness.client.clone());
    older.install_crds = false;
    harness.start_agent_with(older).await;
    harness.policy(BRISK, crate::harness::brisk()).await;
    let source = json!({"url": harness.repository.url(), "path": "apps", "interval": "200ms"});
    let bare = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Delivery",
        "metadata": {"name": "shop", "namespace": harness.namespace()},
        "spec": {"source": source, "policy": BRISK, "prune": true}});
    harness.create(bare.clone(), "kubectl-create").await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    harness.settled("hello").await;
    let users = harness.users("hello", 20);

    // The upgrade: the new definitions, and the agent that brings them.
    harness.stop_agent().await;
    harness.start_agent().await;
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.expand, Some(Expand::Routes));
    let shop = deliveries(&harness).get("shop").await.unwrap();
    assert_eq!(shop.spec.target.expand, Expand::Routes, "as it was created");
    // Deleted and made anew it has the new default, and what stands stays as it is.
    let gone = deliveries(&harness);
    gone.delete("shop", &DeleteParams::default()).await.unwrap();
    let uid = shop.metadata.uid.unwrap();
    let deleted = kube::runtime::conditions::is_deleted(&uid);
    let deleted = kube::runtime::wait::await_condition(gone, "shop", deleted);
    tokio::time::timeout(PATIENCE, deleted)
        .await
        .expect("it goes")
        .unwrap();
    harness.create(bare, "kubectl-create").await;
    let shop = deliveries(&harness).get("shop").await.unwrap();
    assert_eq!(shop.spec.target.expand, Expand::Service);
    let third = harness.push(
        "Greet three",
        &[Hello::new("hello", "three"), Hello::new("young", "one")],
    );
    let status = harness.promoted("hello", &third).await;
    assert_eq!(status.expand, Some(Expand::Routes));
    let status = harness.promoted("young", &third).await;
    assert_eq!(status.expand, Some(Expand::Service));
    assert_eq!(harmed(&users.stop().await), 0);
    harness.end().await;
}
