//! What the autoscaler is told: the load of each revision, and a poke when it cannot
//! wait for the next tick.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    backend::{Backend, RevisionKey},
    instance::Instance,
};
use crate::pod_requests::PodRequests;

/// The gateway's clock and the bell that wakes the autoscaler.
#[derive(Debug)]
pub struct LoadSignal {
    started: Instant,
    bell: Notify,
    poked: Mutex<BTreeSet<RevisionKey>>,
}

impl Default for LoadSignal {
    fn default() -> Self {
        LoadSignal {
            started: Instant::now(),
            bell: Notify::new(),
            poked: Mutex::default(),
        }
    }
}

impl LoadSignal {
    /// Wakes the autoscaler: a request waits for this revision, or its instances
    /// changed.
    pub fn poke(&self, key: &RevisionKey) {
        self.poked.lock().insert(key.clone());
        self.bell.notify_one();
    }

    /// Milliseconds since the gateway started, plus one: 0 is "never".
    pub fn now_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }
}

/// The load of one revision at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests at instances.
    pub in_flight: usize,
    /// Requests in line.
    pub waiting: usize,
    /// Instances that take requests.
    pub ready: usize,
    /// Time since a request last began, waited or ended; `None`: never.
    pub idle: Option<Duration>,
}

/// Every revision's backend; the autoscaler's window on the gateway.
///
/// The lock guards the set of revisions, not their state: requests never take it.
#[derive(Clone, Debug, Default)]
pub struct LoadTracker {
    signal: Arc<LoadSignal>,
    backends: Arc<Mutex<HashMap<RevisionKey, Arc<Backend>>>>,
    /// Instances by the uid of their Pod, also those that are out of service and have
    /// requests left: those keep them alive.
    instances: Arc<Mutex<HashMap<String, Weak<Instance>>>>,
}

impl LoadTracker {
    /// The backend of a revision, made when it is first named.
    pub fn backend(&self, key: &RevisionKey) -> Arc<Backend> {
        let mut backends = self.backends.lock();
        if let Some(backend) = backends.get(key) {
            return backend.clone();
        }
        let backend = Arc::new(Backend::new(key.clone(), self.signal.clone()));
        backends.insert(key.clone(), backend.clone());
        backend
    }

    /// The backend of a revision if there is one.
    pub fn find(&self, key: &RevisionKey) -> Option<Arc<Backend>> {
        self.backends.lock().get(key).cloned()
    }

    /// All backends, in order of name.
    pub fn all(&self) -> Vec<Arc<Backend>> {
        let mut all: Vec<_> = self.backends.lock().values().cloned().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Forgets a revision and its counters; requests that wait for it are refused.
    pub fn forget(&self, key: &RevisionKey) {
        let removed = self.backends.lock().remove(key);
        if let Some(backend) = removed {
            backend.close();
        }
    }

    /// Remembers an instance for who will ask whether its requests are answered.
    pub fn note(&self, instance: &Arc<Instance>) {
        let mut instances = self.instances.lock();
        instances.retain(|_, known| known.strong_count() > 0);
        instances.insert(instance.pod().to_owned(), Arc::downgrade(instance));
    }

    /// The load of a revision; all zero for one the gateway has not met.
    pub fn load(&self, key: &RevisionKey) -> Load {
        let Some(backend) = self.find(key) else {
            return Load::default();
        };
        let last = backend.last_active_millis();
        let idle = (last > 0)
            .then(|| Duration::from_millis(self.signal.now_millis().saturating_sub(last)));
        let ready = backend
            .endpoints()
            .instances
            .iter()
            .filter(|i| !i.is_retired())
            .count();
        Load {
            in_flight: backend.in_flight(),
            waiting: backend.waiting(),
            ready,
            idle,
        }
    }

    /// See [`Backend::retire_if_idle`]; a revision the gateway has not met is idle.
    pub fn retire_if_idle(&self, key: &RevisionKey) -> bool {
        self.find(key)
            .is_none_or(|backend| backend.retire_if_idle())
    }

    /// See [`Backend::restore`].
    pub fn restore(&self, key: &RevisionKey) {
        if let Some(backend) = self.find(key) {
            backend.restore();
        }
    }

    /// Resolves when requests wait for revisions without instances, or the instances
    /// of some changed, and names them.
    pub async fn poked(&self) -> BTreeSet<RevisionKey> {
        loop {
            let poked = std::mem::take(&mut *self.signal.poked.lock());
            if !poked.is_empty() {
                return poked;
            }
            self.signal.bell.notified().await;
        }
    }
}

impl PodRequests for LoadTracker {
    fn answered(&self, uid: &str) -> BoxFuture<'static, ()> {
        let instance = self.instances.lock().get(uid).and_then(Weak::upgrade);
        async move {
            if let Some(instance) = instance {
                instance.emptied().await;
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::backend::Endpoints;

    #[test]
    fn a_pod_is_done_when_its_last_request_is_also_when_it_is_out_of_service() {
        let demand = LoadTracker::default();
        let backend = demand.backend(&RevisionKey::new("default", "hello-1"));
        let instance = Arc::new(Instance::new("u1:4000", ([127, 0, 0, 1], 4000).into()));
        demand.note(&instance);
        let instances = vec![instance];
        backend.set_endpoints(Endpoints {
            instances,
            ..Endpoints::default()
        });
        let (first, second) = (backend.try_acquire().unwrap(), backend.try_acquire());
        backend.set_endpoints(Endpoints::default());
        let mut answered = demand.answered("u1");
        assert!((&mut answered).now_or_never().is_none());
        drop(first);
        assert!((&mut answered).now_or_never().is_none());
        drop(second);
        assert!(answered.now_or_never().is_some());
        assert!(
            demand.answered("u1").now_or_never().is_some(),
            "the instance is gone"
        );
        assert!(demand.answered("never seen").now_or_never().is_some());
    }
}
