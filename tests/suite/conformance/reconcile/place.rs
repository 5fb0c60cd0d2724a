//! One of the two clusters: takes events, and waits until all of their consequences are there.

use std::pin::pin;

use futures::{StreamExt as _, stream};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::events::Event;
use super::picture::{KINDS, Kind, is_settled, picture};
use crate::conformance::side::raw;
use crate::conformance::step::{APPLY, MERGE_PATCH};
use crate::harness::PATIENCE;

/// A namespace of a cluster whose controllers are at work.
pub struct Place {
    client: Client,
    namespace: String,
    domain: String,
    user: &'static str,
}

impl Place {
    /// The namespace, the domain that its services answer under, and who the events come from.
    pub fn new(client: Client, namespace: &str, domain: &str, user: &'static str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            domain: domain.to_owned(),
            user,
        }
    }

    fn list(&self, kind: &Kind) -> String {
        let namespace = &self.namespace;
        format!(
            "/apis/serving.knative.dev/v1/namespaces/{namespace}/{}",
            kind.plural
        )
    }

    /// Does what an event says.
    pub async fn take(&self, event: &Event) {
        let of = |kind: &str| KINDS.iter().find(|one| one.kind == kind).unwrap();
        let (method, uri, media, body) = match event {
            Event::Apply(object) => {
                let list = self.list(of(object["kind"].as_str().unwrap()));
                let name = object["metadata"]["name"].as_str().unwrap();
                let uri = format!("{list}/{name}?fieldManager=story&force=true");
                ("PATCH", uri, APPLY, object.to_string())
            }
            Event::Patch(kind, name, patch) => {
                let uri = format!("{}/{name}", self.list(of(kind)));
                ("PATCH", uri, MERGE_PATCH, patch.to_string())
            }
            Event::Delete(kind, name) => {
                let uri = format!("{}/{name}", self.list(of(kind)));
                ("DELETE", uri, MERGE_PATCH, String::new())
            }
            Event::Leave(kind, name) => {
                let uri = format!("{}/{name}?propagationPolicy=Orphan", self.list(of(kind)));
                ("DELETE", uri, MERGE_PATCH, String::new())
            }
        };
        let answer = raw(&self.client, method, &uri, media, body.into_bytes()).await;
        assert!(answer.code < 300, "{event}: {}", answer.body);
    }

    /// What there is of a story once nothing more comes of an event.
    pub async fn settled(&self, prefix: &str, event: &Event) -> String {
        let watches = KINDS.map(|kind| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
                "serving.knative.dev",
                "v1",
                kind.kind,
            ));
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            watcher(api, watcher::Config::default())
                .default_backoff()
                .boxed()
        });
        let mut changes = pin!(stream::select_all(watches));
        let mut last = Vec::new();
        let settle = async {
            loop {
                changes.next().await;
                last = self.objects(prefix).await;
                // The kinds are listed one after the other: it counts if nothing happened meanwhile.
                while is_settled(&last, event) {
                    let again = self.objects(prefix).await;
                    if again == last {
                        return;
                    }
                    last = again;
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, settle).await.is_ok();
        let text = picture(&last, &self.namespace, &self.domain, self.user);
        if in_time {
            text
        } else {
            format!("{text}(it does not settle)\n")
        }
    }

    /// The objects of a story, each with its kind.
    async fn objects(&self, prefix: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for kind in KINDS {
            let list = raw(
                &self.client,
                "GET",
                &self.list(kind),
                MERGE_PATCH,
                Vec::new(),
            )
            .await;
            for mut object in list.body["items"].as_array().cloned().unwrap_or_default() {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                if name.starts_with(prefix) {
                    object["kind"] = json!(kind.kind);
                    all.push(object);
                }
            }
        }
        all
    }
}
