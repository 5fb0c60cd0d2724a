//! One revision as the gateway sees it: its instances, the requests they serve, and
//! the requests that wait for them. This is Knative's activator and breaker in one.
//!
//! A request takes a place at an instance by one atomic increment. Only a request
//! that finds no place takes the lock of the queue, and waits there in order of
//! arrival until a place is free, an instance comes up, or its time is over.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{
    instance::{Instance, Slot},
    keep_alive::KeepAlive,
    load_tracker::LoadSignal,
    metrics::{RevisionMetrics, RevisionRow},
};

/// Requests that may wait for one revision; Knative's activator has the same bound.
pub const QUEUE_LIMIT: usize = 10_000;

/// How often a waiting request looks whether an instance that refused a connection
/// has had its rest.
const RECHECK_EJECTED: Duration = Duration::from_millis(50);
/// How often it looks anyway: covers a waiter whose waker was cancelled.
const RECHECK: Duration = Duration::from_secs(1);

/// Namespace and name of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevisionKey {
    /// Namespace.
    pub namespace: String,
    /// Name of the Revision.
    pub name: String,
}

impl RevisionKey {
    /// A key of its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> RevisionKey {
        RevisionKey {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for RevisionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What the Revision's spec says of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRules {
    /// Requests an instance takes at once; 0 is without limit.
    pub container_concurrency: u32,
    /// From a request's arrival to the end of its answer (`timeoutSeconds`).
    pub timeout: Duration,
    /// From arrival to the head of the answer (`responseStartTimeoutSeconds`).
    pub response_start_timeout: Option<Duration>,
    /// Longest silence within an answer (`idleTimeoutSeconds`).
    pub idle_timeout: Option<Duration>,
    /// The container speaks HTTP/2 in clear text (port name `h2c`).
    pub h2c: bool,
}

impl Default for RequestRules {
    /// Knative's defaults: no limit, 300 s, HTTP/1.1.
    fn default() -> Self {
        RequestRules {
            container_concurrency: 0,
            timeout: Duration::from_secs(300),
            response_start_timeout: None,
            idle_timeout: None,
            h2c: false,
        }
    }
}

/// The instances that take requests, and by what rules: replaced as a whole.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// By spec of the Revision.
    pub rules: RequestRules,
    /// Ready instances.
    pub instances: Vec<Arc<Instance>>,
}

/// Why a request did not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many wait already.
    // Knative's words.
    #[error("pending request queue full")]
    QueueFull,
    /// The deadline passed while it waited.
    #[error("no instance of this revision was free in time")]
    NoInstance,
    /// The revision went away while it waited.
    #[error("the revision is gone")]
    Gone,
}

/// A revision's place in the gateway; lives as long as the revision, across tables.
pub struct Backend {
    /// Which revision.
    pub key: RevisionKey,
    /// Its counters.
    pub metrics: RevisionMetrics,
    /// Whether its connections are kept.
    pub keep_alive: KeepAlive,
    endpoints: ArcSwap<Endpoints>,
    rotor: AtomicUsize,
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    /// Entries in `queue`, abandoned ones included; read without the lock.
    queued: AtomicUsize,
    queue: Mutex<VecDeque<oneshot::Sender<Lease>>>,
    gone: AtomicBool,
    last_active: AtomicU64,
    demand: Arc<LoadSignal>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// A revision without instances.
    pub fn new(key: RevisionKey, demand: Arc<LoadSignal>) -> Backend {
        Backend {
            key,
            metrics: RevisionMetrics::default(),
            keep_alive: KeepAlive::default(),
            endpoints: ArcSwap::default(),
            rotor: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            queue: Mutex::default(),
            gone: AtomicBool::new(false),
            last_active: AtomicU64::new(0),
            demand,
        }
    }

    /// The present instances and rules.
    pub fn endpoints(&self) -> Arc<Endpoints> {
        self.endpoints.load_full()
    }

    /// The present rules.
    pub fn rules(&self) -> RequestRules {
        self.endpoints.load().rules
    }

    /// Puts new instances in place; those that wait get the room that there is.
    pub fn set_endpoints(self: &Arc<Self>, endpoints: Endpoints) {
        self.endpoints.store(Arc::new(endpoints));
        self.grant();
        self.demand.poke(&self.key);
    }

    /// Requests that an instance serves now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Milliseconds on the gateway's clock when a request last began or ended; 0: never.
    pub fn last_active_millis(&self) -> u64 {
        self.last_active.load(Ordering::Relaxed)
    }

    /// This revision's row of the metrics page.
    pub fn row(&self) -> RevisionRow {
        RevisionRow {
            cluster: self.key.to_string(),
            metrics: self.metrics.snapshot(),
            in_flight: self.in_flight(),
            waiting: self.waiting(),
            instances: self.endpoints.load().instances.len(),
        }
    }

    /// Takes the instances out of service if no request is at one or waits for one.
    ///
    /// For the step to zero: between this answer and the end of the Pods no request
    /// reaches them; those that come wait and are seen as demand. `false`: there is
    /// traffic, and nothing was done.
    pub fn retire_if_idle(self: &Arc<Self>) -> bool {
        let endpoints = self.endpoints.load();
        endpoints.instances.iter().for_each(|i| i.retire());
        if self.in_flight() + self.waiting() == 0 {
            return true;
        }
        drop(endpoints);
        self.restore();
        false
    }

    /// Takes retired instances back into service.
    pub fn restore(self: &Arc<Self>) {
        let mut any = false;
        for instance in &self.endpoints.load().instances {
            any |= instance.restore();
        }
        if any {
            self.grant();
        }
    }

