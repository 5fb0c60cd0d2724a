//! What all loops of an agent share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::gateway::Gateway;
use super::hub::Hub;
use crate::api::object::ObjectKey;
use crate::cluster::{Cluster, Happened, Reach};

/// A wall clock that runs this much away from the steady one has jumped.
const JUMP: Duration = Duration::from_secs(5);
/// How often the two clocks are compared.
const COMPARE: Duration = Duration::from_secs(2);

/// What all loops of an agent share.
pub struct Context {
    /// The cluster.
    pub cluster: Cluster,
    /// Who is woken by which change.
    pub hub: Arc<Hub>,
    /// Where users' requests pass, and are counted.
    pub gateway: Gateway,
    /// Where copies of repositories are kept.
    pub cache_dir: PathBuf,
    watching_since: Mutex<Timestamp>,
}

impl Context {
    /// A context whose caches are live from now on.
    pub fn new(cluster: Cluster, hub: Arc<Hub>, gateway: Gateway, cache_dir: PathBuf) -> Self {
        Self {
            cluster,
            hub,
            gateway,
            cache_dir,
            watching_since: Mutex::new(Timestamp::now()),
        }
    }

    /// Since when the caches are live and the clock has not jumped: deadlines count from here
    /// at the earliest, so that an outage blames no release.
    pub fn watching_since(&self) -> Timestamp {
        *self.watching_since.lock()
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
                    if *reach.borrow_and_update() == Reach::Reached {
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
        self.cluster.tell(Happened {
            object: object.clone(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            warning,
        });
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
