//! An API server, repositories, and an agent between them.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice::agent::{Agent, AgentConfig};
use sluice::api::delivery::{Delivery, DeliveryStatus};
use sluice::cluster::{Cluster, Requests};
use sluice::local::admission::ServingWebhook;
use sluice::local::apiserver::{Admission, ApiServer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{NAMESPACE, PATIENCE, TestRepository};

/// Sooner than any story needs to notice, later than busy.
pub const QUICK: &str = "200ms";

/// How to end an agent, and when it has.
pub type RunningAgent = (CancellationToken, JoinHandle<()>);

pub struct Fixture {
    pub client: Client,
    server: ApiServer,
    agent: Option<RunningAgent>,
    cluster: Option<Cluster>,
    pub pages: axum::Router,
    dir: tempfile::TempDir,
}

impl Fixture {
    /// An agent without a Delivery.
    pub async fn new() -> Self {
        Self::with(Arc::new(ServingWebhook)).await
    }

    /// The same behind another admission hook.
    pub async fn with(hook: Arc<dyn Admission>) -> Self {
        let server = ApiServer::builder()
            .kinds(sluice::local::knative::kinds())
            .admission(hook)
            .build()
            .unwrap();
        let mut stage = Self {
            client: server.client(),
            server,
            agent: None,
            cluster: None,
            pages: axum::Router::new(),
            dir: tempfile::tempdir().unwrap(),
        };
        stage.start_agent().await;
        stage
    }

    pub async fn start_agent(&mut self) {
        self.start_agent_with(|_| {}).await;
    }

    /// An agent that is set up in a way of its own.
    pub async fn start_agent_with(&mut self, change: impl FnOnce(&mut AgentConfig)) {
        let agent = self.prepare("cache", change).await;
        self.pages = agent.endpoint();
        self.cluster = Some(agent.cluster());
        self.agent = Some(running(agent));
    }

    /// The requests of the agent so far.
    pub fn requests(&self) -> Requests {
        self.cluster.as_ref().expect("an agent runs").requests()
    }

    async fn prepare(&self, cache: &str, change: impl FnOnce(&mut AgentConfig)) -> Agent {
        let mut config = AgentConfig::new(self.client.clone());
        config.cache_dir = self.dir.path().join(cache);
        change(&mut config);
        Agent::prepare(config).await.unwrap()
    }

    /// An agent of its own cache, set up further by `with`; whoever asks for it ends it.
    pub async fn agent(
        &self,
        cache: &str,
        with: impl FnOnce(&mut AgentConfig),
    ) -> (axum::Router, RunningAgent) {
        let agent = self.prepare(cache, with).await;
        (agent.endpoint(), running(agent))
    }

    pub async fn stop_agent(&mut self) {
        let (cancel, task) = self.agent.take().expect("an agent runs");
        cancel.cancel();
        task.await.unwrap();
    }

    pub async fn end(mut self) {
        if self.agent.is_some() {
            self.stop_agent().await;
        }
        self.server.shutdown().await;
    }

    pub fn repository(&self, name: &str) -> TestRepository {
        TestRepository::create(&self.dir.path().join(name))
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Applies a Delivery; `source` and `spec` are merged into the usual ones.
    pub async fn deliver(
        &self,
        name: &str,
        repository: &TestRepository,
        source: Value,
        spec: Value,
    ) {
        let mut object = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Delivery",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"source": {"url": repository.url(), "interval": QUICK, "path": "apps",
                "ref": {"branch": "main"}}, "prune": true}});
        merge(&mut object["spec"]["source"], source);
        merge(&mut object["spec"], spec);
        self.deliveries()
            .patch(
                name,
                &PatchParams::apply("test").force(),
                &Patch::Apply(&object),
            )
            .await
            .unwrap();
    }

    pub fn deliveries(&self) -> Api<Delivery> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub async fn namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        namespaces
            .create(&Default::default(), &namespace)
            .await
            .unwrap();
    }

    /// Waits until a Delivery's status says something.
    pub async fn says(
        &self,
        name: &str,
        what: &str,
        said: impl Fn(&DeliveryStatus) -> bool,
    ) -> DeliveryStatus {
        let delivery = until(&self.deliveries(), name, what, |delivery: &Delivery| {
            delivery.status.as_ref().is_some_and(&said)
        })
        .await;
        delivery.status.unwrap()
    }

    /// Waits until a Delivery has delivered a commit, and needs nobody.
    pub async fn delivered(&self, name: &str, commit: &str) -> DeliveryStatus {
        self.says(name, &format!("{commit} delivered"), |status| {
            status.last_good_commit.as_deref() == Some(commit)
        })
        .await
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// The agent that delivers a Delivery.
    pub async fn leader(&self, delivery: &str) -> Option<String> {
        let lease = self.leases().get_opt(&format!("sluice-{delivery}")).await;
        lease.unwrap().as_ref().and_then(holder)
    }

    /// Waits until an agent delivers a Delivery.
    pub async fn led_by(&self, delivery: &str, agent: &str) {
        let lease = format!("sluice-{delivery}");
        until(&self.leases(), &lease, agent, |lease: &Lease| {
            holder(lease).as_deref() == Some(agent)
        })
        .await;
    }

    /// Waits until nothing is left of who delivered a Delivery.
    pub async fn without_lease(&self, delivery: &str) {
        let lease = format!("sluice-{delivery}");
        let gone = await_condition(self.leases(), &lease, |lease: Option<&Lease>| {
            lease.is_none()
        });
        let gone = tokio::time::timeout(PATIENCE, gone).await;
        gone.expect("it goes in time").unwrap();
    }

    /// Waits until an object is gone, or another one has its name.
    pub async fn gone(&self, name: &str, uid: &str) {
        let gone = await_condition(self.maps(), name, |map: Option<&ConfigMap>| {
            map.is_none_or(|map| map.metadata.uid.as_deref() != Some(uid))
        });
        tokio::time::timeout(PATIENCE, gone)
            .await
            .expect("it goes in time")
            .unwrap();
    }

    pub async fn delete<K>(&self, api: &Api<K>, name: &str)
    where
        K: Clone + DeserializeOwned + Debug,
    {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
}

fn holder(lease: &Lease) -> Option<String> {
    let holder = lease.spec.as_ref()?.holder_identity.clone()?;
    (!holder.is_empty()).then_some(holder)
}

fn running(agent: Agent) -> RunningAgent {
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let task = tokio::spawn(async move { agent.run(stop).await.unwrap() });
    (cancel, task)
}

/// Waits until an object is as it should be, and gives it.
pub async fn until<K>(api: &Api<K>, name: &str, what: &str, is: impl Fn(&K) -> bool) -> K
where
    K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    let reached = await_condition(api.clone(), name, |object: Option<&K>| {
        object.is_some_and(&is)
    });
    match tokio::time::timeout(PATIENCE, reached).await {
        Ok(object) => object.unwrap().unwrap(),
        Err(_) => panic!(
            "{name} never came to: {what}\nlast seen: {:#?}",
            api.get_opt(name).await
        ),
    }
}

/// A ConfigMap's manifest.
pub fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: \"{value}\"}}\n"
    )
}

/// What a ConfigMap holds.
pub fn holds(map: &ConfigMap, value: &str) -> bool {
    map.data
        .as_ref()
        .and_then(|data| data.get("a"))
        .map(String::as_str)
        == Some(value)
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
