//! Deliveries of thousands of objects: their status stays within what etcd takes.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::StreamExt;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt, discovery::ApiResource};
use serde_json::{Value, json};
use sluice::api::delivery::Delivery;

use super::fixture::{Fixture, config_map};
use crate::harness::{NAMESPACE, PATIENCE};

/// How each of them is called, but for its number.
const NAMED: &str = "a-name-of-20-";

fn maps(names: impl Iterator<Item = String>) -> String {
    names
        .map(|name| config_map(&name, "1"))
        .collect::<Vec<_>>()
        .join("---\n")
}

/// The inventory as it stands in the status, unread.
async fn inventory(stage: &Fixture, name: &str) -> Vec<Value> {
    let kind = ApiResource::erase::<Delivery>(&());
    let all: Api<DynamicObject> = Api::namespaced_with(stage.client.clone(), NAMESPACE, &kind);
    let delivery = all.get(name).await.unwrap();
    let entries = delivery.data["status"]["inventory"].as_array();
    entries.cloned().unwrap_or_default()
}

/// Waits until so many ConfigMaps are there. A busy machine may take as long as it likes for all of them, and not
/// for the next one.
async fn written(stage: &Fixture, number: usize) {
    let changes = watcher(stage.maps(), watcher::Config::default());
    let mut changes = pin!(changes.default_backoff().applied_objects());
    let mut names = BTreeSet::new();
    while names.len() < number {
        let next = tokio::time::timeout(PATIENCE, changes.next()).await;
        let next = next.unwrap_or_else(|_| panic!("no more than {} are written", names.len()));
        let name = next.unwrap().unwrap().name_any();
        if name.starts_with(NAMED) {
            names.insert(name);
        }
    }
}

#[tokio::test]
async fn three_thousand_objects_are_delivered_and_pruned_from_a_grouped_inventory() {
    const MANY: usize = 3000;
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let name = |n: usize| format!("{NAMED}{n:07}");
    repository.write("apps/maps.yaml", &maps((0..MANY).map(name)));
    let commit = repository.push("Many");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    written(&stage, MANY).await;
    let status = stage.delivered("shop", &commit).await;
    assert_eq!(status.inventory.len(), MANY);
    let entries = inventory(&stage, "shop").await;
    assert_eq!(entries.len(), 1, "all of one kind in one namespace");
    assert_eq!(entries[0]["names"].as_array().unwrap().len(), MANY);

    // What left Git is found in the grouped inventory and pruned, and nothing else.
    let kept = |n: &usize| !n.is_multiple_of(100);
    repository.write("apps/maps.yaml", &maps((0..MANY).filter(kept).map(name)));
    let commit = repository.push("A few less");
    stage.delivered("shop", &commit).await;
    stage
        .says("shop", "an inventory without them", |status| {
            status.inventory.len() == MANY - 30
        })
        .await;
    let left = stage.maps().list(&ListParams::default()).await.unwrap();
    let left = left
        .items
        .iter()
        .filter_map(|map| map.metadata.name.as_deref());
    let left = left.filter(|name| name.starts_with(NAMED)).count();
    assert_eq!(left, MANY - 30);

    // More than a status holds: said, and none of them is written.
    let long = |n: usize| format!("{}{n:07}", "long-".repeat(40));
    repository.write("vast/maps.yaml", &maps((0..4000).map(long)));
    repository.push("Too many");
    let vast = json!({"path": "vast"});
    stage.deliver("vast", &repository, vast, json!({})).await;
    let status = stage
        .says("vast", "that they are too many", |status| {
            let mut problems = status.problems.iter();
            problems.any(|problem| problem.message.contains("the limit is 700 kB"))
        })
        .await;
    assert!(status.inventory.is_empty() && status.applied_commit.is_none());
    let none = stage.maps().get_opt(&long(0)).await.unwrap();
    assert!(none.is_none(), "{none:?}");
    stage.end().await;
}
