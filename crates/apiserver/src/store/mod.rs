//! Stores the objects: one collection (a `Shelf`) a kind, one revision counter for all, and a bounded
//! ring of events a collection that watches are fed from.
//!
//! Objects are kept as the bytes that are sent, serialised once when they are
//! written, with what selectors and garbage collection ask for beside them. With a
//! journal nothing is shown to anyone before it is on disk: see [`Store::durable`].

pub mod empties;
mod journal;
mod kind_store;
pub mod selector;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use self::empties::take_empties;
use crate::json::object;
pub use journal::JournalError;
use journal::{Journal, Record};
use kind_store::KindStore;
pub use kind_store::{Event, EventKind};

/// Where an object is: its shelf, namespace (empty for cluster-scoped) and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The shelf.
    pub storage: String,
    /// The namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// An object at one revision.
#[derive(Debug)]
pub struct Stored {
    /// Where it is.
    pub key: Key,
    /// `metadata.uid`.
    pub uid: String,
    /// The revision it was written at: `metadata.resourceVersion`.
    pub revision: u64,
    /// The object as JSON, as it is sent.
    pub body: Bytes,
    /// `metadata.labels`.
    pub labels: Vec<(String, String)>,
    /// The values of the kind's selectable fields.
    pub fields: Vec<(String, String)>,
    /// The uids in `metadata.ownerReferences`.
    pub owners: Vec<String>,
    /// Whether deletion was asked for.
    pub terminating: bool,
    /// What it has in its metadata that is empty, and that nobody is shown.
    pub empties: Vec<&'static str>,
}

impl Stored {
    fn new(key: Key, revision: u64, mut value: Value, selectable: &[String]) -> Self {
        object::set_meta(&mut value, "resourceVersion", revision.to_string());
        let empties = take_empties(&mut value);
        let body = Bytes::from(value.to_string());
        Self {
            empties,
            ..Self::from_parts(key, revision, &value, body, selectable)
        }
    }

    fn from_parts(
        key: Key,
        revision: u64,
        value: &Value,
        body: Bytes,
        selectable: &[String],
    ) -> Self {
        let labels = object::meta(value, "labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        let owners = object::meta(value, "ownerReferences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|owner| Some(owner.get("uid")?.as_str()?.to_owned()))
            .collect();
        Self {
            uid: object::uid(value).to_owned(),
            revision,
            body,
            labels,
            fields: selectable
                .iter()
                .map(|path| (path.clone(), object::text_at(value, path)))
                .collect(),
            owners,
            terminating: object::is_terminating(value),
            empties: Vec::new(),
            key,
        }
    }

    /// The object, parsed.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A write lost its race, or came from an older state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Race;

/// What happened to an object, for whoever keeps house behind the requests.
#[derive(Debug, Clone)]
pub struct Change {
    /// The object as it is now, or was at its end.
    pub object: Arc<Stored>,
    /// What happened.
    pub kind: EventKind,
}

/// The store was closed or could not write to its disk.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store cannot write to its data directory any more; see the log, free the disk and start again"
)]
pub struct Broken;

struct Inner {
    revision: u64,
    started_at: u64,
    shelves: HashMap<String, KindStore>,
    by_uid: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
}

/// The objects of the cluster.
pub struct Store {
    inner: RwLock<Inner>,
    journal: Option<Journal>,
    durable: watch::Sender<u64>,
    feed: mpsc::UnboundedSender<Change>,
    history: usize,
}

impl Store {
    /// A store in memory, or kept in a directory. `history` bounds the events that a
    /// shelf remembers. The receiver is told of every change.
    pub fn open(
        dir: Option<&Path>,
        history: usize,
        selectable: &dyn Fn(&str) -> Vec<String>,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Change>), JournalError> {
        let (feed, changes) = mpsc::unbounded_channel();
        let mut inner = Inner {
            revision: 1,
            started_at: 0,
            shelves: HashMap::new(),
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
        };
        let durable = watch::Sender::new(1);
        let journal = match dir {
            None => None,
            Some(dir) => {
                let (journal, kept) = Journal::open(dir, durable.clone())?;
                inner.load(kept, history, selectable);
                durable.send_replace(inner.revision);
                Some(journal)
            }
        };
        let store = Self {
            inner: RwLock::new(inner),
            journal,
            durable,
            feed,
            history,
        };
        Ok((Arc::new(store), changes))
    }

