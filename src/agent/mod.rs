//! Holds the agent: the loops that connect the other modules, one for each Delivery, each service and
//! each repository.
//!
//! The intervals and waits of deliveries and releases are here (`cluster` waits only between retries).
//! Nothing is decided here: `plan` makes the plans, `rollout` decides about releases, `analysis` judges
//! the evidence.

mod account;
mod config_changes;
mod context;
mod delivery;
mod delivery_manager;
mod drift;
mod endpoint;
mod evidence;
mod from_cluster;
mod gateway;
mod index;
mod install;
mod leadership;
mod login;
mod metrics;
mod observe;
mod orphans;
mod planning;
mod pods;
mod queue_proxies;
mod report;
mod rollout_store;
mod service;
mod services;
mod source;
mod template_origin;
mod wakeups;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::context::Context;
use self::delivery_manager::DeliveryManager;
use self::gateway::Gateway;
use self::wakeups::Wakeups;
use crate::api::delivery::Delivery;
use crate::api::object::ObjectKey;
use crate::api::{GROUP, VERSION, serving};
use crate::cluster::{Cluster, Refusal, WatchError, WriteError};
use crate::evidence::{Trust, TrustError};
use crate::plan::DeliveryId;

/// How an agent is set up.
pub struct AgentConfig {
    /// The cluster.
    pub client: kube::Client,
    /// Only Deliveries of this namespace; all when absent.
    pub namespace: Option<String>,
    /// Whether Sluice's own kinds are installed at the start.
    pub install_crds: bool,
    /// Who this agent is among the agents of the cluster; an agent that takes up the work of one that died at
    /// once has that one's name.
    pub identity: String,
    /// The Deliveries whose agent is asked to hand them over to this one.
    pub take_over: BTreeSet<DeliveryId>,
    /// Which Deliveries may write outside their own namespace.
    pub cluster_wide: ClusterWide,
    /// Where copies of repositories are kept.
    pub cache_dir: PathBuf,
    /// Whether Deliveries may name repositories on this machine (`file://` and plain paths).
    ///
    /// Whoever writes a Delivery has what is read there: not for agents that serve others.
    pub file_repositories: bool,
    /// A PEM file of authorities whose certificates are believed of the gateway, beside the public ones.
    pub gateway_ca: Option<PathBuf>,
}

impl AgentConfig {
    /// The defaults: every namespace, own kinds installed, an identity of its own, and the client's rights
    /// for every Delivery.
    pub fn new(client: kube::Client) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        Self {
            client,
            namespace: None,
            install_crds: true,
            identity: identity(),
            take_over: BTreeSet::new(),
            cluster_wide: ClusterWide::All,
            cache_dir: cache.join("sluice/git"),
            file_repositories: true,
            gateway_ca: None,
        }
    }
}

/// Which Deliveries may write outside their own namespace: in others, and objects of the whole cluster.
///
/// An agent has more rights than the author of a Delivery, so it is not the Delivery that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterWide {
    /// All of them, as far as the agent's own rights go.
    All,
    /// Those of these namespaces.
    Of(BTreeSet<String>),
}

impl ClusterWide {
    /// Whether a Delivery may write nothing outside its own namespace.
    pub fn confines(&self, delivery: &DeliveryId) -> bool {
        match self {
            Self::All => false,
            Self::Of(namespaces) => !namespaces.contains(&delivery.namespace),
        }
    }
}

/// The host's name and something that no other agent has.
fn identity() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}_{}", host_name(), random.get(..8).unwrap_or(&random))
}

/// The host's name; of a Pod, the Pod's.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok();
    let name = name.and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown-host".to_owned())
}

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A kind that it lives from cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Its own kinds cannot be installed.
    #[error("Sluice's own kinds cannot be installed: {0}")]
    Install(WriteError),
    /// A kind was installed, and the API server does not serve it.
    #[error("{0} is installed but not served yet; try again in a moment")]
    NotServed(String),
    /// Whom to believe over https cannot be read.
    #[error("the certificates that the gateway's are checked with cannot be used: {0}")]
    Trust(#[from] TrustError),
}

impl AgentError {
    /// The network's words, where all that is wrong is that the API server does not answer.
    pub fn unreachable(&self) -> Option<&str> {
        match self {
            Self::Watch(WatchError::Unavailable(words)) => Some(words),
            Self::Install(error) => match &error.cause {
                Refusal::Unavailable(words) => Some(words),
                _ => None,
            },
            _ => None,
        }
    }
}

