//! How the cluster is reached: a kubeconfig, a context of it, or from inside.

use std::path::PathBuf;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

/// Where the cluster's address and credentials come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig file; `$KUBECONFIG` or `~/.kube/config` when absent, and the
    /// Pod's service account where there is none either.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it, instead of its current one.
    pub context: Option<String>,
}

/// The cluster cannot be reached with what was given.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {path} cannot be used: {message}")]
    Kubeconfig {
        /// Which file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no cluster: {0}; name one with --kubeconfig or KUBECONFIG, or start one with `sluice local up`"
    )]
    NoCluster(String),
    /// The client cannot be built: a bad certificate, an unsupported proxy.
    #[error("a client for the cluster cannot be made: {0}")]
    Client(String),
}

/// Makes a client. Nothing is asked of the cluster yet.
pub(super) async fn client(access: &Access) -> Result<Client, ConnectError> {
    let options = KubeConfigOptions {
        context: access.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match &access.kubeconfig {
        Some(path) => {
            let refused = |message: String| ConnectError::Kubeconfig {
                path: path.display().to_string(),
                message,
            };
            let file = Kubeconfig::read_from(path).map_err(|error| refused(error.to_string()))?;
            Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| refused(error.to_string()))?
        }
        None if access.context.is_some() => Config::from_kubeconfig(&options)
            .await
            .map_err(|error| ConnectError::NoCluster(error.to_string()))?,
        None => Config::infer()
            .await
            .map_err(|error| ConnectError::NoCluster(error.to_string()))?,
    };
    // Retries are ours: they know the object, and they are counted.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ConnectError::Client(error.to_string()))
}
