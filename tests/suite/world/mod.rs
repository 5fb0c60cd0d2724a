//! A whole stage for a scenario: a cluster, a Git repository, an agent, users.
//!
//! Scenarios speak to the cluster through the Kubernetes API and the gateway only,
//! so that the same stories can be told on another cluster.

mod repository;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use sluice::agent::{Agent, AgentConfig};
use sluice::api::delivery::{Delivery, DeliverySpec, Expand, GitReference, Source, Target};
use sluice::api::duration::HumanDuration;
use sluice::api::rollout::{Phase, Rollout, RolloutStatus};
use sluice::local::apiserver::Admission;
use sluice::local::cluster::{LocalCluster, LocalConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use repository::TestRepository;
pub use users::{Answer, Users};

/// No story needs longer for one of its moments, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Where every story plays.
pub const NAMESPACE: &str = "default";

/// How a stage is set.
pub struct Setting {
    /// What is applied for a Service manifest.
    pub expand: Expand,
    /// The Delivery's policy.
    pub policy: String,
    /// Whether what leaves Git is deleted.
    pub prune: bool,
    /// Further admission hooks of the cluster.
    pub admission: Vec<Arc<dyn Admission>>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            expand: Expand::Routes,
            policy: "demo".to_owned(),
            prune: true,
            admission: Vec::new(),
        }
    }
}

/// The stage.
pub struct World {
    /// The team's repository.
    pub repository: TestRepository,
    /// The cluster's API.
    pub client: Client,
    setting: Setting,
    cluster: Option<LocalCluster>,
    agent: Option<RunningAgent>,
    dir: tempfile::TempDir,
}

