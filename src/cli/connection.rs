//! Which cluster a command talks to, and errors that say what to do when there is none.

use std::path::PathBuf;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// The flags that every command with a cluster has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// The kubeconfig file; KUBECONFIG, ~/.kube/config or the Pod's own account when absent
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace; the context's own when absent
    #[arg(long, short = 'n', value_name = "NAME")]
    pub namespace: Option<String>,
}

impl ClusterArgs {
    /// A client, and the namespace that commands work in.
    pub async fn connect(&self) -> anyhow::Result<(kube::Client, String)> {
        let config = self.config().await?;
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string();
        let client = kube::Client::try_from(config)
            .with_context(|| format!("no client for {url} can be made"))?;
        Ok((client, namespace))
    }

    /// The connection's configuration.
    pub async fn config(&self) -> anyhow::Result<kube::Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..Default::default()
        };
        if let Some(path) = &self.kubeconfig {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("the kubeconfig {} cannot be read", path.display()))?;
            return kube::Config::from_custom_kubeconfig(file, &options)
                .await
                .with_context(|| format!("the kubeconfig {} cannot be used", path.display()));
        }
        if let Ok(config) = kube::Config::from_kubeconfig(&options).await {
            return Ok(config);
        }
        kube::Config::incluster().map_err(|_| {
            anyhow::anyhow!(
                "no cluster is known: give --kubeconfig FILE, set KUBECONFIG, or start a local one with `sluice local up`"
            )
        })
    }
}

/// Words for the errors of the API that people meet most.
pub fn explain(error: kube::Error) -> anyhow::Error {
    match &error {
        kube::Error::Api(status)
            if status.code == 404 && status.message.contains("could not find") =>
        {
            anyhow::anyhow!(
                "the cluster does not know Sluice's kinds yet: start the agent once with `sluice run --install-crds`"
            )
        }
        kube::Error::Api(status) if status.code == 401 => {
            anyhow::anyhow!(
                "the cluster refuses the credentials of this kubeconfig ({})",
                status.message
            )
        }
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        kube::Error::HyperError(_) | kube::Error::Service(_) => anyhow::Error::from(error)
            .context("the cluster cannot be reached; is it up, and is this its kubeconfig?"),
        _ => error.into(),
    }
}
