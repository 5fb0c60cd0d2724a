//! The floor: the same objects by server-side apply from a plain client, twelve at a time,
//! on a cluster of its own.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sluice::api::delivery::Expand;
use tokio_util::task::AbortOnDropHandle;

use super::shop;
use crate::fixture::{Fixture, NAMESPACE};

/// As many as the agent has.
const WRITERS: usize = 12;

/// How long it takes until the last object is accepted.
pub async fn measure(count: usize, expand: Expand) -> anyhow::Result<Duration> {
    let stage = Fixture::start(&["--without-node"]).await?;
    let _node = AbortOnDropHandle::new(tokio::spawn(shop::play_node(stage.client.clone())));
    let kinds: &[&str] = match expand {
        Expand::Routes => &["Configuration", "Route"],
        Expand::Service => &["Service"],
    };
    let begun = Instant::now();
    for kind in kinds {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("serving.knative.dev", "v1", kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(stage.client.clone(), NAMESPACE, &resource);
        let params = PatchParams::apply("bench").validation_strict();
        futures::stream::iter(0..count)
            .map(|number| {
                let (api, params) = (&api, &params);
                async move {
                    let name = shop::name(number);
                    let object = Patch::Apply(shop::object(kind, &name));
                    api.patch(&name, params, &object).await
                }
            })
            .buffer_unordered(WRITERS)
            .try_for_each(|_| futures::future::ready(Ok(())))
            .await?;
    }
    let took = begun.elapsed();
    stage.end().await?;
    Ok(took)
}
