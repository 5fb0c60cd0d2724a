//! What the watches have seen: slim objects by key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::api::object::ObjectKey;
use crate::plan::LiveObject;

use super::changes::{ChangeNotifier, Changes};

/// Deletions that are remembered: more than the writes that can be on their way at once.
const DELETIONS: usize = 256;

/// Every watched object, and who is told of changes.
#[derive(Default)]
pub(super) struct Store {
    objects: RwLock<BTreeMap<ObjectKey, Arc<LiveObject>>>,
    /// The uids of what was deleted last: the answer to a write of ours may come in after
    /// the watch has shown that somebody deleted the object again.
    deleted: Mutex<VecDeque<String>>,
    speaker: ChangeNotifier,
}

impl Store {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<LiveObject>> {
        self.objects.read().get(key).cloned()
    }

    /// Every object of a kind, in a namespace or in all, by name.
    pub(super) fn list(
        &self,
        group: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Vec<Arc<LiveObject>> {
        let objects = self.objects.read();
        objects
            .range(first(group, kind, namespace)..)
            .take_while(|(key, _)| is_of(key, group, kind, namespace))
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    pub(super) fn listen(&self) -> Changes {
        self.speaker.listen()
    }

    /// Takes in what a watch or a write showed. An older state than the one we have
    /// is left out: an event from before our own write must not look like drift.
    pub(super) fn put(&self, object: Arc<LiveObject>) {
        let key = object.key.clone();
        {
            let mut objects = self.objects.write();
            if self.deleted.lock().contains(&object.uid) {
                return;
            }
            if let Some(known) = objects.get(&key)
                && known.uid == object.uid
                && (known.resource_version == object.resource_version
                    || is_older(&object.resource_version, &known.resource_version))
            {
                return;
            }
            objects.insert(key.clone(), object);
        }
        self.speaker.tell(&key);
    }

    /// Takes out what a watch saw deleted, unless a later incarnation has its place.
    pub(super) fn remove(&self, key: &ObjectKey, uid: &str) {
        {
            let mut objects = self.objects.write();
            let mut deleted = self.deleted.lock();
            if deleted.len() == DELETIONS {
                deleted.pop_front();
            }
            deleted.push_back(uid.to_owned());
            match objects.get(key) {
                Some(known) if known.uid == uid => objects.remove(key),
                _ => return,
            };
        }
        self.speaker.tell(key);
    }

    /// After a full list: what it did not show is gone.
    pub(super) fn retain(
        &self,
        group: &str,
        kind: &str,
        namespace: Option<&str>,
        seen: &BTreeSet<ObjectKey>,
    ) {
        let gone: Vec<ObjectKey> = {
            let mut objects = self.objects.write();
            let gone: Vec<ObjectKey> = objects
                .range(first(group, kind, namespace)..)
                .take_while(|(key, _)| is_of(key, group, kind, namespace))
                .filter(|(key, _)| !seen.contains(key))
                .map(|(key, _)| key.clone())
                .collect();
            for key in &gone {
                objects.remove(key);
            }
            gone
        };
        for key in gone {
            self.speaker.tell(&key);
        }
    }
}

fn first(group: &str, kind: &str, namespace: Option<&str>) -> ObjectKey {
    ObjectKey {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: String::new(),
    }
}

fn is_of(key: &ObjectKey, group: &str, kind: &str, namespace: Option<&str>) -> bool {
    key.group == group
        && key.kind == kind
        && (namespace.is_none() || key.namespace.as_deref() == namespace)
}

/// Resource versions are counters (comparable by contract since Kubernetes 1.35, in
/// fact always); what is no number is never older.
fn is_older(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a < b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, uid: &str, version: &str) -> Arc<LiveObject> {
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata":
            {"name": name, "namespace": "default", "uid": uid, "resourceVersion": version}});
        Arc::new(LiveObject::new(value).unwrap())
    }

    fn version_of(store: &Store, name: &str) -> Option<String> {
        let key = ObjectKey::namespaced("", "ConfigMap", "default", name);
        store.get(&key).map(|o| o.resource_version.clone())
    }

    #[test]
    fn an_event_from_before_our_write_does_not_undo_it_here() {
        let store = Store::default();
        store.put(object("a", "u", "9"));
        store.put(object("a", "u", "10"));
        store.put(object("a", "u", "9"));
        assert_eq!(version_of(&store, "a").as_deref(), Some("10"));
    }

    #[test]
    fn a_late_deletion_does_not_take_the_next_incarnation() {
        let store = Store::default();
        store.put(object("a", "new", "20"));
        let key = ObjectKey::namespaced("", "ConfigMap", "default", "a");
        store.remove(&key, "old");
        assert!(store.get(&key).is_some());
        store.remove(&key, "new");
        assert!(store.get(&key).is_none());
    }

    #[test]
    fn an_answer_that_comes_in_after_the_deletion_does_not_bring_the_object_back() {
        let store = Store::default();
        let key = ObjectKey::namespaced("", "ConfigMap", "default", "a");
        store.put(object("a", "first", "20"));
        store.remove(&key, "first");
        store.put(object("a", "first", "20"));
        assert!(store.get(&key).is_none());
        store.put(object("a", "second", "22"));
        assert!(store.get(&key).is_some(), "another one may have its name");
        for uid in 0..1000 {
            store.remove(&key, &uid.to_string());
        }
        assert_eq!(store.deleted.lock().len(), DELETIONS);
    }

    #[test]
    fn a_new_list_takes_away_what_it_no_longer_has_and_nothing_else() {
        let store = Store::default();
        store.put(object("a", "u", "1"));
        store.put(object("b", "u", "1"));
        let changes = store.listen();
        let seen = BTreeSet::from([ObjectKey::namespaced("", "ConfigMap", "default", "b")]);
        store.retain("", "ConfigMap", Some("other"), &BTreeSet::new());
        store.retain("", "Secret", None, &BTreeSet::new());
        store.retain("", "ConfigMap", None, &seen);
        assert_eq!(version_of(&store, "a"), None);
        assert!(version_of(&store, "b").is_some());
        assert_eq!(changes.take().len(), 1);
        assert_eq!(store.list("", "ConfigMap", None).len(), 1);
    }
}
