//! Where a benchmark plays: a local cluster, a repository and an agent, each as a person
//! would start it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use sluice::local::data_dir::{DataDir, Endpoints};

use crate::process::Process;
use crate::repository::TestRepository;

/// How long a new kind may take until it is served.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where every service is.
pub const NAMESPACE: &str = "default";

struct Local {
    endpoints: Endpoints,
    process: Process,
}

/// A cluster and a repository; agents come and go.
pub struct Fixture {
    /// What the agent follows.
    pub repository: TestRepository,
    /// The cluster's API.
    pub client: kube::Client,
    /// The way to it.
    pub kubeconfig: PathBuf,
    /// The local cluster; none where the cluster was there already.
    local: Option<Local>,
    dir: tempfile::TempDir,
}

impl Fixture {
    /// Starts a cluster; `more` are further arguments of `sluice local up`.
    pub async fn start(more: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sluice-bench-").tempdir()?;
        let data = dir.path().join("cluster");
        let mut arguments: Vec<&str> = "local up --gateway-listen 127.0.0.1:0 --data-dir"
            .split(' ')
            .collect();
        arguments.push(text(&data)?);
        arguments.extend(more);
        let mut cluster = Process::start(&arguments, &dir.path().join("cluster.log"))?;
        cluster.says("ready in").await?;
        let endpoints = DataDir::new(data)
            .read_endpoints()
            .context("the cluster does not say where it is")?;
        let kubeconfig = endpoints.kubeconfig.clone();
        let local = Local {
            endpoints,
            process: cluster,
        };
        Self::at(kubeconfig, Some(local), dir).await
    }

    /// On the cluster of the test bed that this program runs in.
    pub async fn on_bed() -> anyhow::Result<Self> {
        let kubeconfig = std::env::var_os("SLUICE_BED")
            .and_then(|_| std::env::var_os("KUBECONFIG"))
            .context(
                "it plays on a test bed: `tests/bed/bed run -- cargo bench --bench bench -- ...`",
            )?;
        let dir = tempfile::Builder::new().prefix("sluice-bench-").tempdir()?;
        Self::at(kubeconfig.into(), None, dir).await
    }

    async fn at(
        kubeconfig: PathBuf,
        local: Option<Local>,
        dir: tempfile::TempDir,
    ) -> anyhow::Result<Self> {
        let read = Kubeconfig::read_from(&kubeconfig)?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(read, &options).await?;
        Ok(Self {
            repository: TestRepository::create(&dir.path().join("shop.git")),
            client: kube::Client::try_from(config)?,
            kubeconfig,
            local,
            dir,
        })
    }

    fn local(&self) -> anyhow::Result<&Local> {
        self.local.as_ref().context("it is no local cluster")
    }

    /// The local cluster's process.
    pub fn cluster(&self) -> anyhow::Result<&Process> {
        Ok(&self.local()?.process)
    }

    /// Where the local cluster's gateway listens.
    pub fn gateway(&self) -> anyhow::Result<SocketAddr> {
        let url = &self.local()?.endpoints.gateway;
        Ok(url.trim_start_matches("http://").parse()?)
    }

    /// Starts an agent that delivers `apps/` of the repository; `more` are further arguments
    /// of `sluice run`.
    pub fn agent(&self, more: &[&str]) -> anyhow::Result<Process> {
        let url = self.repository.url();
        let cache = self.dir.path().join("cache");
        let mut arguments = vec![
            "run",
            "--kubeconfig",
            text(&self.kubeconfig)?,
            "--cache-dir",
            text(&cache)?,
            "--repo",
            &url,
        ];
        arguments.extend("--delivery shop --path apps --branch main".split(' '));
        arguments.extend(more);
        Process::start(&arguments, &self.dir.path().join("agent.log"))
    }

    /// Installs Sluice's own kinds, for what is to be there before the agent is.
    pub async fn install_kinds(&self) -> anyhow::Result<()> {
        let kinds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for kind in sluice::api::crds::all() {
            let name = kind.metadata.name.clone().unwrap_or_default();
            let as_the_agent = PatchParams::apply("sluice").force();
            kinds
                .patch(&name, &as_the_agent, &Patch::Apply(&kind))
                .await?;
            let established = kube::runtime::conditions::is_crd_established();
            let served = kube::runtime::wait::await_condition(kinds.clone(), &name, established);
            tokio::time::timeout(PATIENCE, served)
                .await
                .with_context(|| format!("{name} is not served"))??;
        }
        Ok(())
    }

    /// Ends the cluster in good order.
    pub async fn end(self) -> anyhow::Result<()> {
        match self.local {
            Some(local) => local.process.end().await,
            None => Ok(()),
        }
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
