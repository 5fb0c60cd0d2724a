//! The embedded cluster as a whole: API server, controllers, autoscaler, gateway and node,
//! started in order, stopped in reverse.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admission;
use super::apiserver::{self, Admission, ApiServer};
use super::autoscaler;
use super::controllers::{self, ControllersConfig};
use super::gateway::{Gateway, GatewayConfig};
use super::node::{self, NodeConfig, NodeLogs, images::Images};
use super::place::Endpoints;

/// The domain under which services answer: resolvers send `*.localhost` to this machine (RFC 6761).
pub const DOMAIN: &str = "localhost";

/// How a local cluster is started.
#[derive(Default)]
pub struct LocalConfig {
    /// Where objects, keys and logs are kept; in memory and a temporary folder when absent.
    pub data_dir: Option<PathBuf>,
    /// Where the API server listens; port 0 takes any free one.
    pub api_listen: Option<SocketAddr>,
    /// Where the gateway listens; port 0 takes any free one.
    pub gateway_listen: Option<SocketAddr>,
    /// Where to write the kubeconfig; `kubeconfig` in the data directory when absent.
    pub kubeconfig: Option<PathBuf>,
    /// Which commands the images of Pods stand for.
    pub images: Option<PathBuf>,
    /// The `sluice` program, for the node's helper process; this very program when absent.
    pub program: Option<PathBuf>,
    /// Further admission hooks, behind Knative's own.
    pub admission: Vec<Arc<dyn Admission>>,
}
