//! One reflector a kind: list once, then follow, through whatever happens.
//!
//! An expired watch lists again, a lost server is asked again with growing
//! waits, and what was known stays known meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::object::ObjectKey;
use crate::backoff::Backoff;
use crate::plan::LiveObject;

use super::FIRST_WAIT;
use super::error::words;
use super::kinds::Kind;
use super::store::Store;

/// Longest wait between two tries: short, since a release may be waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Objects a page of the first list: a page is the peak of what is unslimmed in memory.
const PAGE: u32 = 100;

/// How a watch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// The first list is on its way.
    Starting,
    /// The store has what the server has.
    Synced,
    /// The server does not answer; the store has what was known before.
    Lost {
        /// The server's or the network's words.
        error: String,
    },
    /// The credentials do not allow it.
    Forbidden {
        /// The server's words.
        error: String,
    },
    /// The server has no such kind any more.
    NoSuchKind,
}

/// Whether the API server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// It does.
    Reached,
    /// It does not.
    Lost {
        /// Since when.
        since: Timestamp,
        /// What the last try met.
        error: String,
    },
}

/// Resolves each time the API server answers again after it did not.
pub async fn back(reach: &mut watch::Receiver<Connectivity>) {
    while reach.changed().await.is_ok() {
        if *reach.borrow_and_update() == Connectivity::Reached {
            return;
        }
    }
    // The agent is stopping.
    std::future::pending().await
}

/// What is watched: a kind, everywhere or in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
}

