//! Who is told that something in the cluster changed.
//!
//! A listener gets each changed object once, however often it changed meanwhile:
//! nothing is lost and nothing piles up, however slow the listener.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::api::object::ObjectKey;

/// The changes since the listener last looked.
pub struct Changes(Arc<Pending>);

#[derive(Default)]
struct Pending {
    keys: Mutex<BTreeSet<ObjectKey>>,
    wake: Notify,
}

/// Tells every listener.
#[derive(Default)]
pub(super) struct ChangeNotifier {
    listeners: Mutex<Vec<Weak<Pending>>>,
}

impl ChangeNotifier {
    pub(super) fn listen(&self) -> Changes {
        let pending = Arc::new(Pending::default());
        self.listeners.lock().push(Arc::downgrade(&pending));
        Changes(pending)
    }

    pub(super) fn tell(&self, key: &ObjectKey) {
        self.listeners.lock().retain(|listener| {
            let Some(pending) = listener.upgrade() else {
                return false;
            };
            if pending.keys.lock().insert(key.clone()) {
                pending.wake.notify_one();
            }
            true
        });
    }
}

impl Changes {
    /// Waits until something changed, and says what. Safe to drop and call again.
    pub async fn next(&self) -> BTreeSet<ObjectKey> {
        loop {
            let keys = std::mem::take(&mut *self.0.keys.lock());
            if !keys.is_empty() {
                return keys;
            }
            self.0.wake.notified().await;
        }
    }

    /// What changed, without waiting.
    pub fn take(&self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut *self.0.keys.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_listener_hears_of_each_object_once() {
        let speaker = ChangeNotifier::default();
        let (slow, other) = (speaker.listen(), speaker.listen());
        let key = |name: &str| ObjectKey::namespaced("", "ConfigMap", "default", name);
        for _ in 0..1000 {
            speaker.tell(&key("a"));
        }
        speaker.tell(&key("b"));
        assert_eq!(slow.next().await, BTreeSet::from([key("a"), key("b")]));
        assert!(slow.take().is_empty());
        drop(slow);
        speaker.tell(&key("c"));
        assert_eq!(other.next().await.len(), 3);
        assert_eq!(speaker.listeners.lock().len(), 1);
    }
}
