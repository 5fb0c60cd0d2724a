//! Builds the server, serves it on a socket, gives a client in the same process, and stops it.

mod background;
mod bootstrap;
mod change;
mod credentials;
mod garbage_collector;
mod handle;
pub mod kubeconfig;
pub mod listen;
mod namespace_controller;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::Request;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::credentials::{Credentials, CredentialsError};
use self::listen::{ListenError, Listening};
use crate::model::kinds;
use crate::model::registry::Registry;
use crate::model::served_kind::ServedKind;
use crate::model::status::ApiError;
use crate::model::user::User;
use crate::state::admission::Admission;
use crate::state::core::Core;
use crate::state::definitions;
use crate::state::pod_logs::PodLogs;
use crate::store::{JournalError, Store};

/// How many events of a kind are remembered for watches that come back.
const HISTORY: usize = 8192;
/// How often an idle watch that wants bookmarks gets one: Kubernetes' minute.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The first objects cannot be made.
    #[error("cannot make the objects that every cluster has: {0}")]
    Bootstrap(ApiError),
    /// The certificates or the token cannot be made or read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// What somebody else adds to a server: kinds, each with its schema, and what is asked about their writes.
#[derive(Clone, Default)]
pub struct Registration {
    /// The kinds that are served beside Kubernetes' own.
    pub kinds: Vec<ServedKind>,
    /// Admission hooks, in order.
    pub admission: Vec<Arc<dyn Admission>>,
}

/// What a server is built from.
pub struct Builder {
    data_dir: Option<PathBuf>,
    kinds: Vec<ServedKind>,
    hooks: Vec<Arc<dyn Admission>>,
    pod_logs: Option<Arc<dyn PodLogs>>,
    history: usize,
    bookmark_every: Duration,
    controllers: bool,
    clock: fn() -> Timestamp,
}

impl Builder {
    /// Keeps everything in this directory; without one it lives in memory.
    #[must_use]
    pub fn data_dir(mut self, dir: Option<PathBuf>) -> Self {
        self.data_dir = dir;
        self
    }

    /// Serves further kinds, and asks their hooks behind those that are there.
    #[must_use]
    pub fn register(mut self, registration: Registration) -> Self {
        self.kinds.extend(registration.kinds);
        self.hooks.extend(registration.admission);
        self
    }

    /// Serves further kinds, about whose writes no hook is asked.
    #[must_use]
    pub fn kinds(mut self, kinds: Vec<ServedKind>) -> Self {
        self.kinds.extend(kinds);
        self
    }

