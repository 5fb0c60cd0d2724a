//! The objects of one kind, and the ring of its latest events.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Key, Stored};

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It is new.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// A change, as the ring remembers it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The revision of the change.
    pub revision: u64,
    /// What happened.
    pub kind: EventKind,
    /// The object after the change; for removals its last state.
    pub object: Arc<Stored>,
    /// The object before the change.
    pub previous: Option<Arc<Stored>>,
}

pub(super) struct KindStore {
    objects: BTreeMap<(String, String), Arc<Stored>>,
    ring: VecDeque<Event>,
    history: usize,
    /// Changes up to this revision are forgotten.
    compacted: u64,
    news: watch::Sender<u64>,
}

impl KindStore {
    pub fn new(history: usize, compacted: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            ring: VecDeque::new(),
            history,
            compacted,
            news: watch::Sender::new(0),
        }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.objects
            .get(&(key.namespace.clone(), key.name.clone()))
            .cloned()
    }

    pub fn list(&self, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        match namespace {
            None => self.objects.values().cloned().collect(),
            Some(namespace) => self
                .objects
                .range((
                    Bound::Included((namespace.to_owned(), String::new())),
                    Bound::Unbounded,
                ))
                .take_while(|((in_namespace, _), _)| in_namespace == namespace)
                .map(|(_, object)| Arc::clone(object))
                .collect(),
        }
    }

    /// The objects as they were at a revision, if the ring reaches back so far.
    pub fn list_at(&self, namespace: Option<&str>, revision: u64) -> Option<Vec<Arc<Stored>>> {
        if revision < self.compacted {
            return None;
        }
        let later = self
            .ring
            .partition_point(|event| event.revision <= revision);
        if later == self.ring.len() {
            return Some(self.list(namespace));
        }
        let mut objects: BTreeMap<_, _> = self
            .list(namespace)
            .into_iter()
            .map(|object| (object.key.clone(), object))
            .collect();
        for event in self.ring.range(later..).rev() {
            let key = &event.object.key;
            if namespace.is_some_and(|namespace| namespace != key.namespace) {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(key.clone(), Arc::clone(previous)),
                None => objects.remove(key),
            };
        }
        Some(objects.into_values().collect())
    }

    pub fn put(&mut self, object: Arc<Stored>) {
        self.objects.insert(
            (object.key.namespace.clone(), object.key.name.clone()),
            object,
        );
    }

    pub fn apply(&mut self, event: Event) {
        match event.kind {
            EventKind::Added | EventKind::Modified => self.put(Arc::clone(&event.object)),
            EventKind::Deleted => {
                let key = &event.object.key;
                self.objects
                    .remove(&(key.namespace.clone(), key.name.clone()));
            }
        }
        self.ring.push_back(event);
        while self.ring.len() > self.history {
            if let Some(forgotten) = self.ring.pop_front() {
                self.compacted = forgotten.revision;
            }
        }
    }

    pub fn compact(&mut self, revision: u64) {
        self.ring.clear();
        self.compacted = revision;
        self.news.send_replace(revision);
    }

    pub fn news(&self) -> watch::Sender<u64> {
        self.news.clone()
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// See [`super::Store::events_after`]; events past `shown` are not on disk yet.
    pub fn events_after(
        &self,
        revision: u64,
        shown: u64,
        limit: usize,
    ) -> Option<(Vec<Event>, u64)> {
        if revision < self.compacted {
            return None;
        }
        let start = self
            .ring
            .partition_point(|event| event.revision <= revision);
        let events: Vec<Event> = self
            .ring
            .range(start..)
            .take_while(|event| event.revision <= shown)
            .take(limit)
            .cloned()
            .collect();
        let told = match events.last() {
            Some(last) if events.len() == limit => last.revision,
            _ => shown.max(revision),
        };
        Some((events, told))
    }
}
