//! What something else deletes as often as it is delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use kube::api::{DeleteParams, DynamicObject};
use kube::runtime::watcher;
use sluice::api::delivery::Expand;

use crate::harness::{DELIVERY, Harness, Hello};

const SETTINGS: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mood: calm}\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_again_and_again_is_said_and_created_ever_later() {
    let harness = Harness::brisk(Expand::Routes).await;
    let created = Arc::new(AtomicUsize::new(0));
    let maps = harness.objects("v1", "ConfigMap");
    let count = created.clone();
    let collector = tokio::spawn(async move {
        let mut changes =
            std::pin::pin!(watcher::watcher(maps.clone(), watcher::Config::default()));
        while let Some(event) = changes.next().await {
            let appeared: Option<DynamicObject> = match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                    Some(object)
                }
                _ => None,
            };
            let is_it =
                |object: &DynamicObject| object.metadata.name.as_deref() == Some("settings");
            if appeared.as_ref().is_some_and(is_it)
                && maps
                    .delete("settings", &DeleteParams::default())
                    .await
                    .is_ok()
            {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    harness.repository.write("apps/settings.yaml", SETTINGS);
    let commit = harness.push("Settings, and a shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &commit).await;
    let said = harness
        .delivery(DELIVERY, "telling of what vanishes", |status| {
            status
                .problems
                .iter()
                .any(|problem| problem.message.starts_with("it was created 3 times"))
        })
        .await;
    let problem = said
        .problems
        .iter()
        .find(|problem| problem.object.is_some())
        .unwrap();
    assert_eq!(problem.object.as_ref().unwrap().name, "settings");
    assert_eq!(problem.origin.as_deref(), Some("apps/settings.yaml:1"));
    let ready = said.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "False", "{ready:#?}");
    assert!(created.load(Ordering::SeqCst) <= 4, "{created:?}");
    collector.abort();
    harness
        .delivery(DELIVERY, "well again", |status| {
            status.last_good_commit.as_ref() == Some(&commit) && status.problems.is_empty()
        })
        .await;
    harness.end().await;
}