struct RunningAgent {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    /// A cluster with an empty repository; the agent is not running yet.
    pub async fn new(mut setting: Setting) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cluster = LocalCluster::start(LocalConfig {
            data_dir: Some(dir.path().join("cluster")),
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sluice"))),
            admission: std::mem::take(&mut setting.admission),
            ..LocalConfig::default()
        })
        .await
        .unwrap();
        let repository = TestRepository::create(&dir.path().join("shop.git"));
        Self {
            repository,
            client: cluster.client(),
            setting,
            cluster: Some(cluster),
            agent: None,
            dir,
        }
    }

    /// The usual stage: an agent that delivers `apps/` of the repository.
    pub async fn start() -> Self {
        let mut world = Self::new(Setting::default()).await;
        world.start_agent().await;
        world.deliver().await;
        world
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> SocketAddr {
        self.cluster().gateway_addr()
    }

    /// The cluster.
    pub fn cluster(&self) -> &LocalCluster {
        self.cluster.as_ref().expect("the cluster is up")
    }

    /// The kubeconfig of the cluster, for programs.
    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.cluster().endpoints().kubeconfig
    }

    /// A folder that goes with the stage.
    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// How an agent of this stage is set up that talks to the cluster in its own way.
    pub fn agent_config(&self, client: Client) -> AgentConfig {
        let mut config = AgentConfig::new(client);
        config.cache_dir = self.dir.path().join("cache");
        config
    }

    /// Starts an agent; there must be none.
    pub async fn start_agent(&mut self) {
        assert!(self.agent.is_none(), "one agent at a time");
        let config = self.agent_config(self.client.clone());
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
        for kind in ["deliveries", "rolloutpolicies", "rollouts"] {
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
        self.deliver_as("shop", &self.repository).await;
    }

    /// Applies a Delivery of `apps/` of any repository.
    pub async fn deliver_as(&self, name: &str, repository: &TestRepository) {
        let mut delivery = Delivery::new(
            name,
            DeliverySpec {
                source: Source {
                    url: repository.url(),
                    reference: Some(GitReference {
                        branch: Some("main".into()),
                        ..Default::default()
                    }),
                    path: Some("apps".into()),
                    interval: Some(HumanDuration::from_millis(200)),
                    secret_ref: None,
                },
                target: Target {
                    namespace: Some(NAMESPACE.into()),
                    expand: self.setting.expand,
                },
                policy: Some(self.setting.policy.clone()),
                prune: self.setting.prune,
                drift: Default::default(),
                suspend: false,
            },
        );
        delivery.metadata.namespace = Some(NAMESPACE.into());
        let api: Api<Delivery> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.patch(
            name,
            &PatchParams::apply("test").force(),
            &Patch::Apply(&delivery),
        )
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

    /// Waits for a moment of a service's release, and gives its status then.
    pub async fn until(
        &self,
        service: &str,
        what: &str,
        reached: impl Fn(&RolloutStatus) -> bool,
    ) -> RolloutStatus {
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), NAMESPACE);
        let config = watcher::Config::default().fields(&format!("metadata.name={service}"));
        let mut changes = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
        let last = std::cell::RefCell::new(RolloutStatus::default());
        let wait = async {
            while let Some(rollout) = changes.next().await {
                // A server that is away is part of some stories.
                let Ok(rollout) = rollout else { continue };
                let status = rollout.status.unwrap_or_default();
                *last.borrow_mut() = status.clone();
                if reached(&status) {
                    return status;
                }
            }
            panic!("the watch ended");
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => panic!(
                "{service} never came to: {what}\nlast seen: {:#?}",
                last.borrow()
            ),
        }
    }

    /// Waits until a service rests on the template that `commit` brought.
    pub async fn promoted(&self, service: &str, commit: &str) -> RolloutStatus {
        self.until(service, "promoted", |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.commit.as_deref() == Some(commit))
        })
        .await
    }

    /// Waits until what `commit` brought was taken back and quarantined.
    pub async fn taken_back(&self, service: &str, commit: &str) -> RolloutStatus {
        self.until(service, "taken back", |status| {
            status.phase == Phase::RolledBack
                && status
                    .quarantine
                    .iter()
                    .any(|bad| bad.commit.as_deref() == Some(commit))
        })
        .await
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, api: &Api<kube::api::DynamicObject>, name: &str) {
        let deleted =
            kube::runtime::wait::await_condition(api.clone(), name, |object: Option<&_>| {
                object.is_none()
            });
        tokio::time::timeout(PATIENCE, deleted)
            .await
            .expect("it goes in time")
            .unwrap();
    }

    /// Waits until the agent has seen a commit and planned with it.
    pub async fn observed(&self, commit: &str) {
        let api: Api<Delivery> = Api::namespaced(self.client.clone(), NAMESPACE);
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

    /// One request to a service's main host.
    pub async fn ask(&self, service: &str) -> Answer {
        self.ask_at(&format!("{service}.{NAMESPACE}.localhost"), "/")
            .await
    }

    /// One request to any host of the gateway.
    pub async fn ask_at(&self, host: &str, path: &str) -> Answer {
        users::ask(self.gateway(), host, path).await
    }

    /// Users who send `rate` requests a second to a service until they are told to stop.
    pub fn users(&self, service: &str, rate: u32) -> Users {
        Users::start(
            self.gateway(),
            format!("{service}.{NAMESPACE}.localhost"),
            rate,
        )
    }

    /// Ends everything in good order.
    pub async fn end(mut self) {
        if self.agent.is_some() {
            self.stop_agent().await;
        }
        if let Some(cluster) = self.cluster.take() {
            cluster.shutdown().await;
        }
    }
}

/// The manifest of a sample service.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Its name.
    pub name: String,
    /// The container's environment: what it answers, and how it misbehaves.
    pub env: Vec<(String, String)>,
    /// Further lines under `spec:`, such as a traffic block.
    pub spec: String,
}

impl Hello {
    /// A service that greets `target`.
    pub fn new(name: &str, target: &str) -> Self {
        Self {
            name: name.into(),
            env: vec![("TARGET".into(), target.into())],
            spec: String::new(),
        }
    }

    /// The same with one more variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The manifest.
    pub fn manifest(&self) -> String {
        let env: String = self
            .env
            .iter()
            .map(|(name, value)| format!("            - {{name: {name}, value: \"{value}\"}}\n"))
            .collect();
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: {}\nspec:\n{}  template:\n    \
             spec:\n      containers:\n        - image: sluice.local/hello\n          env:\n{env}          \
             readinessProbe:\n            httpGet: {{path: /healthz}}\n",
            self.name, self.spec
        )
    }
}
