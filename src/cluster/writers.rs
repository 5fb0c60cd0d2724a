//! How many writes are on their way at a time, and how many of one kind.
//!
//! A webhook that hangs holds every write of its kinds until the request's time is over. It must not hold
//! those of other kinds: the status of a release, or the traffic that takes a bad one back.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::object::ObjectKey;

/// Writes that may be on their way at a time. Knative's webhooks take a few
/// milliseconds each, and the API server's own limit for one user is not far above.
pub(super) const WRITERS: usize = 12;
/// As many of them may be of one kind.
const OF_ONE_KIND: usize = 10;

/// Who may write now.
pub(super) struct Writers {
    all: Arc<Semaphore>,
    kinds: Mutex<HashMap<(String, String), Arc<Semaphore>>>,
}

/// The right to one write, until it is dropped.
pub(super) struct Turn {
    _one_of_all: Option<OwnedSemaphorePermit>,
    _one_of_its_kind: Option<OwnedSemaphorePermit>,
}

impl Writers {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(WRITERS)),
            kinds: Mutex::default(),
        }
    }

    /// Waits for a turn to write this object.
    pub(super) async fn turn(&self, key: &ObjectKey) -> Turn {
        let kind = {
            let mut kinds = self.kinds.lock();
            let kind = kinds
                .entry((key.group.clone(), key.kind.clone()))
                .or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_KIND)));
            Arc::clone(kind)
        };
        // Neither is ever closed. Its kind's first: who waits for that holds nothing of the others'.
        let of_its_kind = kind.acquire_owned().await.ok();
        Turn {
            _one_of_all: Arc::clone(&self.all).acquire_owned().await.ok(),
            _one_of_its_kind: of_its_kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_kind_whose_writes_hang_leaves_room_for_the_others() {
        let writers = Writers::new();
        let turn = |kind: &str, name: &str| {
            let key = ObjectKey::namespaced("", kind, "shop", name);
            writers.turn(&key).now_or_never()
        };
        let hanging: Vec<Turn> = (0..20)
            .filter_map(|n| turn("ConfigMap", &n.to_string()))
            .collect();
        assert_eq!(hanging.len(), OF_ONE_KIND);
        let other = turn("ServiceRollout", "hello");
        assert!(other.is_some(), "another kind has its turn at once");
        let more: Vec<Turn> = (0..20)
            .filter_map(|n| turn("Secret", &n.to_string()))
            .collect();
        assert_eq!(more.len(), WRITERS - OF_ONE_KIND - 1, "all in all");
        drop(hanging);
        assert!(turn("ConfigMap", "next").is_some());
    }
}
