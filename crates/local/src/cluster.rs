//! The embedded cluster as a whole: API server, controllers, autoscaler, gateway and node,
//! started in order, stopped in reverse.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use k8s_openapi::api::core::v1::Container;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::apiserver::{Admission, ApiServer, Listening, kubeconfig};
use super::autoscaler::{self, AutoscalerConfig};
use super::controllers::config::{ImageRefused, ImageResolver, TrustTheNode};
use super::controllers::{self, ControllersConfig};
use super::data_dir::access::Ownership;
use super::data_dir::{DataDir, Endpoints, Ports};
use super::gateway::{Gateway, GatewayConfig};
use super::knative;
use super::node::images::Images;
use super::node::{self, NodeConfig};

/// The domain under which services answer: `*.localhost` is this machine (RFC 6761).
pub const DOMAIN: &str = "localhost";
/// Any free port of the loopback.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How a local cluster is started; the default is all in memory, on free ports.
#[derive(Default)]
pub struct LocalConfig {
    /// Where objects, keys and logs are kept; a temporary folder when absent.
    pub data_dir: Option<PathBuf>,
    /// Where the API server listens; port 0 takes the one of the last start, or a free one.
    pub api_listen: Option<SocketAddr>,
    /// Where the gateway listens; port 0 likewise.
    pub gateway_listen: Option<SocketAddr>,
    /// The kubeconfig to add the cluster to; `kubeconfig` in the data directory when absent.
    pub kubeconfig: Option<PathBuf>,
    /// Which commands the images of Pods stand for.
    pub images: Option<PathBuf>,
    /// The `sluice` program, which the node starts for each container; this one when absent.
    pub program: Option<PathBuf>,
    /// Further admission hooks, behind Knative's own.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Runs no Pod: they stay as somebody else, who plays the node, says.
    pub without_node: bool,
}

/// A running local cluster.
pub struct LocalCluster {
    api: ApiServer,
    listening: Listening,
    gateway: Gateway,
    stop_gateway: CancellationToken,
    endpoints: Endpoints,
    stop_controllers: CancellationToken,
    controllers: JoinHandle<()>,
    autoscaler: JoinHandle<()>,
    stop_node: CancellationToken,
    node: JoinHandle<()>,
    scratch: Option<tempfile::TempDir>,
}

impl LocalCluster {
    /// Starts every part and returns when requests can be sent.
    pub async fn start(config: LocalConfig) -> anyhow::Result<Self> {
        let (data_dir, scratch) = named_or_scratch(config.data_dir)?;
        let place = DataDir::new(data_dir.clone());
        let standing = place.prepare()?;
        let before = place.read_ports();
        let program = config.program.map_or_else(std::env::current_exe, Ok)?;
        let images = match &config.images {
            Some(file) => Images::load(file, &program)?,
            None => Images::built_in(&program),
        };
        let known = Arc::new(NodesImages(images.clone()));
        let mut node_config = NodeConfig::new(data_dir.join("node"), images, program);

        let mut builder = ApiServer::builder()
            .data_dir(Some(data_dir.join("api")))
            .pod_logs(node_config.logs.clone())
            .register(knative::registration());
        for hook in config.admission {
            builder = builder.admission(hook);
        }
        let api = builder.build()?;
        let client = api.client();
        let listening = bind(config.api_listen.unwrap_or(ANY), before.api, |address| {
            api.serve(address)
        })
        .await?;

        let stop_gateway = CancellationToken::new();
        let wished = config.gateway_listen.unwrap_or(ANY);
        let gateway = start_gateway(&client, wished, before, &stop_gateway).await?;
        place
            .write_ports(Ports {
                api: listening.address.port(),
                gateway: gateway.address.port(),
                metrics: gateway.metrics_address.port(),
            })
            .with_context(|| format!("{} cannot be written to", place.dir().display()))?;
        let kubeconfig = write_kubeconfig(&listening, &place, standing, config.kubeconfig)?;
        let endpoints = endpoints(&listening, &gateway, kubeconfig);

        let stop_controllers = CancellationToken::new();
        let controllers = start_controllers(&client, &endpoints, known, &stop_controllers);
        let autoscaler = tokio::spawn(autoscaler::run(
            client.clone(),
            gateway.demand(),
            AutoscalerConfig::default(),
            stop_controllers.clone(),
        ));
        let stop_node = CancellationToken::new();
        node_config.requests = Arc::new(gateway.demand());
        let node = (!config.without_node).then_some(node_config);
        let node = start_node(&client, node, &stop_node);
        Ok(Self {
            api,
            listening,
            gateway,
            stop_gateway,
            endpoints,
            stop_controllers,
            controllers,
            autoscaler,
            stop_node,
            node,
            scratch,
        })
    }

    /// A client of the cluster, in process.
    pub fn client(&self) -> kube::Client {
        self.api.client()
    }

    /// The API server, for whoever wants to see it in trouble.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// Where everything is.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Where the gateway listens.
    pub fn gateway_addr(&self) -> SocketAddr {
        self.gateway.address
    }

    /// Ends every part: nothing changes any more, then processes, then sockets.
    pub async fn shutdown(self) {
        self.stop_controllers.cancel();
        for (part, task) in [
            ("controllers", self.controllers),
            ("autoscaler", self.autoscaler),
        ] {
            join(part, task).await;
        }
        self.stop_node.cancel();
        join("node", self.node).await;
        self.stop_gateway.cancel();
        self.gateway.join().await;
        self.api.shutdown().await;
        self.listening.shutdown().await;
        drop(self.scratch);
    }
}

