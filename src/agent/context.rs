//! What all loops of an agent share.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::gateway::Gateway;
use super::metrics::Metrics;
use super::wakeups::Wakeups;
use super::{AgentConfig, ClusterWide};
use crate::api::GROUP;
use crate::api::delivery::{Delivery, DeliveryStatus};
use crate::api::object::ObjectKey;
use crate::api::serving;
use crate::cluster::{Cluster, Connectivity, EventRecord};
use crate::plan::{Claims, DeliveryId, LiveObject};

/// A wall clock that runs this much away from the steady one has jumped.
const JUMP: Duration = Duration::from_secs(5);
/// How often the two clocks are compared.
const COMPARE: Duration = Duration::from_secs(2);

/// How many services that wait for a turn have one at a time: enough to keep the writers busy.
const TURNS: usize = 32;

/// What a deadline is about.
const DECISIVE: [(&str, &str); 5] = [
    ("", "Pod"),
    (serving::GROUP, "Service"),
    (serving::GROUP, "Configuration"),
    (serving::GROUP, "Route"),
    (serving::GROUP, "Revision"),
];

/// What all loops of an agent share.
pub struct Context {
    /// The cluster.
    pub cluster: Cluster,
    /// Who is woken by which change.
    pub wakeups: Arc<Wakeups>,
    /// Where users' requests pass, and are counted.
    pub gateway: Gateway,
    /// Where copies of repositories are kept.
    pub cache_dir: PathBuf,
    /// Who this agent is among the agents of the cluster.
    pub identity: String,
    /// The Deliveries whose agent is asked to hand them over to this one.
    pub take_over: BTreeSet<DeliveryId>,
    /// Which Deliveries may write outside their own namespace.
    pub cluster_wide: ClusterWide,
    /// Whether repositories on this machine are read.
    pub file_repositories: bool,
    /// What is counted of all that.
    pub metrics: Metrics,
    /// The turns of services that no release is under way of.
    pub turns: Arc<Semaphore>,
    watching_since: Mutex<Timestamp>,
    /// Since when this agent leads them.
    leading_since: Mutex<HashMap<DeliveryId, Timestamp>>,
    deliveries: Mutex<HashMap<DeliveryId, Known>>,
}

/// A Delivery as it was last read: with a thousand objects in its inventory, reading it
/// for every plan of every other one would be most of an agent's work.
#[derive(Clone)]
struct Known {
    version: String,
    /// `None` where it cannot be read, or is being deleted.
    delivery: Option<Arc<Delivery>>,
    /// It is there, and cannot be read.
    unreadable: bool,
    inventory: Arc<HashSet<ObjectKey>>,
}

impl Context {
    /// A context whose caches are live from now on.
    pub fn new(
        cluster: Cluster,
        wakeups: Arc<Wakeups>,
        gateway: Gateway,
        config: AgentConfig,
    ) -> Self {
        Self {
            metrics: Metrics::new(cluster.clone()),
            cluster,
            wakeups,
            gateway,
            cache_dir: config.cache_dir,
            identity: config.identity,
            take_over: config.take_over,
            cluster_wide: config.cluster_wide,
            file_repositories: config.file_repositories,
            turns: Arc::new(Semaphore::new(TURNS)),
            watching_since: Mutex::new(Timestamp::now()),
            leading_since: Mutex::default(),
            deliveries: Mutex::default(),
        }
    }

    /// Every Delivery of the cluster that is not being deleted.
    pub fn deliveries(&self) -> Vec<(DeliveryId, Arc<Delivery>)> {
        let known = self.known_deliveries();
        known
            .into_iter()
            .filter_map(|(id, known)| Some((id, known.delivery?)))
            .collect()
    }

    /// Every Delivery that is there and cannot be read.
    pub fn unreadable_deliveries(&self) -> BTreeSet<DeliveryId> {
        let known = self.known_deliveries().into_iter();
        known
            .filter(|(_, known)| known.unreadable)
            .map(|(id, _)| id)
            .collect()
    }

    /// What a Delivery's status says now, whoever wrote it.
    pub fn status(&self, id: &DeliveryId) -> Option<DeliveryStatus> {
        let known = self.known_deliveries().remove(id)?;
        known.delivery?.status.clone()
    }

    /// What Deliveries other than this one say is theirs.
    pub fn claims(&self, but: &DeliveryId) -> Claims {
        let mut claims = Claims::default();
        for (id, known) in self.known_deliveries() {
            if id != *but {
                claims.add(id, known.inventory);
            }
        }
        claims
    }

