//! A whole stage for a scenario: a cluster, a Git repository, an agent, users.
//!
//! Scenarios speak to the cluster through the Kubernetes API and the gateway only,
//! so that the same stories can be told on another cluster.

mod cluster;
mod crash;
pub mod etcd;
mod forms;
mod hello;
mod policies;
pub mod real;
mod repository;
pub mod still;
mod traffic;
mod users;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;
use sluice::agent::{Agent, AgentConfig};
use sluice::api::delivery::{
    Delivery, DeliverySpec, DeliveryStatus, Drift, Expand, GitReference, Source, Target,
};
use sluice::api::duration::HumanDuration;
use sluice::api::rollout::{Phase, RolloutStatus, ServiceRollout};
use sluice::api::rollout_policy::{RolloutPolicy, RolloutPolicySpec};
use sluice::local::apiserver::Admission;
use sluice::local::cluster::LocalCluster;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use cluster::{Cluster, GUARD, REFUSE, REFUSED_TAG};
pub(crate) use forms::in_both_forms;
pub use hello::Hello;
pub use policies::brisk;
use policies::unwatched_demo;
pub use repository::TestRepository;
pub use traffic::{TrafficHistory, in_force, share, split_of};
pub use users::{Answer, Users};

/// No story needs longer for one of its moments, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Where stories play that have a cluster to themselves.
pub const NAMESPACE: &str = "default";
/// The Delivery of every story.
pub const DELIVERY: &str = "shop";
/// The policy of stories that are not about judging: the same steps, hardly any waiting.
pub const BRISK: &str = "brisk";

/// How a stage is set.
pub struct Setting {
    /// What is applied for a Service manifest.
    pub expand: Expand,
    /// The Delivery's policy.
    pub policy: String,
    /// Whether what leaves Git is deleted.
    pub prune: bool,
    /// What is done about hand-made changes.
    pub drift: Drift,
    /// Further admission hooks of the cluster.
    pub admission: Vec<Arc<dyn Admission>>,
    /// No other story may use the cluster meanwhile.
    pub alone: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            expand: Expand::default(),
            policy: "demo".to_owned(),
            prune: true,
            drift: Drift::Correct,
            admission: Vec::new(),
            alone: false,
        }
    }
}

/// The stage.
pub struct Harness {
    /// The team's repository.
    pub repository: TestRepository,
    /// The cluster's API.
    pub client: Client,
    setting: Setting,
    cluster: Cluster,
    agent: Option<RunningAgent>,
    dir: tempfile::TempDir,
}

struct RunningAgent {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Harness {
    /// A cluster with an empty repository; the agent is not running yet.
    pub async fn new(mut setting: Setting) -> Self {
        // `RUST_LOG=sluice=info` shows what the agent says, under the story that failed.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let mut dir = tempfile::tempdir().unwrap();
        if std::env::var_os("SLUICE_KEEP").is_some() {
            dir.disable_cleanup(true);
            eprintln!("kept: {}", dir.path().display());
        }
        let hooks = std::mem::take(&mut setting.admission);
        let cluster = Cluster::start(dir.path(), setting.alone, hooks).await;
        let repository = TestRepository::create(&dir.path().join("shop.git"));
        Self {
            repository,
            client: cluster.client.clone(),
            setting,
            cluster,
            agent: None,
            dir,
        }
    }

    /// The usual stage: an agent that delivers `apps/` of the repository.
    pub async fn start() -> Self {
        Self::set(Setting::default()).await
    }

    /// The usual stage in one of both forms, with the policy [`BRISK`].
    pub async fn brisk(expand: Expand) -> Self {
        let policy = BRISK.to_owned();
        Self::set(Setting {
            expand,
            policy,
            ..Setting::default()
        })
        .await
    }

    /// A stage with an agent that delivers `apps/` of the repository.
    pub async fn set(setting: Setting) -> Self {
        let mut harness = Self::new(setting).await;
        harness.start_agent().await;
        harness.deliver().await;
        harness
    }

