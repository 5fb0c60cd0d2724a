//! A cluster whose owners fill in and refuse what they like: hooks of the embedded cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kube::api::ListParams;
use serde_json::{Value, json};
use sluice::api::delivery::Expand;
use sluice::local::apiserver::{Admission, ApiError, Operation, Review};

use crate::harness::{BRISK, DELIVERY, Harness, Hello, Setting};

/// What Knative's webhook fills in where `config-defaults` has other values than Knative's own.
struct OtherDefaults;

impl Admission for OtherDefaults {
    fn mutate(&self, review: &Review<'_>, object: &mut Value) -> Result<(), ApiError> {
        if !matches!(review.kind, "Service" | "Configuration") || review.group.is_empty() {
            return Ok(());
        }
        let Some(spec) = object.pointer_mut("/spec/template/spec") else {
            return Ok(());
        };
        if spec["timeoutSeconds"] == 300 {
            spec["timeoutSeconds"] = json!(200);
            spec["responseStartTimeoutSeconds"] = json!(200);
        }
        let resources = &mut spec["containers"][0]["resources"];
        if resources.get("requests").is_none() {
            resources["requests"] = json!({"memory": "16Mi"});
        }
        Ok(())
    }
}

async fn what_config_defaults_fill_in_starts_no_release(expand: Expand) {
    let mut harness = Harness::set(Setting {
        expand,
        policy: BRISK.to_owned(),
        admission: vec![Arc::new(OtherDefaults)],
        ..Setting::default()
    })
    .await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    let before = harness.template_object().get("hello").await.unwrap();
    assert_eq!(
        before.data["spec"]["template"]["spec"]["timeoutSeconds"],
        200
    );
    harness.stop_agent().await;
    let labelled = Hello::new("hello", "two").annotated("example.com/team", "shop");
    let commit = harness.push("With an annotation", &[labelled]);
    harness.start_agent().await;
    harness
        .delivery(DELIVERY, "well", |status| {
            status.last_good_commit.as_ref() == Some(&commit) && status.problems.is_empty()
        })
        .await;
    let after = harness
        .when(harness.template_object(), "hello", "annotated", |object| {
            let annotations = object.metadata.annotations.as_ref();
            annotations.is_some_and(|all| all.contains_key("example.com/team"))
        })
        .await;
    assert_eq!(
        after.data["spec"]["template"],
        before.data["spec"]["template"]
    );
    assert_eq!(after.metadata.generation, before.metadata.generation);
    let revisions = harness
        .serving("Revision")
        .list(&ListParams::default())
        .await;
    assert_eq!(revisions.unwrap().items.len(), 2);
    assert_eq!(harness.settled("hello").await.history.len(), 2);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_config_defaults_fill_in_starts_no_release_as_routes() {
    what_config_defaults_fill_in_starts_no_release(Expand::Routes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_config_defaults_fill_in_starts_no_release_as_service() {
    what_config_defaults_fill_in_starts_no_release(Expand::Service).await;
}

/// Counts the writes of definitions, and refuses them.
struct NoDefinitions(Arc<AtomicUsize>);

impl Admission for NoDefinitions {
    fn validate(&self, review: &Review<'_>, _: &Value) -> Result<(), ApiError> {
        if review.kind == "CustomResourceDefinition" && review.name.ends_with("example.com") {
            self.0.fetch_add(1, Ordering::SeqCst);
            return Err(ApiError::denied(
                "house.example.com",
                "no kinds of your own",
            ));
        }
        Ok(())
    }
}

fn definition(plural: &str, kind: &str) -> String {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "names": {"plural": plural, "singular": plural, "kind": kind}, "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    serde_yaml::to_string(&crd).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_are_refused_are_tried_ever_later_and_said_all_the_while() {
    let tried = Arc::new(AtomicUsize::new(0));
    let harness = Harness::set(Setting {
        policy: BRISK.to_owned(),
        admission: vec![Arc::new(NoDefinitions(tried.clone()))],
        ..Setting::default()
    })
    .await;
    harness
        .repository
        .write("apps/a.yaml", &definition("apples", "Apple"));
    harness
        .repository
        .write("apps/b.yaml", &definition("bananas", "Banana"));
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.problem(&first, "no kinds of your own").await;
    harness.promoted("hello", &first).await;
    // Two releases are many seconds, and many changes that a Delivery is woken by.
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    harness.promoted("hello", &third).await;
    let status = harness.problem(&third, "no kinds of your own").await;
    let told = status
        .problems
        .iter()
        .filter(|p| p.message.contains("no kinds of your own"));
    assert_eq!(told.count(), 2, "{:#?}", status.problems);
    // Each is tried at 0, 2, 6, 14, 30 and 62 seconds.
    let tried = tried.load(Ordering::SeqCst);
    assert!((2..=12).contains(&tried), "{tried}");
    harness.end().await;
}

/// Lets nobody delete the ConfigMap `settings` for a while, and counts who tries.
#[derive(Default)]
struct NoDeletion {
    tried: AtomicUsize,
    is_lifted: AtomicBool,
}

impl Admission for NoDeletion {
    fn validate(&self, review: &Review<'_>, _: &Value) -> Result<(), ApiError> {
        let is_it = review.kind == "ConfigMap" && review.name == "settings";
        if !is_it || review.operation != Operation::Delete || self.is_lifted.load(Ordering::SeqCst)
        {
            return Ok(());
        }
        self.tried.fetch_add(1, Ordering::SeqCst);
        Err(ApiError::denied("house.example.com", "settings stay"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_refused_is_tried_ever_later_and_done_once_the_policy_is_lifted() {
    let rule = Arc::new(NoDeletion::default());
    let harness = Harness::set(Setting {
        policy: BRISK.to_owned(),
        admission: vec![rule.clone()],
        ..Setting::default()
    })
    .await;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata: {mood: calm}\n";
    harness.repository.write("apps/settings.yaml", map);
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    harness.repository.remove("apps/settings.yaml");
    // A release is many seconds, and many changes that a Delivery is woken by.
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    let status = harness.problem(&second, "settings stay").await;
    let said = "tried again every 60 s at the latest";
    assert!(status.problems[0].message.contains(said), "{status:#?}");
    // It is tried at 0, 2, 6, 14, 30 and 62 seconds.
    let tried = rule.tried.load(Ordering::SeqCst);
    assert!((1..=6).contains(&tried), "{tried}");
    rule.is_lifted.store(true, Ordering::SeqCst);
    harness
        .gone(&harness.objects("v1", "ConfigMap"), "settings")
        .await;
    harness
        .delivery(DELIVERY, "well", |status| {
            status.last_good_commit.as_ref() == Some(&second) && status.problems.is_empty()
        })
        .await;
    harness.end().await;
}
