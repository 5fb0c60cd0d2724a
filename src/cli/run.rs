//! `sluice run`: the agent, on the cluster of a kubeconfig or of the Pod it runs in.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::shutdown::Shutdown;
use super::{ClusterArgs, CommandOutcome, output};
use crate::agent::{self, Agent, AgentConfig, AgentError, ClusterWide};
use crate::api::delivery::{Delivery, DeliverySpec, Expand, GitReference, Source, Target};
use crate::api::duration::HumanDuration;
use crate::git::RemoteUrl;
use crate::plan::DeliveryId;

/// A repository given on the command line: the Delivery that it stands for.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Repository")]
pub struct RepositoryArgs {
    /// A Git repository to deliver: a Delivery is made for it
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// The folder of the repository [default: its root]
    #[arg(long, value_name = "DIR", requires = "repo")]
    path: Option<String>,
    /// The branch [default: the remote's own]
    #[arg(long, value_name = "NAME", requires = "repo")]
    branch: Option<String>,
    /// A preset (standard, cautious, fast, demo) or the name of a RolloutPolicy
    #[arg(long, value_name = "NAME", requires = "repo")]
    policy: Option<String>,
    /// How often the repository's head is asked for
    #[arg(long, value_name = "DURATION", requires = "repo", default_value = "5s")]
    interval: HumanDuration,
    /// What is applied for a Service manifest
    #[arg(
        long,
        value_name = "KIND",
        requires = "repo",
        default_value = "service"
    )]
    expand: ExpandArg,
    /// Delete what was delivered and Git no longer has
    #[arg(long, requires = "repo")]
    prune: bool,
    /// The Delivery's name [default: the repository's]
    #[arg(long, value_name = "NAME", requires = "repo")]
    delivery: Option<String>,
}

/// [`Expand`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ExpandArg {
    /// The Service itself
    #[default]
    Service,
    /// A Configuration and a Route, and no Service
    Routes,
}

impl From<ExpandArg> for Expand {
    fn from(arg: ExpandArg) -> Self {
        match arg {
            ExpandArg::Service => Self::Service,
            ExpandArg::Routes => Self::Routes,
        }
    }
}

impl RepositoryArgs {
    /// The Delivery that the flags stand for, in `namespace`; `None` without `--repo`.
    pub fn delivery(&self, namespace: &str) -> anyhow::Result<Option<Delivery>> {
        let Some(url) = &self.repo else {
            return Ok(None);
        };
        let url = absolute(url)?;
        // Before it is written anywhere: it may have a password in it.
        RemoteUrl::parse(&url)?;
        let name = match &self.delivery {
            Some(name) => name.clone(),
            None => name_of(&url)
                .with_context(|| format!("no name can be made from {url}: give --delivery NAME"))?,
        };
        let spec = DeliverySpec {
            source: Source {
                url,
                reference: self.branch.clone().map(|branch| GitReference {
                    branch: Some(branch),
                    ..Default::default()
                }),
                path: self.path.clone(),
                interval: Some(self.interval),
                secret_ref: None,
            },
            target: Target {
                namespace: Some(namespace.to_owned()),
                expand: self.expand.into(),
            },
            policy: self.policy.clone(),
            prune: self.prune,
            drift: Default::default(),
            suspend: false,
        };
        let mut delivery = Delivery::new(&name, spec);
        delivery.metadata.namespace = Some(namespace.to_owned());
        Ok(Some(delivery))
    }
}

/// A plain path becomes a `file://` URL; everything else stays.
fn absolute(url: &str) -> anyhow::Result<String> {
    if url.contains("://") || url.contains('@') {
        return Ok(url.to_owned());
    }
    let path =
        std::fs::canonicalize(url).with_context(|| format!("there is no repository at {url}"))?;
    Ok(format!("file://{}", path.display()))
}

/// `https://git.example.com/team/Shop.git` gives `shop`.
fn name_of(url: &str) -> Option<String> {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next()?;
    let name: String = last
        .trim_end_matches(".git")
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-').to_owned();
    (!name.is_empty() && name.len() <= 63).then_some(name)
}

/// The agent.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    /// Only Deliveries of this connection's namespace, with no rights in others
    #[arg(long)]
    one_namespace: bool,
    /// Leave Sluice's own kinds as they are in the cluster
    #[arg(long)]
    no_install_crds: bool,
    /// Take these Deliveries over from the agent that delivers them now
    #[arg(long, value_name = "[NAMESPACE/]NAME", value_delimiter = ',')]
    take_over: Vec<String>,
    /// Who this agent is among those of the cluster [default: host name and a random part; a Pod's name]
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Namespaces whose Deliveries may write in every namespace and objects of the whole cluster; `*` for all
    /// [default: `*` with a kubeconfig; in a Pod none: a Delivery writes in its own namespace only]
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    cluster_wide: Option<Vec<String>>,
    /// Where copies of repositories are kept [default: ~/.cache/sluice]
    #[arg(long, value_name = "DIR", env = "SLUICE_CACHE_DIR")]
    cache_dir: Option<std::path::PathBuf>,
    /// Deliver from repositories on this machine (file:// and paths) also where the agent runs in
    /// the cluster: whoever writes a Delivery reads them
    #[arg(long)]
    allow_file_repositories: bool,
    /// Believe certificates of the gateway that these authorities signed (PEM), beside the public ones: probes of
    /// https URLs need it where the gateway's certificate is of an authority of your own
    #[arg(long, value_name = "FILE")]
    gateway_ca: Option<std::path::PathBuf>,
    /// Serve /metrics, /healthz and /readyz over HTTP here
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
}