    /// The latest revision that anyone may have been told of.
    pub fn revision(&self) -> u64 {
        *self.durable.borrow()
    }

    /// Returns when everything up to the revision is on disk (at once without a journal).
    pub async fn durable(&self, revision: u64) -> Result<(), Broken> {
        if self.revision() >= revision {
            return Ok(());
        }
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        let mut seen = self.durable.subscribe();
        tokio::select! {
            found = seen.wait_for(|at| *at >= revision) => found.map(|_| ()).map_err(|_| Broken),
            () = journal.broken() => Err(Broken),
        }
    }

    /// The object, if it is there.
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.inner.read().shelves.get(&key.storage)?.get(key)
    }

    /// The object, if it is there, and the revision at which this was so.
    pub fn get_at(&self, key: &Key) -> (u64, Option<Arc<Stored>>) {
        let inner = self.inner.read();
        let found = inner
            .shelves
            .get(&key.storage)
            .and_then(|kind_store| kind_store.get(key));
        (inner.revision, found)
    }

    /// The objects of a kind, in one namespace or all, ordered by namespace and name,
    /// and the revision at which this was so.
    pub fn list(&self, storage: &str, namespace: Option<&str>) -> (u64, Vec<Arc<Stored>>) {
        let inner = self.inner.read();
        let found = inner
            .shelves
            .get(storage)
            .map(|kind_store| kind_store.list(namespace))
            .unwrap_or_default();
        (inner.revision, found)
    }

    /// The objects of a kind as they were at a revision. `None`: it is forgotten.
    pub fn list_at(
        &self,
        storage: &str,
        namespace: Option<&str>,
        revision: u64,
    ) -> Option<Vec<Arc<Stored>>> {
        let inner = self.inner.read();
        match inner.shelves.get(storage) {
            None => Some(Vec::new()),
            Some(kind_store) => kind_store.list_at(namespace, revision),
        }
    }

    /// All objects of all kinds in a namespace (`None`: everywhere).
    pub fn everything(&self, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let inner = self.inner.read();
        inner
            .shelves
            .values()
            .flat_map(|kind_store| kind_store.list(namespace))
            .collect()
    }

    /// The objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<Arc<Stored>> {
        let inner = self.inner.read();
        inner
            .dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|key| inner.shelves.get(&key.storage)?.get(key))
            .collect()
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Stored>> {
        let inner = self.inner.read();
        let key = inner.by_uid.get(uid)?;
        inner.shelves.get(&key.storage)?.get(key)
    }

    /// Writes the object if what is there now is at `expected` (`None`: nothing is there).
    /// `selectable` are the paths that field selectors may use. A deletion marker set by the caller stays; the resource version is the store's.
    pub fn write(
        &self,
        selectable: &[String],
        key: Key,
        expected: Option<u64>,
        value: Value,
    ) -> Result<Arc<Stored>, Race> {
        let mut inner = self.inner.write();
        let kind_store = inner.kind_store(&key.storage, self.history);
        let previous = kind_store.get(&key);
        if previous.as_ref().map(|object| object.revision) != expected {
            return Err(Race);
        }
        inner.revision += 1;
        let revision = inner.revision;
        let stored = Arc::new(Stored::new(key, revision, value, selectable));
        inner.index(previous.as_deref(), Some(&stored));
        let kind = match previous {
            None => EventKind::Added,
            Some(_) => EventKind::Modified,
        };
        self.publish(&mut inner, kind, Arc::clone(&stored), previous);
        Ok(stored)
    }

    /// Removes the object if it is at `expected`; answers its last state, at the revision of its
    /// removal.
    pub fn remove(&self, key: &Key, expected: u64) -> Result<Arc<Stored>, Race> {
        let mut inner = self.inner.write();
        let kind_store = inner.kind_store(&key.storage, self.history);
        let previous = kind_store
            .get(key)
            .filter(|object| object.revision == expected)
            .ok_or(Race)?;
        inner.revision += 1;
        let revision = inner.revision;
        let mut value = previous.value();
        object::set_meta(&mut value, "resourceVersion", revision.to_string());
        let last = Arc::new(Stored {
            key: key.clone(),
            uid: previous.uid.clone(),
            revision,
            body: Bytes::from(value.to_string()),
            labels: previous.labels.clone(),
            fields: previous.fields.clone(),
            owners: previous.owners.clone(),
            terminating: previous.terminating,
            empties: Vec::new(),
        });
        inner.index(Some(&previous), None);
        self.publish(
            &mut inner,
            EventKind::Deleted,
            Arc::clone(&last),
            Some(previous),
        );
        Ok(last)
    }

    /// The events of a shelf after a revision, at most `limit`, and the revision up to
    /// which the answer tells everything. `None`: the ring does not reach back so far.
    pub fn events_after(
        &self,
        storage: &str,
        revision: u64,
        limit: usize,
    ) -> Option<(Vec<Event>, u64)> {
        let shown = self.revision();
        let inner = self.inner.read();
        match inner.shelves.get(storage) {
            None => Some((Vec::new(), shown)),
            Some(kind_store) => kind_store.events_after(revision, shown, limit),
        }
    }

    /// Wakes whenever a shelf may have news.
    pub fn subscribe(&self, storage: &str) -> watch::Receiver<u64> {
        self.inner
            .write()
            .kind_store(storage, self.history)
            .subscribe()
    }

    /// Forgets a shelf's past: its watchers have to list again.
    pub fn compact(&self, storage: &str) {
        let mut inner = self.inner.write();
        let revision = inner.revision;
        inner.kind_store(storage, self.history).compact(revision);
    }

    /// Ends the journal: everything written so far is on disk afterwards.
    pub fn close(&self) {
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }

    fn publish(
        &self,
        inner: &mut Inner,
        kind: EventKind,
        object: Arc<Stored>,
        previous: Option<Arc<Stored>>,
    ) {
        let revision = object.revision;
        let kind_store = inner.kind_store(&object.key.storage, self.history);
        kind_store.apply(Event {
            revision,
            kind,
            object: Arc::clone(&object),
            previous,
        });
        match &self.journal {
            Some(journal) => journal.append(Record {
                revision,
                object: Arc::clone(&object),
                removed: kind == EventKind::Deleted,
                news: kind_store.news(),
            }),
            None => {
                self.durable.send_replace(revision);
                kind_store.news().send_replace(revision);
            }
        }
        // Nobody keeping house (a server that is shutting down) is no reason to fail.
        let _ = self.feed.send(Change { object, kind });
    }
}