    /// Where the story plays.
    pub fn namespace(&self) -> &str {
        &self.cluster.namespace
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> SocketAddr {
        self.cluster.gateway
    }

    /// The cluster's own handle, for stories of its faults.
    pub fn cluster(&self) -> &LocalCluster {
        self.cluster.local()
    }

    /// The policy of the cluster's owners is lifted.
    pub async fn lift_guard(&self) {
        self.cluster.lift_guard().await;
    }

    /// The kubeconfig of the cluster, for programs.
    pub fn kubeconfig(&self) -> &Path {
        &self.cluster.kubeconfig
    }

    /// A client with connections of its own: others outlive the runtime that makes these.
    pub async fn fresh_client(&self) -> Client {
        let file = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    /// A folder that goes with the stage.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// How an agent of this stage is set up that talks to the cluster in its own way.
    pub fn agent_config(&self, client: Client) -> AgentConfig {
        let mut config = AgentConfig::new(client);
        // Where one is killed, the next is the one that was started again in its place.
        config.identity = "agent-of-the-story".to_owned();
        config.namespace = self.cluster.confined_to();
        config.cache_dir = self.dir.path().join("cache");
        config
    }

    /// Starts an agent; there must be none.
    pub async fn start_agent(&mut self) {
        self.start_agent_with(AgentConfig::new(self.client.clone()))
            .await;
    }

    /// Starts an agent that is set up in a way of its own; there must be none.
    pub async fn start_agent_with(&mut self, mut config: AgentConfig) {
        assert!(self.agent.is_none(), "one agent at a time");
        config.namespace = config.namespace.or(self.cluster.confined_to());
        config.cache_dir = self.dir.path().join("cache");
        let agent = Agent::prepare(config).await.unwrap();
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let task = tokio::spawn(async move { agent.run(stop).await.unwrap() });
        self.agent = Some(RunningAgent { cancel, task });
    }

    /// Ends the agent in good order.
    pub async fn stop_agent(&mut self) {
        let agent = self.agent.take().expect("an agent runs");
        agent.cancel.cancel();
        agent.task.await.unwrap();
    }

    /// Waits until an agent of somebody else's has installed Sluice's own kinds.
    pub async fn kinds_are_there(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for kind in ["deliveries", "rolloutpolicies", "servicerollouts"] {
            let established = kube::runtime::conditions::is_crd_established();
            let name = format!("{kind}.sluice.dev");
            let there = kube::runtime::wait::await_condition(api.clone(), &name, established);
            tokio::time::timeout(PATIENCE, there)
                .await
                .expect("the kinds are installed in time")
                .unwrap();
        }
    }

    /// Applies the Delivery of `apps/`.
    pub async fn deliver(&self) {
        self.policy(BRISK, brisk()).await;
        self.policy("demo", unwatched_demo()).await;
        self.deliver_as(DELIVERY, |_| {}).await;
    }

    /// Applies a Delivery that differs from the usual one in something.
    pub async fn deliver_as(&self, name: &str, change: impl FnOnce(&mut DeliverySpec)) {
        let mut spec = DeliverySpec {
            source: Source {
                url: self.repository.url(),
                reference: Some(GitReference {
                    branch: Some("main".into()),
                    ..Default::default()
                }),
                path: Some("apps".into()),
                interval: Some(HumanDuration::from_millis(200)),
                secret_ref: None,
            },
            target: Target {
                namespace: Some(self.namespace().into()),
                expand: self.setting.expand,
            },
            policy: Some(self.setting.policy.clone()),
            prune: self.setting.prune,
            drift: self.setting.drift,
            suspend: false,
        };
        change(&mut spec);
        let mut delivery = Delivery::new(name, spec);
        delivery.metadata.namespace = Some(self.namespace().into());
        self.apply(&delivery).await;
    }

    /// Applies a RolloutPolicy.
    pub async fn policy(&self, name: &str, spec: RolloutPolicySpec) {
        let mut policy = RolloutPolicy::new(name, spec);
        policy.metadata.namespace = Some(self.namespace().into());
        self.apply(&policy).await;
    }

    /// Applies one of Sluice's own objects, as a person would.
    async fn apply<K>(&self, object: &K)
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + serde::Serialize
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace());
        let params = PatchParams::apply("test").force();
        api.patch(&object.name_any(), &params, &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// Commits and pushes `apps/NAME.yaml` for each service and gives the commit's id.
    pub fn push(&self, subject: &str, services: &[Hello]) -> String {
        for service in services {
            self.repository
                .write(&format!("apps/{}.yaml", service.name), &service.manifest());
        }
        self.repository.push(subject)
    }

    /// Waits for a moment of an object; `what` names it where it never comes.
    pub async fn when<K>(
        &self,
        api: Api<K>,
        name: &str,
        what: &str,
        reached: impl Fn(&K) -> bool,
    ) -> K
    where
        K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut changes = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
        let last = std::cell::RefCell::new(None);
        let wait = async {
            while let Some(object) = changes.next().await {
                // A server that is away is part of some stories.
                let Ok(object) = object else { continue };
                if reached(&object) {
                    return object;
                }
                *last.borrow_mut() = Some(object);
            }
            panic!("the watch ended");
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(object) => object,
            Err(_) => panic!(
                "{name} never came to: {what}\nlast seen: {:#?}",
                last.borrow()
            ),
        }
    }

    /// Waits for a moment of a service's release, and gives its status then.
    pub async fn until(
        &self,
        service: &str,
        what: &str,
        reached: impl Fn(&RolloutStatus) -> bool,
    ) -> RolloutStatus {
        let api: Api<ServiceRollout> = Api::namespaced(self.client.clone(), self.namespace());
        let rollout = self
            .when(api, service, what, |rollout| {
                rollout.status.as_ref().is_some_and(&reached)
            })
            .await;
        rollout.status.unwrap()
    }

    /// Waits until a service rests on the template that `commit` brought.
    pub async fn promoted(&self, service: &str, commit: &str) -> RolloutStatus {
        self.until(service, &format!("promoted, {commit}"), |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.commit.as_deref() == Some(commit))
        })
        .await
    }

