//! Holds the node, which runs every Pod of the cluster as processes of this machine.
//!
//! It watches Pods through the API like a kubelet, claims those that nobody has,
//! and gives each a [`worker`]. Decisions are made in [`lifecycle`], which is
//! pure; processes run behind a [`shim`], so that none outlives the cluster.
//!
//! What differs from containers, because processes are not contained: a Pod's
//! address is 127.0.0.1 and its port is one that the node picked (`PORT`, and the
//! annotation [`worker::PORT_ANNOTATION`]); a declared `containerPort` is only a
//! name for it, and only the serving container has it. Volumes are folders that
//! the environment names ([`volumes`]). Limits of cpu and memory, security
//! contexts, users and lifecycle hooks are not applied. What runs is what the
//! `--images` file maps; what a Pod's spec may change of that is in [`permission`].

pub mod environment;
pub mod events;
pub mod grpc_health;
pub mod images;
pub mod lifecycle;
pub mod logs;
pub mod permission;
pub mod ports;
mod prober;
pub mod process;
mod protocol;
mod reference;
mod registration;
mod run;
pub mod runtime;
pub mod shim;
pub mod volumes;
pub mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apiserver::private;
use crate::pod_requests::{NoRequests, PodRequests};

use environment::NODE_NAME;
use events::Events;
use images::Images;
use lifecycle::backoff::BackoffPolicy;
use logs::{NodeLogs, PodKey};
use ports::Ports;
use process::ProcessRuntime;
use runtime::Runtime;
use worker::Desired;

/// How the node is set up.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where Pods' folders are kept; logs are where `logs` keeps them.
    pub data_dir: PathBuf,
    /// What images stand for.
    pub images: Images,
    /// Keeps the logs; give the same to the API server.
    pub logs: Arc<NodeLogs>,
    /// The `sluice` binary, which is started as `sluice node-shim`.
    pub shim: PathBuf,
    /// How restarts are spaced.
    pub backoff: BackoffPolicy,
    /// How many processes may be in the middle of starting at once.
    pub starts_at_once: usize,
    /// How long a deleted Pod of a Revision goes on serving at least before SIGTERM
    /// (never more than half of its grace period).
    pub drain: Duration,
    /// Who knows of the requests that it is answering then: SIGTERM waits for them.
    pub requests: Arc<dyn PodRequests>,
    /// How long processes have to end when the node itself stops.
    pub stop_grace: Duration,
}

impl NodeConfig {
    /// The defaults: a kubelet's back-off, two starts at once for each core, a
    /// second to drain, and two to end. `executable` is the `sluice` binary (`std::env::current_exe()`).
    pub fn new(data_dir: PathBuf, images: Images, executable: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            logs: NodeLogs::new(&data_dir),
            data_dir,
            images,
            shim: executable,
            backoff: BackoffPolicy::default(),
            starts_at_once: (2 * cores).max(4),
            drain: Duration::from_secs(1),
            requests: Arc::new(NoRequests),
            stop_grace: Duration::from_secs(2),
        }
    }
}

/// Why the node cannot run.
#[derive(Debug, thiserror::Error)]
#[error("the node cannot keep Pods under {folder}: {source}")]
pub struct NodeError {
    folder: PathBuf,
    source: std::io::Error,
}

/// What all workers share.
pub struct Node {
    client: Client,
    runtime: Arc<dyn Runtime>,
    images: Images,
    logs: Arc<NodeLogs>,
    ports: Ports,
    events: Events,
    starts: Semaphore,
    backoff: BackoffPolicy,
    drain: Duration,
    requests: Arc<dyn PodRequests>,
    stop_grace: Duration,
    pods: PathBuf,
}

impl Node {
    fn pod_folder(&self, key: &PodKey) -> PathBuf {
        self.pods.join(&key.uid)
    }
}

/// Runs Pods until `cancel`; then all processes are ended, and the Pods stay in
/// the API to be taken up by the next run.
pub async fn run(
    client: Client,
    config: NodeConfig,
    cancel: CancellationToken,
) -> Result<(), NodeError> {
    let pods = std::path::absolute(config.data_dir.join("pods")).unwrap_or(config.data_dir);
    private::make_folder(&pods).map_err(|source| NodeError {
        folder: pods.clone(),
        source,
    })?;
    allow_many_files();
    let (events, told) = Events::channel();
    let node = Arc::new(Node {
        client: client.clone(),
        runtime: Arc::new(ProcessRuntime::new(config.shim)),
        images: config.images,
        logs: config.logs,
        ports: Ports::new(rand::random()),
        events,
        starts: Semaphore::new(config.starts_at_once.max(1)),
        backoff: config.backoff,
        drain: config.drain,
        requests: config.requests,
        stop_grace: config.stop_grace,
        pods,
    });
    // The writer ends when the last teller, the node itself, is dropped.
    tokio::join!(
        async {
            register(&client, &cancel).await;
            Workers::new(node).run(cancel).await;
        },
        events::write(client.clone(), told),
    );
    Ok(())
}

