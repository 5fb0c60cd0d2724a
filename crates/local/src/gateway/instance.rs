//! One running instance of a revision: where it listens, how many requests it has,
//! whether it may get another, and the connections kept open to it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::pool::Pool;

/// Rest for an instance that refused a connection: long enough for the news of its
/// end to arrive, short enough to go unnoticed if it was a hiccup.
const EJECTION: Duration = Duration::from_millis(200);

const IN_SERVICE: u64 = 0;
const RETIRED: u64 = u64::MAX;

/// One instance; the same object in every set of endpoints it is part of.
pub struct Instance {
    /// The Pod's uid and, should it be restarted on another port, that.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Idle connections.
    pub pool: Pool,
    in_flight: AtomicUsize,
    /// `IN_SERVICE`, `RETIRED`, or the end of an ejection in milliseconds since `born`.
    state: AtomicU64,
    born: Instant,
    /// It took a connection once.
    proven: AtomicBool,
    /// Somebody waits for its last request.
    awaited: AtomicBool,
    emptied: Notify,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// An instance in service.
    pub fn new(id: impl Into<String>, address: SocketAddr) -> Instance {
        Instance {
            id: id.into(),
            address,
            pool: Pool::default(),
            in_flight: AtomicUsize::new(0),
            state: AtomicU64::new(IN_SERVICE),
            born: Instant::now(),
            proven: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            emptied: Notify::new(),
        }
    }

    /// The uid of the Pod that it is.
    pub fn pod(&self) -> &str {
        self.id.rsplit_once(':').map_or(&self.id, |(uid, _)| uid)
    }

    /// Notes that it took a connection.
    pub fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Whether it ever took a connection. One that never did may still be starting,
    /// whatever its Pod says: after a kill of the whole cluster Pods say what was true
    /// before.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Waits until it has no request; to be asked once it gets no new ones.
    pub async fn emptied(&self) {
        self.awaited.store(true, Ordering::SeqCst);
        loop {
            let emptied = self.emptied.notified();
            if self.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Requests it has now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Gives no request for a short while: it refused a connection.
    pub fn eject(&self) {
        let until = self
            .millis()
            .saturating_add(EJECTION.as_millis() as u64)
            .max(1);
        let _ = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state != RETIRED).then_some(until)
            });
    }

    /// Whether it rests after a refused connection.
    pub fn is_ejected(&self) -> bool {
        !matches!(self.state.load(Ordering::SeqCst), IN_SERVICE | RETIRED)
    }

    /// Takes it out of service for good.
    pub fn retire(&self) {
        self.state.store(RETIRED, Ordering::SeqCst);
    }

    /// Takes a retired instance back; `false` if it was not retired.
    pub fn restore(&self) -> bool {
        self.state
            .compare_exchange(RETIRED, IN_SERVICE, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Whether it is out of service for good.
    pub fn is_retired(&self) -> bool {
        self.state.load(Ordering::SeqCst) == RETIRED
    }

    /// Takes one of `limit` places; the caller gives it back by [`Slot::give_back`].
    pub fn take_place(&self, limit: usize) -> bool {
        match self.state.load(Ordering::SeqCst) {
            IN_SERVICE => {}
            RETIRED => return false,
            until if self.millis() < until => return false,
            until => {
                let _ = self.state.compare_exchange(
                    until,
                    IN_SERVICE,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
            }
        }
        if limit == usize::MAX {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                (n < limit).then_some(n + 1)
            })
            .is_ok()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// A taken place at an instance.
#[derive(Debug)]
pub struct Slot(Arc<Instance>);

impl Slot {
    /// Notes that [`Instance::take_place`] said yes.
    pub fn taken(instance: Arc<Instance>) -> Slot {
        Slot(instance)
    }

    /// At which instance.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.0
    }

    /// Frees the place; called once, by the lease that owns it.
    pub fn give_back(&self) {
        let before = self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.0.awaited.load(Ordering::SeqCst) {
            self.0.emptied.notify_waiters();
        }
    }
}
