//! Both servers, with nobody at work on the real one while requests are compared.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::{Client, Config};
use serde_json::{Value, json};
use sluice::local::apiserver::{ApiServer, User};

use super::defining::{DEFINITIONS, GROUP};
use super::kinds::Kind;
use super::side::{Side, place, raw};
use super::step::{JSON, MERGE_PATCH};
use crate::harness::real::Real;
use crate::harness::still::Still;
use crate::harness::{PATIENCE, etcd};

/// Both servers.
pub struct Fixture {
    server: ApiServer,
    real: Real,
    ours: Client,
    theirs: Client,
    turns: AtomicUsize,
    /// What is compared must not be changed by controllers.
    _still: Still,
}

impl Fixture {
    /// Both, with these namespaces.
    pub async fn set(namespaces: &[String]) -> Self {
        let real = Real::start(true).await;
        let server = ApiServer::builder()
            .register(sluice::local::knative::registration())
            .without_controllers()
            .build()
            .unwrap();
        // What is answered is compared, and not what comes of asking again.
        let mut config = Config::infer().await.unwrap();
        config.default_retry = false;
        let stage = Self {
            theirs: Client::try_from(config).unwrap(),
            ours: server.client_as(User::admin("admin")),
            turns: AtomicUsize::new(0),
            server,
            real,
            _still: Still::now(),
        };
        for definition in sluice::api::crds::all() {
            stage
                .define(&serde_json::to_value(definition).unwrap())
                .await;
        }
        for namespace in namespaces {
            // Knative's webhook tries a Pod, which wants the account that a controller would make.
            let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            for client in stage.clients() {
                for (uri, name) in [
                    ("/api/v1/namespaces", namespace.as_str()),
                    (&accounts, "default"),
                    (&accounts, "robot"),
                ] {
                    let body = json!({"metadata": {"name": name}}).to_string();
                    raw(client, "POST", uri, JSON, body.into_bytes()).await;
                }
            }
        }
        stage
    }

    /// Makes a kind known to both, and waits until they serve it.
    async fn define(&self, definition: &Value) {
        let text = |at: &str| definition.pointer(at).and_then(Value::as_str).unwrap();
        let list = format!(
            "/apis/{}/{}/{}",
            text("/spec/group"),
            text("/spec/versions/0/name"),
            text("/spec/names/plural")
        );
        let body = definition.to_string().into_bytes();
        for client in self.clients() {
            raw(client, "POST", DEFINITIONS, JSON, body.clone()).await;
            let served = async {
                while raw(client, "GET", &list, JSON, Vec::new()).await.code != 200 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, served)
                .await
                .unwrap_or_else(|_| panic!("{list} is not served"));
        }
    }

    fn clients(&self) -> [&Client; 2] {
        [&self.ours, &self.theirs]
    }

    /// Both, at the beginning of a sequence.
    pub fn sides(&self, namespace: &str, turn: usize) -> [Side; 2] {
        self.clients()
            .map(|client| Side::new(client.clone(), namespace, turn))
    }

    /// The number of the next sequence that is played. Kinds of different sequences have different
    /// names: who cleans up behind a removed kind may come late.
    pub fn turn(&self) -> usize {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Both forget what was before, so that the first version there ever was is one that expired.
    pub async fn forget(&self, kinds: &[&Kind]) {
        for kind in kinds {
            let (group, _) = kind.api_version.split_once('/').unwrap_or_default();
            self.server.compact(group, kind.plural);
        }
        etcd::compact().await;
    }

    /// Removes all objects of a collection from both.
    pub async fn sweep(&self, collection: &str, namespace: &str) {
        let collection = collection.replace("{ns}", namespace);
        let [ours, real] = self.clients();
        tokio::join!(sweep(ours, &collection), sweep(real, &collection));
    }

    /// Removes what a sequence defined, with its objects, from both.
    pub async fn undefine(&self, namespace: &str, turn: usize) {
        let [ours, real] = self.clients();
        let group = place(GROUP, namespace, turn);
        tokio::join!(
            undefine(ours, namespace, &group),
            undefine(real, namespace, &group)
        );
    }

    /// Ends both; nobody waits for what the real one has to clean up.
    pub async fn end(self, namespaces: &[String]) {
        for namespace in namespaces {
            let uri = format!("/api/v1/namespaces/{namespace}");
            raw(&self.theirs, "DELETE", &uri, JSON, Vec::new()).await;
        }
        self.server.shutdown().await;
        self.real.end().await;
    }
}

async fn undefine(client: &Client, namespace: &str, group: &str) {
    let uri = format!("{DEFINITIONS}/hats.{group}");
    if raw(client, "GET", &uri, JSON, Vec::new()).await.code == 404 {
        return;
    }
    for space in [format!("namespaces/{namespace}/"), String::new()] {
        sweep(client, &format!("/apis/{group}/v1/{space}hats")).await;
    }
    raw(client, "DELETE", &uri, JSON, Vec::new()).await;
    // Nobody keeps house at ours, and there is nothing left to clean up.
    let free = json!({"metadata": {"finalizers": null}}).to_string();
    raw(client, "PATCH", &uri, MERGE_PATCH, free.into_bytes()).await;
    let gone = async {
        while raw(client, "GET", &uri, JSON, Vec::new()).await.code != 404 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap_or_else(|_| panic!("{uri} does not go"));
}

async fn sweep(client: &Client, collection: &str) {
    let mut last = String::new();
    let gone = async {
        loop {
            let left = raw(client, "DELETE", collection, JSON, Vec::new()).await;
            last = left.body.to_string();
            let left = match &left.body["items"] {
                Value::Array(items) if !items.is_empty() => items.clone(),
                _ => return,
            };
            for object in left {
                let name = object["metadata"]["name"].as_str().unwrap();
                if object["metadata"]["finalizers"].is_array()
                    || object["metadata"]["deletionTimestamp"].is_string()
                {
                    let free = json!({"metadata": {"finalizers": null}});
                    let uri = format!("{collection}/{name}");
                    let free = || free.to_string().into_bytes();
                    let mut freed = raw(client, "PATCH", &uri, MERGE_PATCH, free()).await;
                    if !freed.is_there() {
                        // A Service that came into being through its status is only changed there.
                        let uri = format!("{uri}/status");
                        freed = raw(client, "PATCH", &uri, MERGE_PATCH, free()).await;
                    }
                    assert!(
                        matches!(freed.code, 200 | 404),
                        "{object} stays: {}",
                        freed.body
                    );
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap_or_else(|_| panic!("{collection} does not become empty: {last}"));
}