/// Runs the agent until it is told to stop.
pub async fn run(args: RunArgs) -> anyhow::Result<CommandOutcome> {
    let session = args.cluster.connect().await?;
    let (client, namespace) = (session.client.clone(), session.namespace.clone());
    let delivery = args.repository.delivery(&namespace)?;
    let mut config = AgentConfig::new(client.clone());
    config.namespace = args.one_namespace.then(|| namespace.clone());
    config.install_crds = !args.no_install_crds;
    config.take_over = (args.take_over.iter())
        .map(|name| delivery_id(name, &namespace))
        .collect();
    config.cluster_wide = cluster_wide(args.cluster_wide.as_deref(), session.in_cluster);
    config.file_repositories = !session.in_cluster || args.allow_file_repositories;
    config.gateway_ca = args.gateway_ca;
    config.identity = match args.identity {
        Some(identity) => identity,
        // A Pod has its name to itself: after a crash its next container goes on at once.
        None if session.in_cluster => agent::host_name(),
        None => config.identity,
    };
    if let Some(dir) = args.cache_dir {
        config.cache_dir = dir;
    }
    let cancel = CancellationToken::new();
    let listener = match args.metrics_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    // The first process of a container is not ended by a signal that it does not hear.
    let mut shutdown = Shutdown::listen();
    let started = tokio::select! {
        started = start(config, delivery, listener, cancel.child_token()) => started,
        () = shutdown.requested() => return Ok(CommandOutcome::Done),
    };
    let mut agent = started.map_err(|error| {
        let away = error
            .downcast_ref::<AgentError>()
            .and_then(AgentError::unreachable);
        match away {
            Some(words) => session.unreachable(words),
            None => error,
        }
    })?;
    output::note(
        "the agent runs; `sluice status` and `sluice rollout list` tell where things stand, Ctrl-C stops it",
    );
    tokio::select! {
        () = shutdown.requested() => {
            cancel.cancel();
            agent.await??;
        }
        ended = &mut agent => {
            ended??;
            bail!("the agent ended by itself");
        }
    }
    Ok(CommandOutcome::Done)
}

fn delivery_id(name: &str, namespace: &str) -> DeliveryId {
    match name.split_once('/') {
        Some((namespace, name)) => DeliveryId::new(namespace, name),
        None => DeliveryId::new(namespace, name),
    }
}

fn cluster_wide(namespaces: Option<&[String]>, in_cluster: bool) -> ClusterWide {
    match namespaces {
        None if in_cluster => ClusterWide::Of(BTreeSet::new()),
        None => ClusterWide::All,
        Some(all) if all.iter().any(|one| one == "*") => ClusterWide::All,
        Some(some) => {
            let named = some.iter().filter(|one| !one.is_empty());
            ClusterWide::Of(named.cloned().collect())
        }
    }
}

/// Starts an agent with its defaults in this process, and applies `delivery`.
#[cfg(feature = "local")]
pub async fn start_agent(
    client: kube::Client,
    delivery: Delivery,
    cancel: CancellationToken,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let mut config = AgentConfig::new(client);
    // The cluster is this process's alone: whatever agent ran in it before is dead.
    config.identity = format!("{}_local", agent::host_name());
    start(config, Some(delivery), None, cancel).await
}

/// Taken before anything else starts: an address that is in use ends the command at once.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("--metrics-listen {address}: the address cannot be used"))?;
    output::note(format_args!(
        "metrics at http://{}/metrics",
        listener.local_addr()?
    ));
    Ok(listener)
}

async fn start(
    config: AgentConfig,
    delivery: Option<Delivery>,
    listener: Option<TcpListener>,
    cancel: CancellationToken,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let client = config.client.clone();
    let agent = Agent::prepare(config).await?;
    if let Some(delivery) = delivery {
        apply(&client, &delivery).await?;
    }
    let pages = listener.map(|listener| {
        let stop = cancel.clone();
        let serve = axum::serve(listener, agent.endpoint())
            .with_graceful_shutdown(async move { stop.cancelled().await });
        tokio::spawn(serve.into_future())
    });
    Ok(tokio::spawn(async move {
        agent.run(cancel).await?;
        if let Some(pages) = pages {
            pages.await??;
        }
        Ok(())
    }))
}

/// Writes the Delivery that the command line stands for.
async fn apply(client: &kube::Client, delivery: &Delivery) -> anyhow::Result<()> {
    let api: Api<Delivery> =
        Api::namespaced(client.clone(), &delivery.namespace().unwrap_or_default());
    let params = PatchParams::apply("sluice-cli").force();
    api.patch(&delivery.name_any(), &params, &Patch::Apply(delivery))
        .await
        .map_err(|error| match error {
            kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
            error => error.into(),
        })
        .with_context(|| format!("the Delivery {} cannot be written", delivery.name_any()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_named_after_its_repository() {
        for (url, name) in [
            ("https://git.example.com/team/Shop.git", Some("shop")),
            ("git@git.example.com:shop.git", Some("shop")),
            ("file:///srv/git/my_apps/", Some("my-apps")),
            ("https://", None),
        ] {
            assert_eq!(name_of(url).as_deref(), name, "{url}");
        }
    }
}
