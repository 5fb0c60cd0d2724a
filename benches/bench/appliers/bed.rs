//! The test bed as a place to measure: nobody else at work, requests counted by the API server.

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::{Api, Client, ResourceExt};
use prometheus_parse::{Scrape, Value};
use serde_json::json;

use crate::fixture::NAMESPACE;
use crate::still::Still;

/// What is asked for without anybody delivering.
const BACKGROUND: [&str; 9] = [
    "",
    "leases",
    "events",
    "nodes",
    "pods",
    "endpoints",
    "endpointslices",
    "subjectaccessreviews",
    "tokenreviews",
];
/// What is left of a delivery.
const KINDS: [(&str, &str, &str); 5] = [
    ("serving.knative.dev", "v1", "Service"),
    ("serving.knative.dev", "v1", "Configuration"),
    ("serving.knative.dev", "v1", "Route"),
    ("sluice.dev", "v1alpha1", "Delivery"),
    ("sluice.dev", "v1alpha1", "ServiceRollout"),
];

/// The bed, with its controllers standing still until this is dropped.
pub struct Bed {
    client: Client,
    _still: Still,
}

impl Bed {
    /// Makes them stand still.
    pub fn quiet(client: &Client) -> Self {
        Self {
            client: client.clone(),
            _still: Still::now(),
        }
    }

    /// How many requests about objects the API server has answered; watches count when they end.
    pub async fn requests(&self) -> anyhow::Result<u64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.client.request_text(request).await?;
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
        let counted = scrape.samples.iter().filter(|sample| {
            sample.metric == "apiserver_request_total"
                && sample.labels.get("verb") != Some("WATCH")
                && !BACKGROUND.contains(&sample.labels.get("resource").unwrap_or_default())
        });
        let sum: f64 = counted
            .map(|sample| match sample.value {
                Value::Counter(count) | Value::Untyped(count) => count,
                _ => 0.0,
            })
            .sum();
        Ok(sum as u64)
    }

    /// Takes away what was delivered.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), NAMESPACE, &resource);
            let all = ListParams::default();
            let found = match api.list(&all).await {
                Ok(found) => found.items,
                // No agent has installed it yet.
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(error.into()),
            };
            for held in found
                .iter()
                .filter(|object| !object.finalizers().is_empty())
            {
                let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                api.patch(&held.name_any(), &PatchParams::default(), &free)
                    .await?;
            }
            api.delete_collection(&DeleteParams::background(), &all)
                .await?;
        }
        Ok(())
    }
}
