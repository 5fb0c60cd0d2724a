//! Which cluster a command talks to, and errors that say what to do when there is none.

use std::path::PathBuf;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// The flags that every command with a cluster has.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the Pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace [default: the context's own]
    #[arg(long, short = 'n', value_name = "NAME")]
    pub namespace: Option<String>,
}

/// A command's connection.
pub struct Session {
    /// The client.
    pub client: kube::Client,
    /// The namespace that the command works in.
    pub namespace: String,
    /// Whether it is the account of the Pod that this process runs in.
    pub in_cluster: bool,
    server: String,
}

impl ClusterArgs {
    /// Connects; no request is sent yet.
    pub async fn connect(&self) -> anyhow::Result<Session> {
        let (mut config, in_cluster) = self.config().await?;
        // The agent's retries are its own, and a person wants to hear at once.
        config.default_retry = false;
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let server = server.trim_end_matches('/').to_owned();
        let client = kube::Client::try_from(config)
            .with_context(|| format!("no client for {server} can be made"))?;
        Ok(Session {
            client,
            namespace,
            in_cluster,
            server,
        })
    }

    /// The configuration, and whether it is the Pod's own.
    async fn config(&self) -> anyhow::Result<(kube::Config, bool)> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..Default::default()
        };
        if let Some(path) = &self.kubeconfig {
            let place = format!("the kubeconfig {}", path.display());
            let file = Kubeconfig::read_from(path).map_err(|error| useless(&place, error))?;
            let contexts: Vec<String> = file.contexts.iter().map(|c| c.name.clone()).collect();
            let config = kube::Config::from_custom_kubeconfig(file, &options).await;
            return config
                .map(|config| (config, false))
                .map_err(|error| match error {
                    KubeconfigError::LoadContext(name) => anyhow::anyhow!(
                        "{place} has no context {name}; it has {}",
                        if contexts.is_empty() {
                            "none".to_owned()
                        } else {
                            contexts.join(", ")
                        }
                    ),
                    error => useless(&place, error),
                });
        }
        let error = match kube::Config::from_kubeconfig(&options).await {
            Ok(config) => return Ok((config, false)),
            Err(error) => error,
        };
        if self.context.is_none()
            && let Ok(config) = kube::Config::incluster()
        {
            return Ok((config, true));
        }
        let named = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
        Err(match error {
            error if named => useless("the kubeconfig that KUBECONFIG names", error),
            KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath => anyhow::anyhow!(
                "no cluster is known: give --kubeconfig FILE, set KUBECONFIG, or start a local one with `sluice local up`"
            ),
            error => useless("the kubeconfig ~/.kube/config", error),
        })
    }
}

/// A kubeconfig that does not lead to a cluster: what is wrong with it.
fn useless(place: &str, error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::ReadConfig(error, path) => {
            let path = path.display().to_string();
            let which = if place.ends_with(&path) {
                String::new()
            } else {
                format!("{path}: ")
            };
            anyhow::anyhow!("{place} cannot be read: {which}{error}")
        }
        KubeconfigError::CurrentContextNotSet => {
            anyhow::anyhow!("{place} has no current context: choose one with --context NAME")
        }
        KubeconfigError::LoadContext(name) => {
            anyhow::anyhow!("{place} has no context {name}: choose another with --context NAME")
        }
        error => anyhow::anyhow!("{place} cannot be used: {}", innermost(&error)),
    }
}

impl Session {
    /// Words for the errors of the API that people meet most, with what to do about them.
    pub fn explain(&self, error: kube::Error) -> anyhow::Error {
        let server = &self.server;
        match error {
            kube::Error::Api(status) => match status.code {
                404 if status.message.contains("could not find")
                    || status.message.contains("page not found") =>
                {
                    anyhow::anyhow!(
                        "the cluster at {server} does not know Sluice's kinds yet: start an agent on it with `sluice run`, which installs them"
                    )
                }
                401 => anyhow::anyhow!(
                    "the cluster at {server} refuses the credentials of this kubeconfig ({}): renew them, or choose others with --kubeconfig or --context",
                    status.message
                ),
                403 => anyhow::anyhow!(
                    "{}; have this right granted, or choose another account with --kubeconfig or --context",
                    status.message
                ),
                _ => anyhow::anyhow!("{}", status.message),
            },
            kube::Error::SerdeError(error) => anyhow::anyhow!(
                "what answers at {server} is no Kubernetes API ({error}); is this the right kubeconfig?"
            ),
            kube::Error::Auth(error) => anyhow::anyhow!(
                "the credentials of this kubeconfig cannot be had: {}",
                innermost(&error)
            ),
            error @ (kube::Error::HyperError(_) | kube::Error::Service(_)) => {
                self.unreachable(&innermost(&error))
            }
            error => error.into(),
        }
    }

    /// The cluster does not answer.
    pub fn unreachable(&self, words: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "the cluster at {} cannot be reached: {words}; is it up, and is this its kubeconfig? (`sluice local status` tells of a local one)",
            self.server
        )
    }
}

/// The innermost words of an error: the outer ones only say that there is one.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
