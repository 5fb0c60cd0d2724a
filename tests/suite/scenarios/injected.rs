//! A webhook of the cluster's owners adds elements to lists of what is written: nothing is written again for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::api::ListParams;
use serde_json::{Value, json};
use sluice::api::delivery::Expand;
use sluice::api::rollout::Phase;
use sluice::local::apiserver::{Admission, ApiError, Operation, Review};

use crate::harness::{BRISK, DELIVERY, Harness, Hello, Setting, in_both_forms};

in_both_forms!(
    what_a_webhook_adds_to_lists_is_no_difference_and_no_endless_write,
    a_revision_with_what_a_webhook_added_is_known_by_the_name_that_git_gives_it,
);

/// Adds a variable, the Secret of a registry and, where several containers may run, one more; counts the writes.
#[derive(Default)]
struct Injector {
    writes: AtomicUsize,
}

impl Injector {
    fn is_about(review: &Review<'_>) -> bool {
        let ours = match review.kind {
            "Service" | "Configuration" => !review.group.is_empty(),
            "Deployment" => review.name == "worker",
            "ServiceAccount" => review.name == "runner",
            _ => false,
        };
        ours && review.subresource.is_none() && review.operation != Operation::Delete
    }
}

impl Admission for Injector {
    fn mutate(&self, review: &Review<'_>, object: &mut Value) -> Result<(), ApiError> {
        if !Self::is_about(review) {
            return Ok(());
        }
        let pod = match review.kind {
            "ServiceAccount" => object,
            _ => &mut object["spec"]["template"]["spec"],
        };
        add(&mut pod["imagePullSecrets"], json!({"name": "registry"}));
        if review.kind != "ServiceAccount" {
            let variable = json!({"name": "INJECTED", "value": "yes"});
            add(&mut pod["containers"][0]["env"], variable);
        }
        if review.kind == "Deployment" {
            let container = json!({"name": "proxy", "image": "sluice.local/hello"});
            add(&mut pod["containers"], container);
        }
        Ok(())
    }

    fn validate(&self, review: &Review<'_>, _: &Value) -> Result<(), ApiError> {
        if Self::is_about(review) {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Adds an element to a list that has none of its name.
fn add(list: &mut Value, element: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    let list = list.as_array_mut().unwrap();
    if !list.iter().any(|known| known["name"] == element["name"]) {
        list.push(element);
    }
}

const PLAIN: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
imagePullSecrets: [{name: own}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      imagePullSecrets: [{name: own}]
      containers:
        - {name: worker, image: sluice.local/hello, env: [{name: MOOD, value: calm}]}
";

async fn what_a_webhook_adds_to_lists_is_no_difference_and_no_endless_write(expand: Expand) {
    let injector = Arc::new(Injector::default());
    let mut harness = Harness::set(Setting {
        expand,
        policy: BRISK.to_owned(),
        admission: vec![injector.clone()],
        ..Setting::default()
    })
    .await;
    harness.repository.write("apps/plain.yaml", PLAIN);
    let hello = |target: &str| [Hello::new("hello", target)];
    let first = harness.push("Open the shop", &hello("one"));
    harness.promoted("hello", &first).await;
    let second = harness.push("Greet two", &hello("two"));
    harness.promoted("hello", &second).await;
    harness.settled("hello").await;
    well(&harness, &second).await;
    let template = harness.template_object().get("hello").await.unwrap();
    let env = &template.data["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(env.to_string().contains("INJECTED"), "{env}");

    let before = injector.writes.load(Ordering::SeqCst);
    // Each of them is a plan over everything; the third is made by an agent that remembers nothing.
    for round in 0..3 {
        if round == 2 {
            harness.stop_agent().await;
        }
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: round-{round}}}\n");
        harness
            .repository
            .write(&format!("apps/{round}.yaml"), &map);
        let commit = harness.repository.push("Another thing");
        if round == 2 {
            harness.start_agent().await;
        }
        well(&harness, &commit).await;
    }
    let written = injector.writes.load(Ordering::SeqCst) - before;
    assert_eq!(written, 0, "tried or written again");
    let revisions = harness
        .serving("Revision")
        .list(&ListParams::default())
        .await;
    assert_eq!(revisions.unwrap().items.len(), 2);
    harness.end().await;
}

async fn a_revision_with_what_a_webhook_added_is_known_by_the_name_that_git_gives_it(
    expand: Expand,
) {
    let harness = Harness::set(Setting {
        expand,
        policy: BRISK.to_owned(),
        admission: vec![Arc::new(Injector::default())],
        ..Setting::default()
    })
    .await;
    // The last one is known to be good.
    for (target, name) in [
        ("one", "hello-v1"),
        ("two", "hello-v2"),
        ("one", "hello-v1"),
    ] {
        let commit = harness.push(target, &[Hello::new("hello", target).revision(name)]);
        harness
            .until("hello", &format!("{name} is stable"), |status| {
                let stable = status.stable.as_ref();
                status.phase == Phase::Stable
                    && stable.and_then(|stable| stable.revision.as_deref()) == Some(name)
            })
            .await;
        well(&harness, &commit).await;
    }
    harness.end().await;
}

async fn well(harness: &Harness, commit: &str) {
    harness
        .delivery(DELIVERY, "well", |status| {
            status.last_good_commit.as_deref() == Some(commit) && status.problems.is_empty()
        })
        .await;
}