    /// Reads what changed since it was last asked for.
    fn known_deliveries(&self) -> HashMap<DeliveryId, Known> {
        let mut known = self.deliveries.lock();
        let mut now = HashMap::new();
        for live in self.cluster.list(GROUP, "Delivery", None) {
            let namespace = live.key.namespace.clone().unwrap_or_default();
            let id = DeliveryId::new(namespace, live.key.name.clone());
            let one = match known.remove(&id) {
                Some(same) if same.version == live.resource_version => same,
                _ => read(&live, &id),
            };
            now.insert(id, one);
        }
        known.clone_from(&now);
        now
    }

    /// Since when the caches are live, the clock has not jumped, and this agent leads the Delivery: deadlines
    /// count from here at the earliest, so that no release is blamed for a time in which nobody acted.
    pub fn watching_since(&self, delivery: &DeliveryId, namespace: &str) -> Timestamp {
        let blind = DECISIVE
            .iter()
            .any(|(group, kind)| self.cluster.is_lost(group, kind, namespace));
        if blind {
            // Not being watched now, though a write may get through before a watch does.
            return Timestamp::now();
        }
        let since = *self.watching_since.lock();
        let leading = self.leading_since.lock().get(delivery).copied();
        let since = leading.map_or(since, |leading| leading.max(since));
        // One watch answers again some seconds before the last one does.
        self.cluster.recovered().map_or(since, |at| at.max(since))
    }

    /// From now on this agent delivers it, or another one does.
    pub fn leads(&self, delivery: &DeliveryId, leads: bool) {
        let mut leading = self.leading_since.lock();
        if leads {
            leading.insert(delivery.clone(), Timestamp::now());
        } else {
            leading.remove(delivery);
            self.metrics.stands_by(delivery);
        }
        self.metrics.leads(delivery, leads);
    }

    /// Moves that moment forward after each outage of the API server and each jump of the clock.
    pub async fn follow_outages(&self, cancel: CancellationToken) {
        let mut reach = self.cluster.reach();
        let mut compare = tokio::time::interval(COMPARE);
        let mut before = (Timestamp::now(), Instant::now());
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = reach.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *reach.borrow_and_update() == Connectivity::Reached {
                        *self.watching_since.lock() = Timestamp::now();
                    }
                }
                _ = compare.tick() => {
                    let now = (Timestamp::now(), Instant::now());
                    if jumped(before, now) {
                        warn!("the clock jumped; deadlines count anew");
                        *self.watching_since.lock() = now.0;
                    }
                    before = now;
                }
            }
        }
    }

    /// Records a Kubernetes event on an object.
    pub fn tell(&self, object: &ObjectKey, reason: &str, message: &str, warning: bool) {
        self.cluster.tell(EventRecord {
            object: object.clone(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            warning,
        });
    }
}

fn read(live: &LiveObject, id: &DeliveryId) -> Known {
    let delivery = match serde_json::from_value::<Delivery>(live.value()) {
        Ok(delivery) => Some(Arc::new(delivery)),
        Err(error) => {
            error!(delivery = %id, "the Delivery cannot be read: {error}");
            None
        }
    };
    let inventory = delivery
        .iter()
        .filter_map(|delivery| delivery.status.as_ref())
        .flat_map(|status| status.inventory.iter().cloned())
        .collect();
    Known {
        version: live.resource_version.clone(),
        unreadable: delivery.is_none() && !live.deleting,
        delivery: delivery.filter(|_| !live.deleting),
        inventory: Arc::new(inventory),
    }
}

fn jumped(before: (Timestamp, Instant), now: (Timestamp, Instant)) -> bool {
    let wall = now.0.duration_since(before.0);
    let steady = jiff::SignedDuration::try_from(now.1.duration_since(before.1)).unwrap_or_default();
    (wall - steady).unsigned_abs() > JUMP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_either_way_is_noticed_and_a_slow_tick_is_not() {
        let start = (Timestamp::from_second(1_000_000).unwrap(), Instant::now());
        let later = |wall: i64, steady: u64| {
            (
                Timestamp::from_second(1_000_000 + wall).unwrap(),
                start.1 + Duration::from_secs(steady),
            )
        };
        assert!(!jumped(start, later(2, 2)));
        assert!(
            !jumped(start, later(300, 300)),
            "a suspended laptop's clocks may agree"
        );
        assert!(jumped(start, later(3600, 2)));
        assert!(jumped(start, later(-3600, 2)));
    }
}