    /// The revision is no more: whoever waits is told so.
    pub fn close(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.endpoints.store(Arc::default());
        let abandoned = {
            let mut queue = self.queue.lock();
            self.queued.store(0, Ordering::SeqCst);
            std::mem::take(&mut *queue)
        };
        drop(abandoned);
    }

    /// The revision is there again, under the same name.
    pub fn reopen(&self) {
        self.gone.store(false, Ordering::SeqCst);
    }

    /// A place at an instance at once, or `None`. Takes no lock.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Lease> {
        if self.queued.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.take_place()
    }

    /// A place at an instance, waiting in line until `deadline`.
    ///
    /// Dropping the future leaves the line.
    pub async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Lease, Refusal> {
        match self.try_acquire() {
            Some(lease) => Ok(lease),
            None => self.wait(deadline).await,
        }
    }

    async fn wait(self: &Arc<Self>, deadline: Instant) -> Result<Lease, Refusal> {
        let _counted = Waiting::new(self);
        let mut place = self.enqueue()?;
        // A place may have come free between the look and the entry.
        self.grant();
        if self
            .endpoints
            .load()
            .instances
            .iter()
            .all(|i| i.is_retired())
        {
            self.metrics.record_cold_start();
            self.demand.poke(&self.key);
        }
        loop {
            let now = Instant::now();
            let pause = if self.any_ejected() {
                RECHECK_EJECTED
            } else {
                RECHECK
            };
            tokio::select! {
                biased;
                lease = &mut place => return lease.map_err(|_| Refusal::Gone),
                () = sleep_until(deadline.min(now + pause)) => {
                    if Instant::now() >= deadline {
                        return Err(Refusal::NoInstance);
                    }
                    self.grant();
                }
            }
        }
    }

    fn any_ejected(&self) -> bool {
        self.endpoints
            .load()
            .instances
            .iter()
            .any(|i| i.is_ejected())
    }

    fn enqueue(&self) -> Result<oneshot::Receiver<Lease>, Refusal> {
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE_LIMIT {
            queue.retain(|entry| !entry.is_closed());
            self.queued.store(queue.len(), Ordering::SeqCst);
            if queue.len() >= QUEUE_LIMIT {
                return Err(Refusal::QueueFull);
            }
        }
        if self.gone.load(Ordering::SeqCst) {
            return Err(Refusal::Gone);
        }
        let (sender, receiver) = oneshot::channel();
        queue.push_back(sender);
        self.queued.store(queue.len(), Ordering::SeqCst);
        Ok(receiver)
    }

    /// Hands free places to those that wait, in order of arrival.
    fn grant(self: &Arc<Self>) {
        if self.queued.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut spare: Option<Lease> = None;
        {
            let mut queue = self.queue.lock();
            while !queue.is_empty() {
                let Some(lease) = spare.take().or_else(|| self.take_place()) else {
                    break;
                };
                let Some(entry) = queue.pop_front() else {
                    spare = Some(lease);
                    break;
                };
                // Whoever left the line passes the place on.
                spare = entry.send(lease).err();
            }
            self.queued.store(queue.len(), Ordering::SeqCst);
        }
        // Dropping a lease grants again: only outside the lock.
        drop(spare);
    }

    /// One place at the better of two instances (no limit), or at the first with room.
    fn take_place(self: &Arc<Self>) -> Option<Lease> {
        let endpoints = self.endpoints.load();
        let limit = match endpoints.rules.container_concurrency {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let instances = &endpoints.instances;
        let instance = match instances.as_slice() {
            [] => return None,
            [only] => only.take_place(limit).then_some(only)?,
            several => {
                let turn = self.rotor.fetch_add(1, Ordering::Relaxed);
                let rotated = (0..several.len())
                    .filter_map(|step| several.get(turn.wrapping_add(step) % several.len()));
                if limit == usize::MAX {
                    less_loaded(several, turn)
                        .filter(|instance| instance.take_place(limit))
                        .or_else(|| rotated.into_iter().find(|i| i.take_place(limit)))?
                } else {
                    rotated.into_iter().find(|i| i.take_place(limit))?
                }
            }
        };
        let slot = Slot::taken(instance.clone());
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        self.touch();
        // Retired between the choice and the count: whoever retired it may not have
        // seen this request, so it must not go there.
        if instance.is_retired() {
            slot.give_back();
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Lease {
            backend: self.clone(),
            slot,
        })
    }

    fn touch(&self) {
        self.last_active
            .store(self.demand.now_millis(), Ordering::Relaxed);
    }
}

/// Two choices, the less loaded wins: Knative's balancing where there is no limit.
fn less_loaded(instances: &[Arc<Instance>], turn: usize) -> Option<&Arc<Instance>> {
    // Fibonacci hashing of the turn: spread without a generator's state.
    let other = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let first = instances.get(turn % instances.len())?;
    let second = instances.get(other % instances.len())?;
    Some(if second.in_flight() < first.in_flight() {
        second
    } else {
        first
    })
}

/// A place at an instance, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    backend: Arc<Backend>,
    slot: Slot,
}

impl Lease {
    /// Where the request goes.
    pub fn instance(&self) -> &Arc<Instance> {
        self.slot.instance()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.slot.give_back();
        self.backend.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.backend.touch();
        self.backend.grant();
    }
}

/// Counts a request as waiting for as long as it does.
struct Waiting<'a>(&'a Backend);

impl<'a> Waiting<'a> {
    fn new(backend: &'a Backend) -> Waiting<'a> {
        backend.waiting.fetch_add(1, Ordering::SeqCst);
        backend.touch();
        Waiting(backend)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.touch();
    }
}
