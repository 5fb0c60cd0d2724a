//! Holds the agent: the loops that connect the other modules, one for each Delivery, each service and
//! each repository.
//!
//! The intervals and waits of deliveries and releases are here (`cluster` waits only between retries).
//! Nothing is decided here: `plan` makes the plans, `rollout` decides about releases, `analysis` judges
//! the evidence.

mod context;
mod delivery;
mod drift;
mod endpoint;
mod evidence;
mod facts;
mod fleet;
mod gateway;
mod hub;
mod index;
mod lineage;
mod memory;
mod metrics;
mod orphans;
mod planning;
mod queue_proxies;
pub mod reading;
mod report;
mod service;
mod services;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::context::Context;
use self::fleet::Fleet;
use self::gateway::Gateway;
use self::hub::Hub;
use crate::api::delivery::Delivery;
use crate::api::object::ObjectKey;
use crate::api::{GROUP, VERSION, serving};
use crate::cluster::{Cluster, Refusal, WatchError, WriteError};
use crate::plan::{DeliveryId, Manager};

/// How an agent is set up.
pub struct AgentConfig {
    /// The cluster.
    pub client: kube::Client,
    /// Only Deliveries of this namespace; all when absent.
    pub namespace: Option<String>,
    /// Whether Sluice's own kinds are installed at the start.
    pub install_crds: bool,
    /// The namespace of the Lease whose holder alone acts; absent, this agent acts in any case.
    pub leader_elect: Option<String>,
    /// Where copies of repositories are kept.
    pub cache_dir: PathBuf,
}

impl AgentConfig {
    /// The defaults: every namespace, own kinds installed, no election.
    pub fn new(client: kube::Client) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        Self {
            client,
            namespace: None,
            install_crds: true,
            leader_elect: None,
            cache_dir: cache.join("sluice/git"),
        }
    }
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
    lease: Option<String>,
    stop: CancellationToken,
    hub: JoinHandle<()>,
}

/// The Lease that agents on one cluster stand for.
const LEASE: &str = "sluice-agent";

/// What every release is decided from.
const WATCHED: [(&str, &str); 8] = [
    ("v1", "Namespace"),
    ("v1", "Pod"),
    (serving::API_VERSION, "Service"),
    (serving::API_VERSION, "Configuration"),
    (serving::API_VERSION, "Route"),
    (serving::API_VERSION, "Revision"),
    ("sluice.dev/v1alpha1", "RolloutPolicy"),
    ("sluice.dev/v1alpha1", "Rollout"),
];

impl Agent {
    /// Installs the kinds, opens the watches, and waits until the caches are filled.
    pub async fn prepare(config: AgentConfig) -> Result<Self, AgentError> {
        let stop = CancellationToken::new();
        let cluster = Cluster::over(config.client, stop.clone());
        if config.install_crds {
            install(&cluster).await?;
        }
        let hub = Arc::new(Hub::default());
        let following = {
            // Opened before the first watch: nothing that a watch shows is missed.
            let (hub, cluster, changes, stop) = (
                hub.clone(),
                cluster.clone(),
                cluster.changes(),
                stop.clone(),
            );
            tokio::spawn(async move { hub.follow(&cluster, changes, stop).await })
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
        let gateway = Gateway::new(cluster.client());
        let context = Arc::new(Context::new(cluster, hub, gateway, config.cache_dir));
        Ok(Self {
            context,
            namespace: config.namespace,
            lease: config.leader_elect,
            stop,
            hub: following,
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
        match &self.lease {
            None => self.lead(&cancel).await,
            Some(namespace) => self.lead_when_elected(namespace, &cancel).await,
        }
        self.stop.cancel();
        for (name, task) in [("hub", self.hub), ("outages", outages), ("events", events)] {
            if let Err(error) = task.await {
                error!(task = name, "a task broke: {error}");
            }
        }
        self.context.cluster.join().await;
        Ok(())
    }

    /// Acts while this agent holds the Lease, and waits while another one does.
    async fn lead_when_elected(&self, namespace: &str, cancel: &CancellationToken) {
        let election =
            self.context
                .cluster
                .stand(namespace, LEASE, &uuid::Uuid::new_v4().to_string());
        let mut leading = election.leading.clone();
        while !cancel.is_cancelled() {
            tokio::select! {
                () = cancel.cancelled() => break,
                elected = leading.wait_for(|leads| *leads) => {
                    if elected.is_err() {
                        break;
                    }
                }
            }
            info!("this agent leads");
            let term = cancel.child_token();
            // Nobody acted while nobody led: that time counts against no release.
            self.context.watch_anew();
            let mut lead = std::pin::pin!(self.lead(&term));
            let lost = async {
                let _ = leading.wait_for(|leads| !*leads).await;
            };
            tokio::select! {
                () = &mut lead => continue,
                () = lost => info!("another agent leads"),
            }
            // The loops end in good order, before they may begin again.
            term.cancel();
            lead.await;
        }
        election.end().await;
    }

    /// Follows every Delivery until cancelled.
    async fn lead(&self, cancel: &CancellationToken) {
        self.context.metrics.leads(true);
        let mut fleet = Fleet::new(self.context.clone(), cancel.child_token());
        fleet.take_back(orphans::find(&self.context, self.namespace.as_deref()));
        let changes = self.context.cluster.changes();
        loop {
            fleet.attend(self.deliveries());
            tokio::select! {
                () = cancel.cancelled() => break,
                () = fleet.left() => {}
                () = async {
                    while !changes.next().await.iter().any(is_delivery) {}
                } => {}
            }
        }
        fleet.end().await;
        self.context.metrics.leads(false);
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

/// Installs Sluice's own kinds, or brings them up to date.
async fn install(cluster: &Cluster) -> Result<(), AgentError> {
    let mut definitions = Vec::new();
    for definition in crate::api::crds::all() {
        let object = json!(definition);
        let applied = cluster
            .apply(&object, Manager::Objects)
            .await
            .map_err(AgentError::Install)?;
        definitions.push(applied.live.key.clone());
    }
    let served = cluster.await_served(&definitions).await;
    served.map_err(|late| AgentError::NotServed(late.join(", ")))
}

fn is_delivery(key: &ObjectKey) -> bool {
    key.group == GROUP && key.kind == "Delivery"
}
