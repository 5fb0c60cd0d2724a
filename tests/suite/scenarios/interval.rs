//! How often a repository is looked at can be changed while it is followed.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::Delivery;

use crate::world::{Hello, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_shall_look_more_often_does_so_at_once() {
    let world = World::start().await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    set_interval(&world, "1h").await;
    // The look that the change brings, and none after it.
    let second = world.push("Open the other one", &[Hello::new("other", "one")]);
    set_interval(&world, "200ms").await;
    world.promoted("other", &second).await;
    world.end().await;
}

async fn set_interval(world: &World, interval: &str) {
    let deliveries: Api<Delivery> = Api::namespaced(world.client.clone(), world.namespace());
    let change = json!({"spec": {"source": {"interval": interval}}});
    deliveries
        .patch("shop", &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
}