    /// Registers an admission hook behind those that are there.
    #[must_use]
    pub fn admission(mut self, hook: Arc<dyn Admission>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Who keeps the logs of Pods; can be given later too.
    #[must_use]
    pub fn pod_logs(mut self, keeper: Arc<dyn PodLogs>) -> Self {
        self.pod_logs = Some(keeper);
        self
    }

    /// How many events of each kind are remembered.
    #[must_use]
    pub fn history(mut self, events: usize) -> Self {
        self.history = events.max(1);
        self
    }

    /// How often idle watches get bookmarks.
    #[must_use]
    pub fn bookmark_every(mut self, period: Duration) -> Self {
        self.bookmark_every = period;
        self
    }

    /// Does nothing but what is asked for: nothing is collected, no namespace is emptied. As a
    /// cluster whose controllers are away, for whoever compares the two.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.controllers = false;
        self
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the store and starts the controllers inside it; call it inside a tokio runtime.
    pub fn build(self) -> Result<ApiServer, StartError> {
        let built_in = kinds::built_in(self.kinds.iter().map(ServedKind::resource));
        let registry = Registry::new(built_in.iter().cloned());
        let selectable = {
            let registry = registry.clone();
            move |storage: &str| {
                registry
                    .by_storage(storage)
                    .map(|resource| resource.selectable.clone())
                    .unwrap_or_default()
            }
        };
        let (store, changes) = Store::open(self.data_dir.as_deref(), self.history, &selectable)?;
        let stopping = CancellationToken::new();
        let core = Arc::new(Core {
            store,
            registry: ArcSwap::from_pointee(registry),
            built_in,
            compiled: definitions::compiled::Compiled::default(),
            hooks: self.hooks,
            pod_logs: RwLock::new(self.pod_logs),
            clock: self.clock,
            stopping: stopping.clone(),
            presence: ArcSwap::default(),
            bookmark_every: self.bookmark_every,
        });
        definitions::serve_defined(&core);
        bootstrap::run(&core).map_err(StartError::Bootstrap)?;
        let credentials = Credentials::load_or_make(self.data_dir.as_deref(), (self.clock)())?;
        let background = self
            .controllers
            .then(|| tokio::spawn(background::run(Arc::clone(&core), changes, stopping)));
        Ok(ApiServer {
            core,
            credentials: Arc::new(credentials),
            background: Mutex::new(background),
        })
    }
}

/// A running API server. It serves nobody until it is asked: see [`ApiServer::client`]
/// and [`ApiServer::serve`].
pub struct ApiServer {
    core: Arc<Core>,
    credentials: Arc<Credentials>,
    background: Mutex<Option<JoinHandle<()>>>,
}

impl ApiServer {
    /// Begins to build a server.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            data_dir: None,
            kinds: Vec::new(),
            hooks: Vec::new(),
            pod_logs: None,
            history: HISTORY,
            bookmark_every: BOOKMARK_EVERY,
            controllers: true,
            clock: Timestamp::now,
        }
    }

    /// The server as a tower service that trusts its caller: a [`User`] in the request's
    /// extensions is who asks, and without one it is the process itself.
    pub fn router(&self) -> Router {
        router(&self.core)
    }

    /// A client in this process: no socket, no TLS, no token.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(
            self.router().into_service::<kube::client::Body>(),
            "default",
        )
    }

    /// A client in this process that is somebody in particular to admission.
    pub fn client_as(&self, user: User) -> kube::Client {
        let router = self.router().layer(axum::Extension(user));
        kube::Client::new(router.into_service::<kube::client::Body>(), "default")
    }

    /// Serves HTTPS on an address (port 0 picks one) until it is shut down.
    pub async fn serve(&self, listen: std::net::SocketAddr) -> Result<Listening, ListenError> {
        listen::serve(self.router(), Arc::clone(&self.credentials), listen).await
    }

    /// Tells the server who keeps the logs of Pods.
    pub fn set_pod_logs(&self, keeper: Arc<dyn PodLogs>) {
        *self.core.pod_logs.write() = Some(keeper);
    }

    /// Forgets the past of a kind, so that watches from before have to list again
    /// (`410 Expired`), as a cluster does every few minutes.
    pub fn compact(&self, group: &str, plural: &str) {
        for resource in self.core.registry.load().all() {
            if resource.group == group && resource.plural == plural {
                self.core.store.compact(&resource.storage);
            }
        }
    }

    /// The server is away until what this gives is dropped: open watches end, and every
    /// request gets `503 ServiceUnavailable`, the cluster's own parts included. For rehearsals.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.core.presence.load().cancel();
        Outage(Arc::clone(&self.core))
    }

    /// Ends watches and logs, waits for the controllers and for the disk.
    pub async fn shutdown(&self) {
        self.core.stopping.cancel();
        let background = self.background.lock().take();
        if let Some(background) = background
            && let Err(error) = background.await
        {
            tracing::error!(%error, "the task of the API server's controllers ended with a panic");
        }
        let store = Arc::clone(&self.core.store);
        if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
            tracing::error!(%error, "the store did not close");
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.core.stopping.cancel();
    }
}

/// A time in which the server answers nobody.
pub struct Outage(Arc<Core>);

impl Drop for Outage {
    fn drop(&mut self) {
        self.0.presence.store(Arc::default());
    }
}

fn router(core: &Arc<Core>) -> Router {
    async fn all(State(core): State<Arc<Core>>, request: Request<Body>) -> http::Response<Body> {
        if core.presence.load().is_cancelled() {
            return ApiError::unavailable().into_response();
        }
        handle::handle(core, request).await
    }
    Router::new().fallback(all).with_state(Arc::clone(core))
}
