//! Deliveries beside one another, and what people do to them.

use std::sync::{Arc, Mutex, mpsc};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice::local::apiserver::{Admission, ApiError, Review};

use super::fixture::{Fixture, config_map, holds, until};
use crate::harness::NAMESPACE;

/// One commit moves a file from one Delivery's folder to another's. Whoever of the two sees
/// it first, the object is never deleted in between.
async fn moved(first_sees: &str) {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("a/kept.yaml", &config_map("kept-a", "1"));
    repository.write("a/moved.yaml", &config_map("moved", "1"));
    repository.write("b/kept.yaml", &config_map("kept-b", "1"));
    let before = repository.push("Two folders");
    let slow = |name: &str| if name == first_sees { "100ms" } else { "1s" };
    for name in ["a", "b"] {
        let source = json!({"path": name, "interval": slow(name)});
        stage.deliver(name, &repository, source, json!({})).await;
    }
    stage.delivered("a", &before).await;
    stage.delivered("b", &before).await;
    let uid = stage.maps().get("moved").await.unwrap().metadata.uid;

    repository.git(&["mv", "a/moved.yaml", "b/moved.yaml"]);
    let after = repository.push("It moves");
    stage.delivered("b", &after).await;
    let a = stage.delivered("a", &after).await;
    let map = until(&stage.maps(), "moved", "b's", |map: &ConfigMap| {
        let marks = map.metadata.annotations.as_ref();
        marks
            .and_then(|marks| marks.get("sluice.dev/delivery"))
            .map(String::as_str)
            == Some("default.b")
    })
    .await;
    assert_eq!(map.metadata.uid, uid, "it was never deleted");
    assert!(a.inventory.iter().all(|key| key.name != "moved"), "{a:#?}");
    stage.end().await;
}

#[tokio::test]
async fn a_file_that_moves_to_another_delivery_is_handed_over_though_its_old_owner_sees_it_first() {
    moved("a").await;
}

#[tokio::test]
async fn a_file_that_moves_to_another_delivery_is_handed_over_when_its_new_owner_sees_it_first() {
    moved("b").await;
}

#[tokio::test]
async fn what_left_git_is_pruned_though_a_delivery_beside_it_never_looks() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write("apps/b.yaml", &config_map("b", "1"));
    let first = repository.push("Two");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    let uid = stage.maps().get("b").await.unwrap().metadata.uid.unwrap();
    // It cannot even be read: the one beside it waits for its answer, and not for ever.
    stage
        .deliver("broken", &repository, json!({"path": "nowhere"}), json!({}))
        .await;
    stage
        .says("broken", "its folder is missing", |status| {
            !status.conditions.is_empty()
        })
        .await;
    repository.remove("apps/b.yaml");
    let second = repository.push("One");
    stage.gone("b", &uid).await;
    stage.delivered("shop", &second).await;
    stage.end().await;
}

#[tokio::test]
async fn another_target_namespace_moves_everything_there() {
    let stage = Fixture::new().await;
    stage.namespace("attic").await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &commit).await;
    let uid = stage.maps().get("a").await.unwrap().metadata.uid.unwrap();
    let target = json!({"target": {"namespace": "attic"}});
    stage.deliver("shop", &repository, json!({}), target).await;
    let attic: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "attic");
    until(&attic, "a", "in the attic", |map| holds(map, "1")).await;
    stage.gone("a", &uid).await;
    let status = stage
        .says("shop", "only the attic in its inventory", |status| {
            status.inventory.len() == 1
        })
        .await;
    assert_eq!(status.inventory[0].namespace.as_deref(), Some("attic"));
    stage.end().await;
}

#[tokio::test]
async fn an_object_of_a_kind_that_came_in_the_same_commit_is_watched_from_then_on() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write(
        "apps/toys.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: toys.example.com}\n\
         spec:\n  group: example.com\n  scope: Namespaced\n  names: {kind: Toy, plural: toys, singular: toy, listKind: ToyList}\n  \
         versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        \
         properties: {spec: {type: object, properties: {size: {type: integer}}}}\n---\n\
         apiVersion: example.com/v1\nkind: Toy\nmetadata: {name: bear}\nspec: {size: 3}\n",
    );
    let commit = repository.push("A kind and one of it");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &commit).await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Toy"));
    let toys: Api<DynamicObject> = Api::namespaced_with(stage.client.clone(), NAMESPACE, &kind);
    let bigger = Patch::Merge(json!({"spec": {"size": 9}}));
    toys.patch("bear", &PatchParams::default(), &bigger)
        .await
        .unwrap();
    until(&toys, "bear", "put back, with no further commit", |toy| {
        toy.data["spec"]["size"] == 3
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn a_namespace_that_comes_later_is_delivered_to_without_a_new_commit() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let lost = config_map("lost", "1").replace("{name: lost}", "{name: lost, namespace: later}");
    repository.write("apps/lost.yaml", &lost);
    repository.write("apps/here.yaml", &config_map("here", "1"));
    let commit = repository.push("One is early");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    let status = stage
        .says("shop", "its namespace is missing", |status| {
            status
                .problems
                .iter()
                .any(|problem| problem.message.contains("namespace does not exist"))
        })
        .await;
    assert_eq!(status.last_good_commit, None);
    until(&stage.maps(), "here", "there", |map| holds(map, "1")).await;
    stage.namespace("later").await;
    stage.delivered("shop", &commit).await;
    let later: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "later");
    assert!(holds(&later.get("lost").await.unwrap(), "1"));
    stage.end().await;
}