/// All watches of a cluster.
pub(super) struct Watches {
    running: Mutex<BTreeMap<Target, watch::Receiver<WatchState>>>,
    reach: watch::Sender<Connectivity>,
    recovered: Arc<Mutex<Option<Timestamp>>>,
    back: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Watches {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            running: Mutex::default(),
            reach: watch::Sender::new(Connectivity::Reached),
            recovered: Arc::default(),
            back: Arc::default(),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    pub(super) fn reach(&self) -> watch::Receiver<Connectivity> {
        self.reach.subscribe()
    }

    /// When the last watch that was lost had caught up; `None` where none ever was.
    pub(super) fn recovered(&self) -> Option<Timestamp> {
        *self.recovered.lock()
    }

    /// How a watch stands; `None` where there is none.
    pub(super) fn state(&self, target: &Target) -> Option<WatchState> {
        self.running
            .lock()
            .get(target)
            .map(|state| state.borrow().clone())
    }

    /// Whether a watch keeps its part of the store up to date, if need be after an outage.
    pub(super) fn keeps(&self, target: &Target) -> bool {
        matches!(
            self.state(target),
            Some(WatchState::Starting | WatchState::Synced | WatchState::Lost { .. })
        )
    }

    /// Starts a watch unless it runs, and tells how it goes.
    pub(super) fn start(
        &self,
        client: &Client,
        store: &Arc<Store>,
        kind: &Kind,
        target: Target,
    ) -> watch::Receiver<WatchState> {
        let mut running = self.running.lock();
        if let Some(state) = running.get(&target) {
            return state.clone();
        }
        let (state, told) = watch::channel(WatchState::Starting);
        let task = Task {
            api: match &target.namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource),
                None => Api::all_with(client.clone(), &kind.resource),
            },
            kind: kind.clone(),
            target: target.clone(),
            store: Arc::clone(store),
            state,
            reach: self.reach.clone(),
            recovered: Arc::clone(&self.recovered),
            back: Arc::clone(&self.back),
            listed: None,
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task.run() => {}
            }
        });
        running.insert(target, told.clone());
        told
    }

    /// Waits until every watch has ended. Cancel the token first.
    pub(super) async fn join(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Task {
    api: Api<DynamicObject>,
    kind: Kind,
    target: Target,
    store: Arc<Store>,
    state: watch::Sender<WatchState>,
    reach: watch::Sender<Connectivity>,
    recovered: Arc<Mutex<Option<Timestamp>>>,
    back: Arc<Notify>,
    listed: Option<BTreeSet<ObjectKey>>,
}

impl Task {
    async fn run(mut self) {
        let config = watcher::Config::default().page_size(PAGE);
        let mut events = pin!(watcher::watcher(self.api.clone(), config));
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    if self.take(event) {
                        backoff.reset();
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    let wait = backoff.failed(rand::random());
                    // Another watch that got through says that the server is back.
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.back.notified() => {}
                    }
                }
            }
        }
    }

    /// Takes in an event; `true` where it shows that the server answers.
    fn take(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                return false;
            }
            Event::InitApply(object) => {
                if let Some(live) = slim(object, &self.kind) {
                    if let Some(listed) = &mut self.listed {
                        listed.insert(live.key.clone());
                    }
                    self.store.put(Arc::new(live));
                }
            }
            Event::InitDone => {
                if let Some(listed) = self.listed.take() {
                    let namespace = self.target.namespace.as_deref();
                    let (group, kind) = (&self.target.group, &self.target.kind);
                    self.store.retain(group, kind, namespace, &listed);
                }
                let before = self.state.send_replace(WatchState::Synced);
                if matches!(before, WatchState::Lost { .. }) {
                    *self.recovered.lock() = Some(Timestamp::now());
                }
            }
            Event::Apply(object) => {
                if let Some(live) = slim(object, &self.kind) {
                    self.store.put(Arc::new(live));
                }
                self.synced_again();
            }
            Event::Delete(object) => {
                if let Some(live) = slim(object, &self.kind) {
                    self.store.remove(&live.key, &live.uid);
                }
                self.synced_again();
            }
        }
        self.reached();
        true
    }

    /// A watch that was resumed lists nothing: its next event says that it works again.
    fn synced_again(&self) {
        let was_lost = self.state.send_if_modified(|state| {
            let lost = matches!(state, WatchState::Lost { .. });
            if lost {
                *state = WatchState::Synced;
            }
            lost
        });
        if was_lost {
            *self.recovered.lock() = Some(Timestamp::now());
        }
    }

    fn reached(&self) {
        let was_lost = self.reach.send_if_modified(|reach| match reach {
            Connectivity::Reached => false,
            Connectivity::Lost { since, .. } => {
                tracing::info!(since = %since, "the API server answers again");
                *reach = Connectivity::Reached;
                true
            }
        });
        if was_lost {
            self.back.notify_waiters();
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        let (code, message) = describe(error);
        match code {
            // Gone: the events since are no longer kept; the next list has everything.
            Some(410) => {}
            Some(403) => {
                self.state
                    .send_replace(WatchState::Forbidden { error: message });
            }
            Some(404) => {
                let namespace = self.target.namespace.as_deref();
                let (group, kind) = (&self.target.group, &self.target.kind);
                self.store.retain(group, kind, namespace, &BTreeSet::new());
                self.state.send_replace(WatchState::NoSuchKind);
            }
            _ => {
                self.reach.send_if_modified(|reach| match reach {
                    Connectivity::Reached => {
                        tracing::warn!(error = %message, "the API server does not answer; trying again");
                        *reach = Connectivity::Lost { since: Timestamp::now(), error: message.clone() };
                        true
                    }
                    Connectivity::Lost { .. } => false,
                });
                self.state.send_if_modified(|state| {
                    // Before the first list there is nothing that could be lost.
                    let known = matches!(state, WatchState::Synced);
                    if known {
                        *state = WatchState::Lost { error: message };
                    }
                    known
                });
            }
        }
    }
}

fn describe(error: &watcher::Error) -> (Option<u16>, String) {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    match status {
        Some(status) => (Some(status.code), status.message.clone()),
        None => (None, words(error)),
    }
}

/// An object as the client gives it, slimmed.
pub(super) fn slim(object: DynamicObject, kind: &Kind) -> Option<LiveObject> {
    let api_version = DynamicObject::api_version(&kind.resource).into_owned();
    let mut value = object.data;
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".into(), api_version.into());
    fields.insert("kind".into(), kind.resource.kind.clone().into());
    fields.insert(
        "metadata".into(),
        serde_json::to_value(object.metadata).ok()?,
    );
    LiveObject::new(value)
}
