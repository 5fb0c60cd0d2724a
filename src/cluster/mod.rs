//! Watches the cluster and writes to it for the agent: watch caches, server-side apply, prune, Leases and events.
//!
//! It decides nothing about releases; it carries out plans and answers what the
//! cluster has. Everything that it knows comes from watches: looking something
//! up costs no request. What is not watched is looked up elsewhere, with the
//! same client: `docs/architecture.md` says where, under Modules.

mod apply;
mod carry_out;
mod changes;
pub mod conflict;
mod connect;
mod counter;
mod delete;
mod error;
mod events;
mod hidden;
mod kinds;
mod lease;
mod store;
mod takeover;
mod watch;
mod writers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api::object::{ObjectKey, split_api_version};
use crate::plan::{Live, LiveObject, Scope, Settled};

pub use apply::Applied;
pub use carry_out::{Done, StepOutcome};
pub use changes::Changes;
pub use connect::{Access, ConnectError};
pub use counter::{Requests, Verb};
pub use delete::Deleted;
pub use error::{Refusal, WriteError};
pub use events::EventRecord;
pub use kinds::Kind;
pub use lease::{Candidacy, Election, Holder, Lead};
pub use watch::{Connectivity, WatchState, back};

use counter::Counter;
use kinds::Kinds;
use store::Store;
use watch::{Target, Watches};
use writers::Writers;

/// The wait after the first failure of a request or a watch.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A first list that takes longer than this is reported instead of waited for.
const SYNC_TIMEOUT: Duration = Duration::from_secs(60);

/// A Kubernetes cluster. Cheap to clone; all clones are the same cluster.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    client: Client,
    counter: Arc<Counter>,
    kinds: Kinds,
    store: Arc<Store>,
    watches: Watches,
    /// What was found to hold: the digest of what Git wants, and the content it holds in.
    settled: Mutex<HashMap<ObjectKey, (String, u64)>>,
    writers: Writers,
    locks: apply::Locks,
    events: events::Recorder,
    stop: CancellationToken,
}

/// The cluster cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The API server does not answer.
    #[error("the API server does not answer: {0}")]
    Unavailable(String),
    /// There is no such kind.
    #[error("the cluster has no {kind} in {api_version}; install its CustomResourceDefinition")]
    NoSuchKind {
        /// The kind.
        kind: String,
        /// Its group and version.
        api_version: String,
    },
    /// The credentials do not allow it.
    #[error("{kind} cannot be watched: {error}; grant get, list and watch to the agent's account")]
    Forbidden {
        /// The kind.
        kind: String,
        /// The server's words.
        error: String,
    },
    /// The first list did not come through in time.
    #[error("{kind} did not come through within {} s", SYNC_TIMEOUT.as_secs())]
    Slow {
        /// The kind.
        kind: String,
    },
}

impl Cluster {
    /// Connects as a kubeconfig or the Pod's account says, and asks which kinds there are.
    pub async fn connect(access: &Access, stop: CancellationToken) -> Result<Self, ConnectError> {
        Ok(Self::over(connect::client(access).await?, stop))
    }

    /// The same over a client that is there already: an embedded API server's, or a test's.
    pub fn over(client: Client, stop: CancellationToken) -> Self {
        let counter = Arc::new(Counter::default());
        Self(Arc::new(Inner {
            client: counter::counted(client, Arc::clone(&counter)),
            counter,
            kinds: Kinds::new(),
            store: Arc::default(),
            watches: Watches::new(stop.clone()),
            settled: Mutex::default(),
            writers: Writers::new(),
            locks: apply::Locks::default(),
            events: events::Recorder::new(),
            stop,
        }))
    }

    /// The counted client, for what this module has no verb for.
    pub fn client(&self) -> Client {
        self.0.client.clone()
    }

    /// Requests so far.
    pub fn requests(&self) -> Requests {
        self.0.counter.so_far()
    }

    /// Whether the API server answers, now and as it changes.
    pub fn reach(&self) -> tokio::sync::watch::Receiver<Connectivity> {
        self.0.watches.reach()
    }

    /// Changed objects of the watched kinds, from now on.
    pub fn changes(&self) -> Changes {
        self.0.store.listen()
    }