    /// Waits until a promoted service's last write is made and confirmed: from here on nothing
    /// changes by itself.
    pub async fn settled(&self, service: &str) -> RolloutStatus {
        self.until(service, "at rest", |status| {
            status.message.ends_with("serves what Git says")
        })
        .await
    }

    /// Waits until what `commit` brought was rolled back and quarantined.
    pub async fn rolled_back(&self, service: &str, commit: &str) -> RolloutStatus {
        self.until(service, &format!("rolled back, {commit}"), |status| {
            status.phase == Phase::RolledBack
                && status
                    .quarantine
                    .iter()
                    .any(|bad| bad.commit.as_deref() == Some(commit))
        })
        .await
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, api: &Api<DynamicObject>, name: &str) {
        let deleted =
            kube::runtime::wait::await_condition(api.clone(), name, |object: Option<&_>| {
                object.is_none()
            });
        tokio::time::timeout(PATIENCE, deleted)
            .await
            .expect("it goes in time")
            .unwrap();
    }

    /// Waits for a moment of a Delivery, and gives its status then.
    pub async fn delivery(
        &self,
        name: &str,
        what: &str,
        reached: impl Fn(&DeliveryStatus) -> bool,
    ) -> DeliveryStatus {
        let api: Api<Delivery> = Api::namespaced(self.client.clone(), self.namespace());
        let delivery = self
            .when(api, name, what, |delivery| {
                delivery.status.as_ref().is_some_and(&reached)
            })
            .await;
        delivery.status.unwrap()
    }

    /// Waits until the agent has seen a commit and planned with it.
    pub async fn observed(&self, commit: &str) {
        let api: Api<Delivery> = Api::namespaced(self.client.clone(), self.namespace());
        let seen =
            kube::runtime::wait::await_condition(api, "shop", |delivery: Option<&Delivery>| {
                let status = delivery.and_then(|delivery| delivery.status.as_ref());
                status.is_some_and(|status| status.observed_commit.as_deref() == Some(commit))
            });
        tokio::time::timeout(PATIENCE, seen)
            .await
            .expect("the agent sees it in time")
            .unwrap();
    }

    /// Waits until the Delivery says of this commit that something needs a person.
    pub async fn problem(&self, commit: &str, words: &str) -> DeliveryStatus {
        self.delivery(
            DELIVERY,
            &format!("a problem that says {words:?}"),
            |status| {
                status.observed_commit.as_deref() == Some(commit)
                    && status
                        .problems
                        .iter()
                        .any(|problem| problem.message.contains(words))
            },
        )
        .await
    }