#[tokio::test]
async fn a_delivery_that_is_deleted_leaves_its_objects_and_made_again_it_takes_them_up() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write("apps/b.yaml", &config_map("b", "1"));
    let first = repository.push("Two");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    let uid = stage.maps().get("b").await.unwrap().metadata.uid;

    stage.delete(&stage.deliveries(), "shop").await;
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    assert_eq!(stage.maps().get("b").await.unwrap().metadata.uid, uid);
    repository.remove("apps/b.yaml");
    repository.push("One");
    stage.gone("b", &uid.unwrap()).await;
    stage.end().await;
}

#[tokio::test]
async fn a_suspended_delivery_writes_nothing_and_then_everything() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    stage
        .deliver("shop", &repository, json!({}), json!({"suspend": true}))
        .await;
    repository.write("apps/a.yaml", &config_map("a", "2"));
    let second = repository.push("Two");
    let status = stage
        .says("shop", "seen, though suspended", |status| {
            status.observed_commit.as_deref() == Some(second.as_str())
        })
        .await;
    assert_eq!(status.applied_commit.as_deref(), Some(first.as_str()));
    assert!(holds(&stage.maps().get("a").await.unwrap(), "1"));
    stage
        .deliver("shop", &repository, json!({}), json!({"suspend": false}))
        .await;
    stage.delivered("shop", &second).await;
    assert!(holds(&stage.maps().get("a").await.unwrap(), "2"));
    stage.end().await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_said_with_a_way_out_and_costs_only_itself() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let worker = |app: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: worker}}\nspec:\n  \
             selector: {{matchLabels: {{app: {app}}}}}\n  template:\n    metadata: {{labels: {{app: {app}}}}}\n    \
             spec: {{containers: [{{name: app, image: worker}}]}}\n"
        )
    };
    repository.write("apps/worker.yaml", &worker("one"));
    let first = repository.push("A worker");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    repository.write("apps/worker.yaml", &worker("two"));
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.push("Another selector");
    let status = stage
        .says("shop", "the selector cannot change", |status| {
            status
                .problems
                .iter()
                .any(|problem| problem.message.contains("immutable"))
        })
        .await;
    let problem = &status.problems[0];
    assert!(
        problem.message.contains("give the object another name"),
        "{problem:#?}"
    );
    assert_eq!(problem.object.as_ref().unwrap().kind, "Deployment");
    until(&stage.maps(), "a", "delivered beside it", |map| {
        holds(map, "1")
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn what_git_brings_back_while_it_is_still_going_is_made_anew_once_it_is_gone() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let held = |value: &str| {
        config_map("held", value).replace(
            "{name: held}",
            "{name: held, finalizers: [example.com/hold]}",
        )
    };
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write("apps/held.yaml", &held("1"));
    let first = repository.push("Two");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    let uid = stage
        .maps()
        .get("held")
        .await
        .unwrap()
        .metadata
        .uid
        .unwrap();
    repository.remove("apps/held.yaml");
    repository.push("One goes");
    until(&stage.maps(), "held", "going", |map: &ConfigMap| {
        map.metadata.deletion_timestamp.is_some()
    })
    .await;
    repository.write("apps/held.yaml", &held("2"));
    let back = repository.push("It is wanted again");
    let status = stage
        .says("shop", "seen", |status| {
            status.observed_commit.as_deref() == Some(back.as_str())
        })
        .await;
    assert_ne!(
        status.last_good_commit.as_deref(),
        Some(back.as_str()),
        "it is not there yet"
    );
    let let_go = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    stage
        .maps()
        .patch("held", &PatchParams::default(), &let_go)
        .await
        .unwrap();
    until(&stage.maps(), "held", "made anew", |map| {
        map.metadata.uid.as_deref() != Some(uid.as_str()) && holds(map, "2")
    })
    .await;
    stage.delivered("shop", &back).await;
    stage.end().await;
}

/// Holds the first change of one ConfigMap back until it is told to let it through.
struct Barrier {
    arrived: tokio::sync::mpsc::UnboundedSender<()>,
    open: Mutex<mpsc::Receiver<()>>,
}

impl Admission for Barrier {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        if review.name == "b" && object["data"]["a"] == "2" {
            let _ = self.arrived.send(());
            let _ = self.open.lock().unwrap().recv();
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changes_while_a_plan_is_carried_out_is_put_back() {
    let ((arrived, mut arrivals), (open, gate)) =
        (tokio::sync::mpsc::unbounded_channel(), mpsc::channel());
    let barrier = Barrier {
        arrived,
        open: Mutex::new(gate),
    };
    let stage = Fixture::with(Arc::new(barrier)).await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write("apps/b.yaml", &config_map("b", "1"));
    let first = repository.push("Two");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    repository.write("apps/b.yaml", &config_map("b", "2"));
    let second = repository.push("Only b");
    arrivals.recv().await.unwrap();
    // The plan is made, and found nothing to do about this one.
    let by_hand = Patch::Merge(json!({"data": {"a": "9"}}));
    stage
        .maps()
        .patch("a", &PatchParams::default(), &by_hand)
        .await
        .unwrap();
    drop(open);
    stage.delivered("shop", &second).await;
    until(&stage.maps(), "a", "put back", |map| holds(map, "1")).await;
    stage.end().await;
}