impl Inner {
    fn kind_store(&mut self, storage: &str, history: usize) -> &mut KindStore {
        // A shelf that is new in this run knows all of its own past, save what a
        // former run did: nothing before this run's first revision is remembered.
        let started_at = self.started_at;
        self.shelves
            .entry(storage.to_owned())
            .or_insert_with(|| KindStore::new(history, started_at))
    }

    fn load(
        &mut self,
        kept: journal::Kept,
        history: usize,
        selectable: &dyn Fn(&str) -> Vec<String>,
    ) {
        self.revision = kept.revision.max(1);
        self.started_at = kept.revision;
        for (key, body) in kept.objects {
            let Ok(value) = serde_json::from_slice::<Value>(&body) else {
                tracing::error!(storage = %key.storage, namespace = %key.namespace, name = %key.name,
                    "an object in the data directory cannot be read and is left out");
                continue;
            };
            let revision = object::meta_str(&value, "resourceVersion")
                .parse()
                .unwrap_or(1);
            let fields = selectable(&key.storage);
            let stored = Arc::new(Stored::from_parts(key, revision, &value, body, &fields));
            self.index(None, Some(&stored));
            self.kind_store(&stored.key.storage.clone(), history)
                .put(stored);
        }
    }

    fn index(&mut self, previous: Option<&Stored>, next: Option<&Stored>) {
        if let Some(previous) = previous {
            for owner in &previous.owners {
                if let Some(keys) = self.dependents.get_mut(owner) {
                    keys.remove(&previous.key);
                    if keys.is_empty() {
                        self.dependents.remove(owner);
                    }
                }
            }
            self.by_uid.remove(&previous.uid);
        }
        if let Some(next) = next {
            for owner in &next.owners {
                self.dependents
                    .entry(owner.clone())
                    .or_default()
                    .insert(next.key.clone());
            }
            self.by_uid.insert(next.uid.clone(), next.key.clone());
        }
    }
}