/// An agent that is ready to run.
pub struct Agent {
    context: Arc<Context>,
    namespace: Option<String>,
    stop: CancellationToken,
    wakeups: JoinHandle<()>,
}

/// What every release is decided from.
const WATCHED: [(&str, &str); 8] = [
    ("v1", "Namespace"),
    ("v1", "Pod"),
    (serving::API_VERSION, "Service"),
    (serving::API_VERSION, "Configuration"),
    (serving::API_VERSION, "Route"),
    (serving::API_VERSION, "Revision"),
    ("sluice.dev/v1alpha1", "RolloutPolicy"),
    ("sluice.dev/v1alpha1", "ServiceRollout"),
];

impl Agent {
    /// Installs the kinds, opens the watches, and waits until the caches are filled.
    pub async fn prepare(config: AgentConfig) -> Result<Self, AgentError> {
        let trust = match &config.gateway_ca {
            Some(file) => Trust::with_file(file)?,
            None => Trust::public()?,
        };
        let stop = CancellationToken::new();
        let cluster = Cluster::over(config.client.clone(), stop.clone());
        if config.install_crds {
            install::install(&cluster).await?;
        }
        let wakeups = Arc::new(Wakeups::default());
        let following = {
            // Opened before the first watch: nothing that a watch shows is missed.
            let (wakeups, cluster, changes, stop) = (
                wakeups.clone(),
                cluster.clone(),
                cluster.changes(),
                stop.clone(),
            );
            tokio::spawn(async move { wakeups.follow(&cluster, changes, stop).await })
        };
        for (api_version, kind) in WATCHED {
            cluster
                .watch(api_version, kind, config.namespace.as_deref())
                .await?;
        }
        cluster
            .watch(
                &format!("{GROUP}/{VERSION}"),
                "Delivery",
                config.namespace.as_deref(),
            )
            .await?;
        let gateway = Gateway::new(cluster.client(), trust);
        let namespace = config.namespace.clone();
        let context = Arc::new(Context::new(cluster, wakeups, gateway, config));
        Ok(Self {
            context,
            namespace,
            stop,
            wakeups: following,
        })
    }

    /// The cluster, for whoever counts its requests.
    pub fn cluster(&self) -> Cluster {
        self.context.cluster.clone()
    }

    /// `/metrics`, `/healthz` and `/readyz`, for whoever has a port for them.
    pub fn endpoint(&self) -> axum::Router {
        endpoint::router(self.context.clone())
    }

    /// Follows every Delivery until cancelled, then ends in good order.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), AgentError> {
        let outages = tokio::spawn({
            let (context, stop) = (self.context.clone(), self.stop.clone());
            async move { context.follow_outages(stop).await }
        });
        let events = tokio::spawn({
            let cluster = self.context.cluster.clone();
            async move { cluster.record_events().await }
        });
        self.follow(&cancel).await;
        self.stop.cancel();
        for (name, task) in [
            ("wakeups", self.wakeups),
            ("outages", outages),
            ("events", events),
        ] {
            if let Err(error) = task.await {
                error!(task = name, "a task broke: {error}");
            }
        }
        self.context.cluster.join().await;
        Ok(())
    }

    /// Follows every Delivery until cancelled.
    async fn follow(&self, cancel: &CancellationToken) {
        let mut deliveries = DeliveryManager::new(self.context.clone(), cancel.child_token());
        deliveries.roll_back(orphans::deliveries(
            &self.context,
            self.namespace.as_deref(),
        ));
        let changes = self.context.cluster.changes();
        loop {
            deliveries.reconcile(self.deliveries(), &self.context.unreadable_deliveries());
            tokio::select! {
                () = cancel.cancelled() => break,
                () = deliveries.left() => {}
                () = async {
                    while !changes.next().await.iter().any(is_delivery) {}
                } => {}
            }
        }
        deliveries.end().await;
    }

    /// The Deliveries that are this agent's to follow.
    fn deliveries(&self) -> BTreeMap<DeliveryId, Arc<Delivery>> {
        let mine = |id: &DeliveryId| {
            let only = self.namespace.as_ref();
            only.is_none_or(|namespace| *namespace == id.namespace)
        };
        let all = self.context.deliveries().into_iter();
        all.filter(|(id, _)| mine(id)).collect()
    }
}

fn is_delivery(key: &ObjectKey) -> bool {
    key.group == GROUP && key.kind == "Delivery"
}