/// A running container costs five open files here, and many systems begin with a
/// limit of 1024 and allow far more.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ENOUGH: u64 = 65_536;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(ENOUGH);
        if soft < wanted {
            setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
        } else {
            Ok(())
        }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

async fn register(client: &Client, cancel: &CancellationToken) {
    loop {
        tokio::select! {
            registered = registration::register(client) => match registered {
                Ok(()) => return,
                // Pods do not need the Node object, so what the API will not have is let be.
                Err(kube::Error::Api(status)) if status.is_not_found() => return,
                Err(error) => tracing::warn!(%error, "the node cannot register; trying again"),
            },
            () = cancel.cancelled() => return,
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// One worker for each Pod, by uid.
struct Workers {
    node: Arc<Node>,
    /// Kept until the API says that the Pod is gone, also when its worker is done
    /// with it: a late event must not bring it to life again.
    pods: HashMap<String, watch::Sender<Desired>>,
    running: JoinSet<()>,
    /// The Pods of a list that is being received.
    listed: Option<Vec<String>>,
    has_listed: bool,
}

impl Workers {
    fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            pods: HashMap::new(),
            running: JoinSet::new(),
            listed: None,
            has_listed: false,
        }
    }

    async fn run(mut self, cancel: CancellationToken) {
        let api: Api<Pod> = Api::all(self.node.client.clone());
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                event = events.next() => match event {
                    Some(Ok(event)) => self.handle(event, &cancel),
                    Some(Err(error)) => tracing::debug!(%error, "the watch on Pods starts again"),
                    None => break,
                },
                Some(ended) = self.running.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a Pod's worker failed");
                    }
                }
            }
        }
        // Their tokens are this one: they are on their way out.
        cancel.cancel();
        while self.running.join_next().await.is_some() {}
    }

    fn handle(&mut self, event: watcher::Event<Pod>, cancel: &CancellationToken) {
        match event {
            watcher::Event::Init => self.listed = Some(Vec::new()),
            watcher::Event::InitApply(pod) => {
                if let (Some(listed), Some(uid)) = (&mut self.listed, &pod.metadata.uid) {
                    listed.push(uid.clone());
                }
                self.apply(pod, cancel);
            }
            watcher::Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<String> = self
                    .pods
                    .keys()
                    .filter(|uid| !listed.contains(uid))
                    .cloned()
                    .collect();
                for uid in gone {
                    self.gone(&uid);
                }
                if !std::mem::replace(&mut self.has_listed, true) {
                    self.sweep(&listed);
                }
            }
            watcher::Event::Apply(pod) => self.apply(pod, cancel),
            watcher::Event::Delete(pod) => {
                self.gone(pod.metadata.uid.as_deref().unwrap_or_default())
            }
        }
    }

    fn apply(&mut self, pod: Pod, cancel: &CancellationToken) {
        let Some(uid) = pod.metadata.uid.clone() else {
            return;
        };
        let assigned = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if assigned.is_some_and(|name| name != NODE_NAME) {
            return;
        }
        let desired = Desired::Pod(Arc::new(pod));
        match self.pods.get(&uid) {
            Some(known) => {
                known.send_replace(desired);
            }
            None => {
                let (sender, receiver) = watch::channel(desired);
                self.pods.insert(uid, sender);
                let node = Arc::clone(&self.node);
                self.running
                    .spawn(worker::run(node, receiver, cancel.clone()));
            }
        }
    }

    fn gone(&mut self, uid: &str) {
        if let Some(known) = self.pods.remove(uid) {
            known.send_replace(Desired::Gone);
        }
    }

    /// Removes what Pods left that went while no node was there.
    fn sweep(&self, listed: &[String]) {
        self.node.logs.forget_all_but(listed);
        for folder in std::fs::read_dir(&self.node.pods)
            .into_iter()
            .flatten()
            .flatten()
        {
            let uid = folder.file_name();
            if !listed.iter().any(|known| uid == known.as_str()) {
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
    }
}
