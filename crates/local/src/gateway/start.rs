//! Starts the gateway on a cluster, and ends it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{admin, control, load_tracker::LoadTracker, proxy::Proxy, server, status};

/// Where Knative's own components and settings live.
const SYSTEM_NAMESPACE: &str = "knative-serving";
/// The ConfigMap that says where the gateway and its metrics are.
const CONFIG_MAP: &str = "sluice-gateway";

/// Where the gateway listens, and how it ends.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// For requests; port 0 takes a free one.
    pub listen: SocketAddr,
    /// For metrics; port 0 takes a free one.
    pub metrics_listen: SocketAddr,
    /// How long requests under way may take to end when the gateway is stopped.
    pub drain: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        GatewayConfig {
            listen: anywhere,
            metrics_listen: anywhere,
            drain: Duration::from_secs(5),
        }
    }
}

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("the gateway cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A running gateway; ends when its token is cancelled, and is joined by
/// [`Gateway::join`].
#[derive(Debug)]
pub struct Gateway {
    /// Where requests go.
    pub address: SocketAddr,
    /// Where metrics are: `http://ADDRESS/metrics`.
    pub metrics_address: SocketAddr,
    demand: LoadTracker,
    tasks: JoinSet<()>,
}

impl Gateway {
    /// Listens, and serves what the cluster's Ingress objects say.
    ///
    /// Returns as soon as both addresses are bound; requests are answered once the
    /// Ingresses that there are have been taken up. Ends with `cancel`: no new connection, then `config.drain` for
    /// requests under way.
    pub async fn start(
        client: Client,
        config: GatewayConfig,
        cancel: CancellationToken,
    ) -> Result<Gateway, StartError> {
        let listener = listen(config.listen).await?;
        let metrics = listen(config.metrics_listen).await?;
        let of = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let (address, metrics_address) = (
            of(&listener, config.listen),
            of(&metrics, config.metrics_listen),
        );
        let demand = LoadTracker::default();
        // Tunnels and instances' connections outlast the listener by the drain time.
        let hard = CancellationToken::new();
        let proxy = Arc::new(Proxy::new(demand.clone(), hard.clone()));
        let (served, statuses) = mpsc::unbounded_channel();
        let (whole, is_whole) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(admin::serve(metrics, proxy.clone(), cancel.clone()));
        tasks.spawn(control::run(
            client.clone(),
            proxy.clone(),
            served,
            whole,
            cancel.clone(),
        ));
        tasks.spawn(status::run(client.clone(), statuses, cancel.clone()));
        tasks.spawn(announce(client, address, metrics_address, cancel.clone()));
        tasks.spawn(async move {
            // Who connects meanwhile waits in the listener's queue.
            let _ = cancel.run_until_cancelled(is_whole).await;
            server::serve(listener, proxy.clone(), config.drain, cancel).await;
            hard.cancel();
            proxy.tasks.close();
            proxy.tasks.wait().await;
        });
        Ok(Gateway {
            address,
            metrics_address,
            demand,
            tasks,
        })
    }

    /// The autoscaler's window on the load.
    pub fn demand(&self) -> LoadTracker {
        self.demand.clone()
    }

    /// Waits for the end of all its tasks; cancel the token first.
    pub async fn join(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the gateway stopped");
            }
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// Writes down where the gateway is; tries until it is written.
async fn announce(
    client: Client,
    address: SocketAddr,
    metrics: SocketAddr,
    cancel: CancellationToken,
) {
    let mut pause = Duration::from_millis(50);
    loop {
        let Err(error) = write_config_map(&client, address, metrics).await else {
            return;
        };
        tracing::debug!(%error, "ConfigMap {CONFIG_MAP} not written: trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return,
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

async fn write_config_map(
    client: &Client,
    address: SocketAddr,
    metrics: SocketAddr,
) -> kube::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(SYSTEM_NAMESPACE).await?.is_none() {
        let metadata = ObjectMeta {
            name: Some(SYSTEM_NAMESPACE.into()),
            ..Default::default()
        };
        let namespace = Namespace {
            metadata,
            ..Default::default()
        };
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": SYSTEM_NAMESPACE},
        "data": {
            "gatewayURL": format!("http://{address}"),
            "metricsURL": format!("http://{metrics}/metrics"),
        },
    });
    let params = PatchParams::apply("sluice-gateway").force();
    maps.patch(CONFIG_MAP, &params, &Patch::Apply(&map)).await?;
    Ok(())
}
