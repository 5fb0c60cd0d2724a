//! What the controllers know of the cluster: one store for each kind, fed by one watch,
//! and indices so that no decision has to go through a whole list.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::api::ApiResource;
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::Event;
use parking_lot::RwLock;

use super::kind::Kind;
use super::object::{Object, ObjectExt, key, list, text};

/// Namespace and name.
pub type Name = (String, String);

/// One kind's objects.
pub struct Shelf {
    kind: Kind,
    resource: ApiResource,
    store: Store<Object>,
    index: RwLock<Index>,
}

/// Index entries to the objects that carry them, and back, to forget them again.
#[derive(Default)]
struct Index {
    objects: HashMap<(String, Entry), BTreeSet<String>>,
    entries: HashMap<Name, Vec<Entry>>,
}

/// By what an object is found besides its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Controlled by the object with this UID.
    Owner(String),
    /// Cut from this Configuration.
    Configuration(String),
    /// Noted or labelled as this Route's.
    Route(String),
    /// Names this object in its traffic.
    Target(Kind, String),
}

impl Shelf {
    fn new(kind: Kind) -> (Arc<Self>, Writer<Object>) {
        let resource = kind.resource();
        let writer = Writer::new(resource.clone());
        let shelf = Arc::new(Self {
            kind,
            resource,
            store: writer.as_reader(),
            index: RwLock::default(),
        });
        (shelf, writer)
    }

    /// The store behind the shelf.
    pub fn store(&self) -> Store<Object> {
        self.store.clone()
    }

    /// The reference by which the store knows an object.
    pub fn reference(&self, namespace: &str, name: &str) -> ObjectRef<Object> {
        ObjectRef::new_with(name, self.resource.clone()).within(namespace)
    }

    /// An object by name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.store.get(&self.reference(namespace, name))
    }

    /// The names of the objects with an index entry, sorted.
    pub fn names(&self, namespace: &str, entry: &Entry) -> Vec<String> {
        self.index
            .read()
            .objects
            .get(&(namespace.to_owned(), entry.clone()))
            .map(|names| names.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The objects with an index entry, by name.
    pub fn find(&self, namespace: &str, entry: &Entry) -> Vec<Arc<Object>> {
        self.names(namespace, entry)
            .iter()
            .filter_map(|name| self.get(namespace, name))
            .collect()
    }

    /// Takes an event of the watch: the index first, so that it is never behind.
    pub fn take(&self, writer: &mut Writer<Object>, event: &Event<Object>) {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                self.index.write().set(object, entries(self.kind, object));
            }
            Event::Delete(object) => self.index.write().set(object, Vec::new()),
            // What is gone after a restart is found missing in the store.
            Event::Init | Event::InitDone => {}
        }
        writer.apply_watcher_event(event);
    }
}

impl Index {
    fn set(&mut self, object: &Object, new: Vec<Entry>) {
        let name = (object.namespace().to_owned(), object.name().to_owned());
        let old = if new.is_empty() {
            self.entries.remove(&name)
        } else {
            self.entries.insert(name.clone(), new.clone())
        };
        let (namespace, name) = name;
        for entry in old.into_iter().flatten() {
            if new.contains(&entry) {
                continue;
            }
            let place = (namespace.clone(), entry);
            if let Some(names) = self.objects.get_mut(&place) {
                names.remove(&name);
                if names.is_empty() {
                    self.objects.remove(&place);
                }
            }
        }
        for entry in new {
            self.objects
                .entry((namespace.clone(), entry))
                .or_default()
                .insert(name.clone());
        }
    }
}

/// The index entries of an object.
fn entries(kind: Kind, object: &Object) -> Vec<Entry> {
    let mut entries = Vec::new();
    match kind {
        Kind::Revision => {
            entries.extend(
                object
                    .label(key::CONFIGURATION)
                    .map(|name| Entry::Configuration(name.to_owned())),
            );
            entries.extend(object.routes().into_iter().map(Entry::Route));
        }
        Kind::Configuration => entries.extend(object.routes().into_iter().map(Entry::Route)),
        Kind::Route => {
            for part in [object.spec(), object.status()] {
                for target in list(part, "traffic") {
                    for (kind, key) in [
                        (Kind::Revision, "revisionName"),
                        (Kind::Configuration, "configurationName"),
                    ] {
                        let name = text(target, key);
                        let entry = Entry::Target(kind, name.to_owned());
                        if !name.is_empty() && !entries.contains(&entry) {
                            entries.push(entry);
                        }
                    }
                }
            }
        }
        Kind::CoreService => entries.extend(
            object
                .label(key::ROUTE)
                .map(|name| Entry::Route(name.to_owned())),
        ),
        Kind::Pod => entries.extend(
            object
                .controller()
                .map(|owner| Entry::Owner(owner.uid.clone())),
        ),
        Kind::Service | Kind::PodAutoscaler | Kind::Ingress | Kind::Deployment => {}
    }
    entries
}

/// All shelves.
pub struct Cache {
    shelves: HashMap<Kind, Arc<Shelf>>,
    /// For kinds that are not in the table; there are none.
    nothing: Arc<Shelf>,
    /// One task at a time waits for a store: a store wakes only the last that asked
    /// (`DelayedInit` in kube-runtime keeps one waker), and the others would wait for ever.
    turn: tokio::sync::Mutex<()>,
}

impl Cache {
    /// Empty shelves and the writers that fill them.
    pub fn new() -> (Self, Vec<(Kind, Writer<Object>)>) {
        let mut shelves = HashMap::new();
        let mut writers = Vec::new();
        for kind in Kind::ALL {
            let (shelf, writer) = Shelf::new(kind);
            shelves.insert(kind, shelf);
            writers.push((kind, writer));
        }
        let (nothing, _) = Shelf::new(Kind::Service);
        let turn = tokio::sync::Mutex::new(());
        (
            Self {
                shelves,
                nothing,
                turn,
            },
            writers,
        )
    }

    /// The shelf of a kind.
    pub fn of(&self, kind: Kind) -> &Arc<Shelf> {
        self.shelves.get(&kind).unwrap_or(&self.nothing)
    }

    /// An object by kind and name.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.of(kind).get(namespace, name)
    }

    /// The object's controller, where it is of that kind.
    pub fn owner_name(&self, object: &Object, kind: Kind) -> Option<Name> {
        let owner = object.controller()?;
        (owner.kind == kind.name() && owner.api_version == kind.api_version())
            .then(|| (object.namespace().to_owned(), owner.name.clone()))
    }

    /// Waits until every shelf has been filled once. The error says that a watch ended.
    ///
    /// For one waiter only: a store wakes no more than one.
    pub async fn filled(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        let _turn = self.turn.lock().await;
        for shelf in self.shelves.values() {
            shelf.store.wait_until_ready().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn everyone_who_waits_for_the_shelves_is_told() {
        let (cache, writers) = Cache::new();
        let cache = Arc::new(cache);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.filled().await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(cache.filled().now_or_never().is_none());
        for (_, mut writer) in writers {
            writer.apply_watcher_event(&Event::Init);
            writer.apply_watcher_event(&Event::InitDone);
        }
        let all = futures::future::join_all(waiting);
        let told = tokio::time::timeout(std::time::Duration::from_secs(10), all).await;
        assert!(
            told.expect("nobody waits on")
                .into_iter()
                .all(|told| told.unwrap())
        );
    }
}