    /// A watched object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<LiveObject>> {
        self.0.store.get(key)
    }

    /// Every watched object of a kind, in one namespace or in all.
    pub fn list(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<Arc<LiveObject>> {
        self.0.store.list(group, kind, namespace)
    }

    /// Asks again which kinds there are.
    pub async fn discover(&self) -> Result<(), WatchError> {
        let asked = self.0.kinds.refresh(&self.0.client, true).await;
        asked.map_err(|error| WatchError::Unavailable(error::words(&error)))
    }

    /// Starts to watch a kind, if it is not watched, and waits until its objects are here.
    ///
    /// It is watched in all namespaces; where the credentials forbid that, in `namespace`.
    pub async fn watch(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<(), WatchError> {
        let known = self
            .kind(api_version, kind)
            .await
            .map_err(|refusal| match refusal {
                Refusal::NoSuchKind(_) => WatchError::NoSuchKind {
                    kind: kind.to_owned(),
                    api_version: api_version.to_owned(),
                },
                Refusal::Unavailable(words) => WatchError::Unavailable(words),
                other => WatchError::Unavailable(other.to_string()),
            })?;
        let (group, _) = split_api_version(api_version);
        let target = |namespace: Option<&str>| Target {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        match (self.follow(&known, target(None)).await, namespace) {
            (Err(WatchError::Forbidden { .. }), Some(namespace)) if known.namespaced => {
                self.follow(&known, target(Some(namespace))).await
            }
            (answer, _) => answer,
        }
    }

    /// The same for the kind of an object of an inventory, in whatever version it is
    /// served; nothing happens where it is watched already, or not served any more.
    pub async fn watch_kind_of(&self, key: &ObjectKey) -> Result<(), WatchError> {
        if self.is_watched(key) {
            return Ok(());
        }
        let asked = self.0.kinds.refresh(&self.0.client, false).await;
        asked.map_err(|error| WatchError::Unavailable(error::words(&error)))?;
        match self.0.kinds.preferred(&key.group, &key.kind) {
            Some(kind) => {
                let api_version = kind.resource.api_version;
                self.watch(&api_version, &key.kind, key.namespace.as_deref())
                    .await
            }
            None => Ok(()),
        }
    }

    async fn follow(&self, kind: &Kind, target: Target) -> Result<(), WatchError> {
        let name = target.kind.clone();
        let mut state = self
            .0
            .watches
            .start(&self.0.client, &self.0.store, kind, target);
        let settled = state.wait_for(|state| *state != WatchState::Starting);
        let state = match tokio::time::timeout(SYNC_TIMEOUT, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => return Err(WatchError::Unavailable("the agent is stopping".to_owned())),
            Err(_) => return Err(WatchError::Slow { kind: name }),
        };
        match state {
            WatchState::Starting | WatchState::Synced | WatchState::Lost { .. } => Ok(()),
            WatchState::Forbidden { error } => Err(WatchError::Forbidden { kind: name, error }),
            WatchState::NoSuchKind => Err(WatchError::NoSuchKind {
                api_version: kind.resource.api_version.clone(),
                kind: name,
            }),
        }
    }

    /// Whether a watch keeps an object's state up to date here.
    fn is_watched(&self, key: &ObjectKey) -> bool {
        [None, key.namespace.as_deref()]
            .into_iter()
            .any(|namespace| {
                self.0.watches.keeps(&Target {
                    group: key.group.clone(),
                    kind: key.kind.clone(),
                    namespace: namespace.map(str::to_owned),
                })
            })
    }

    /// Whether the store has what the server has of a kind.
    pub fn is_synced(&self, group: &str, kind: &str, namespace: Option<&str>) -> bool {
        [None, namespace].into_iter().any(|namespace| {
            let target = Target {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.map(str::to_owned),
            };
            self.0.watches.state(&target) == Some(WatchState::Synced)
        })
    }

    /// Whether what is known of a kind is from before an outage.
    pub fn is_lost(&self, group: &str, kind: &str, namespace: &str) -> bool {
        [None, Some(namespace)].into_iter().any(|namespace| {
            let target = Target {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.map(str::to_owned),
            };
            matches!(self.0.watches.state(&target), Some(WatchState::Lost { .. }))
        })
    }

    /// When the last watch had caught up after an outage; `None` before the first.
    pub fn recovered(&self) -> Option<jiff::Timestamp> {
        self.0.watches.recovered()
    }

    /// Remembers what a plan found to hold, so that the next one need not compare it.
    pub fn settle(&self, settled: &[Settled]) {
        let mut known = self.0.settled.lock();
        for one in settled {
            known.insert(one.key.clone(), (one.digest.clone(), one.content));
        }
    }

    /// Waits until all watches have ended; the token given at the start must be cancelled.
    pub async fn join(&self) {
        self.0.watches.join().await;
    }

    /// A kind, asked for again if it is unknown.
    async fn kind(&self, api_version: &str, kind: &str) -> Result<Kind, Refusal> {
        if let Some(known) = self.0.kinds.exactly(api_version, kind) {
            return Ok(known);
        }
        let asked = self.0.kinds.refresh(&self.0.client, false).await;
        asked.map_err(|error| Refusal::Unavailable(error::words(&error)))?;
        let known = self.0.kinds.exactly(api_version, kind);
        known.ok_or_else(|| Refusal::NoSuchKind(format!("{kind} in {api_version}")))
    }
}

impl Live for Cluster {
    fn get(&self, key: &ObjectKey) -> Option<Arc<LiveObject>> {
        self.0.store.get(key)
    }

    fn scope(&self, api_version: &str, kind: &str) -> Scope {
        self.0.kinds.scope(api_version, kind)
    }

    fn namespace_exists(&self, name: &str) -> Option<bool> {
        let key = ObjectKey {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: name.to_owned(),
        };
        self.is_synced("", "Namespace", None)
            .then(|| self.0.store.get(&key).is_some_and(|live| !live.deleting))
    }

    fn would_show(&self, key: &ObjectKey) -> bool {
        let kinds = &self.0.kinds;
        let served = !kinds.is_filled() || kinds.preferred(&key.group, &key.kind).is_some();
        !served || self.is_synced(&key.group, &key.kind, key.namespace.as_deref())
    }

    fn is_settled(&self, key: &ObjectKey, digest: &str, content: u64) -> bool {
        let settled = self.0.settled.lock();
        settled
            .get(key)
            .is_some_and(|(known, in_content)| known == digest && *in_content == content)
    }
}
