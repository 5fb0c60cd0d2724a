//! How often a repository is looked at can be changed while it is followed.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::Delivery;

use crate::harness::{Harness, Hello};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_shall_look_more_often_does_so_at_once() {
    let harness = Harness::start().await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    set_interval(&harness, "1h").await;
    // The look that the change brings, and none after it.
    let second = harness.push("Open the other one", &[Hello::new("other", "one")]);
    set_interval(&harness, "200ms").await;
    harness.promoted("other", &second).await;
    harness.end().await;
}

async fn set_interval(harness: &Harness, interval: &str) {
    let deliveries: Api<Delivery> = Api::namespaced(harness.client.clone(), harness.namespace());
    let change = json!({"spec": {"source": {"interval": interval}}});
    deliveries
        .patch("shop", &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
}