/// The named data directory, or a temporary one.
fn named_or_scratch(
    named: Option<PathBuf>,
) -> std::io::Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(dir) = named {
        return Ok((dir, None));
    }
    let scratch = tempfile::Builder::new().prefix("sluice-").tempdir()?;
    Ok((scratch.path().to_owned(), Some(scratch)))
}

async fn start_gateway(
    client: &kube::Client,
    wished: SocketAddr,
    before: Ports,
    stop: &CancellationToken,
) -> anyhow::Result<Gateway> {
    let metrics_listen = free_or_any(SocketAddr::new(ANY.ip(), before.metrics));
    let gateway = bind(wished, before.gateway, |address| {
        Gateway::start(
            client.clone(),
            GatewayConfig {
                listen: address,
                metrics_listen,
                ..GatewayConfig::default()
            },
            stop.clone(),
        )
    });
    Ok(gateway.await?)
}

/// What is said of a cluster whose sockets are open; `kubeconfig` is [`write_kubeconfig`]'s.
fn endpoints(
    listening: &Listening,
    gateway: &Gateway,
    (kubeconfig, context): (PathBuf, Option<String>),
) -> Endpoints {
    Endpoints {
        pid: std::process::id(),
        api: format!("https://{}", listening.address),
        gateway: format!("http://{}", gateway.address),
        gateway_port: gateway.address.port(),
        metrics: format!("http://{}/metrics", gateway.metrics_address),
        kubeconfig,
        context,
    }
}

fn start_controllers(
    client: &kube::Client,
    endpoints: &Endpoints,
    images: Arc<NodesImages>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let config = ControllersConfig {
        domain: DOMAIN.to_owned(),
        gateway_port: Some(endpoints.gateway_port).filter(|port| *port != 80),
        images,
        ..ControllersConfig::default()
    };
    tokio::spawn(controllers::run(client.clone(), config, stop.clone()))
}

/// Starts the node; without a configuration there is none.
fn start_node(
    client: &kube::Client,
    config: Option<NodeConfig>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (client, stop) = (client.clone(), stop.clone());
    tokio::spawn(async move {
        let Some(config) = config else { return };
        if let Err(error) = node::run(client, config, stop).await {
            tracing::error!("the node ended: {error}");
        }
    })
}

/// Writes the kubeconfig, and says where, and which context is to be named in it. Our own one in a
/// data directory is replaced; whatever else is there is added to.
fn write_kubeconfig(
    listening: &Listening,
    place: &DataDir,
    standing: Ownership,
    named: Option<PathBuf>,
) -> anyhow::Result<(PathBuf, Option<String>)> {
    let own = place.dir().join("kubeconfig");
    let path = match named {
        Some(named) => std::path::absolute(named)?,
        None => own.clone(),
    };
    let is_current = match standing {
        Ownership::Own if path == own => listening.replace_kubeconfig(&path)?,
        _ => listening.write_kubeconfig(&path)?,
    };
    let context = (!is_current).then(|| kubeconfig::NAME.to_owned());
    Ok((path, context))
}

async fn join(part: &str, task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!("the {part} broke: {error}");
    }
}

/// Binds to the wished-for address. Where any port will do, the one of the last run
/// (`again`; 0 where there was none) is tried first.
async fn bind<T, E, F>(
    wished: SocketAddr,
    again: u16,
    start: impl Fn(SocketAddr) -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    if wished.port() == 0
        && again != 0
        && let Ok(started) = start(SocketAddr::new(wished.ip(), again)).await
    {
        return Ok(started);
    }
    start(wished).await
}

/// The wished-for address, or any port of its host when somebody has it.
fn free_or_any(wished: SocketAddr) -> SocketAddr {
    match std::net::TcpListener::bind(wished) {
        Ok(_) => wished,
        Err(_) => SocketAddr::new(wished.ip(), 0),
    }
}

/// The node's word on images, in the role of a registry: what it cannot run is missing
/// before a Pod is made, as on Knative, which asks the registry for every Revision.
struct NodesImages(Images);

impl ImageResolver for NodesImages {
    fn resolve(&self, image: &str) -> Result<Option<String>, ImageRefused> {
        match self.0.resolve(image) {
            // The name is run as it is: `{tag}` in a mapped command has to find its tag.
            Ok(_) => TrustTheNode.resolve(image),
            Err(unknown) => Err(ImageRefused::Unresolved {
                cause: unknown.cause().to_owned(),
            }),
        }
    }

    fn allows(&self, container: &Value) -> Result<(), ImageRefused> {
        let Ok(container) = serde_json::from_value::<Container>(container.clone()) else {
            // What cannot be read is for the API server, and then the node, to say.
            return Ok(());
        };
        let image = container.image.as_deref().unwrap_or_default();
        match self.0.resolve(image) {
            Ok(found) => {
                let checked = found.permission.check(&container, &found.command);
                checked.map_err(|error| ImageRefused::NotAllowed(Box::new(error)))
            }
            Err(unknown) => Err(ImageRefused::NotAllowed(Box::new(unknown))),
        }
    }
}