    /// Waits until people were told something: an event with this reason, about this object.
    pub async fn told(&self, kind: &str, name: &str, reason: &str) -> String {
        let api: Api<Event> = Api::namespaced(self.client.clone(), self.namespace());
        let config = watcher::Config::default();
        let mut changes = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
        let wait = async {
            while let Some(event) = changes.next().await {
                let Ok(event) = event else { continue };
                let about = &event.involved_object;
                if about.kind.as_deref() == Some(kind)
                    && about.name.as_deref() == Some(name)
                    && event.reason.as_deref() == Some(reason)
                {
                    return event.message.unwrap_or_default();
                }
            }
            panic!("the watch ended");
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("nobody was told {reason} of {kind} {name}"))
    }

    /// Objects of a kind of Knative's, in the stories' namespace.
    pub fn serving(&self, kind: &str) -> Api<DynamicObject> {
        self.objects("serving.knative.dev/v1", kind)
    }

    /// Objects of any kind, in the stories' namespace.
    pub fn objects(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = resource(api_version, kind);
        Api::namespaced_with(self.client.clone(), self.namespace(), &resource)
    }

    /// Makes or changes an object by hand, in the way of a tool: `manager` updates, it does
    /// not apply.
    pub async fn by_hand(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        manager: &str,
        change: &Value,
    ) {
        let params = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(change))
            .await
            .unwrap();
    }

    /// Makes an object by hand.
    pub async fn create(&self, object: Value, manager: &str) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let params = kube::api::PostParams {
            field_manager: Some(manager.to_owned()),
            ..Default::default()
        };
        self.objects(&types.api_version, &types.kind)
            .create(&params, &object)
            .await
            .unwrap();
    }

    /// Watches what a service's users are shown, from now on.
    pub fn watch_traffic(&self, service: &str) -> TrafficHistory {
        TrafficHistory::of(self.serving("Route"), service)
    }

    /// The object whose traffic a person would change: the Service where there is one.
    pub fn traffic_object(&self) -> Api<DynamicObject> {
        self.serving(match self.setting.expand {
            Expand::Routes => "Route",
            Expand::Service => "Service",
        })
    }

    /// The object whose template a person would change.
    pub fn template_object(&self) -> Api<DynamicObject> {
        self.serving(match self.setting.expand {
            Expand::Routes => "Configuration",
            Expand::Service => "Service",
        })
    }

    /// The host of a service in a namespace, or of one of its tags (`TAG-SERVICE`).
    pub fn host(&self, service: &str, namespace: &str) -> String {
        format!("{service}.{namespace}.{}", self.cluster.domain)
    }

    /// One request to a service's main host, or to a tag's (`TAG-SERVICE`).
    pub async fn ask(&self, service: &str) -> Answer {
        self.ask_in(self.namespace(), service, "/").await
    }

    /// One request to a service in any namespace, for any path.
    pub async fn ask_in(&self, namespace: &str, service: &str, path: &str) -> Answer {
        users::ask(self.gateway(), &self.host(service, namespace), path).await
    }

    /// A service answers well for this long, asked five times a second.
    pub async fn serves(&self, service: &str, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        while tokio::time::Instant::now() < until {
            tick.tick().await;
            let answer = self.ask(service).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }

    /// Users who send `rate` requests a second to a service until they are told to stop.
    pub fn users(&self, service: &str, rate: u32) -> Users {
        Users::start(self.gateway(), self.host(service, self.namespace()), rate)
    }

    /// The same of users who leave when they have waited for so long.
    pub fn users_who_wait(&self, service: &str, rate: u32, patience: Duration) -> Users {
        let host = self.host(service, self.namespace());
        Users::who_wait(self.gateway(), host, rate, patience)
    }

    /// Ends everything in good order.
    pub async fn end(mut self) {
        if self.agent.is_some() {
            self.stop_agent().await;
        }
        self.cluster.end().await;
    }
}

/// A kind by the names that manifests give it.
pub fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}
