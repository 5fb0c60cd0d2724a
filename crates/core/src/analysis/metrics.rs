//! What a gateway has counted of each revision, and what came between two looks at it.
//!
//! Kourier's Envoy and our own gateway name the same things the same way, so one reading
//! serves both. A queue-proxy's page is read too, where there is no gateway's.

use std::collections::{BTreeMap, HashMap};

use super::evidence::Booked;
use super::latency::{Bucket, Latencies};
use super::prometheus::{number, samples};

/// Requests by revision and status.
const REQUESTS: &str = "envoy_cluster_external_upstream_rq";
/// Answer times by revision, in milliseconds.
const TIMES: &str = "envoy_cluster_external_upstream_rq_time_bucket";
/// Requests by revision that are not answered yet.
const OPEN: &str = "envoy_cluster_upstream_rq_active";
/// Requests under which the revision's side closed: an HTTP/1.1 connection, or a stream of HTTP/2. Envoy answers 503 where
/// that was before the head of an answer; after it, it has charged the head's status, and nothing else tells of it.
const CUT_OFF: [&str; 2] = [
    "envoy_cluster_upstream_cx_destroy_remote_with_active_rq",
    "envoy_cluster_upstream_rq_rx_reset",
];
/// The same closed by Envoy, whose client left. Where that was before the head of an answer, no status is charged.
const LEFT: [&str; 2] = [
    "envoy_cluster_upstream_cx_destroy_local_with_active_rq",
    "envoy_cluster_upstream_rq_tx_reset",
];

/// A queue-proxy's requests, and their times in seconds; the page is about one revision, which
/// [`TARGET`] names.
const POD_REQUESTS: &str = "kn_serving_invocation_duration_seconds_count";
const POD_TIMES: &str = "kn_serving_invocation_duration_seconds_bucket";
const TARGET: &str = "target_info";

/// One look at one gateway's counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// By `NAMESPACE/REVISION`.
    revisions: HashMap<String, Counters>,
    /// A queue-proxy's page.
    by_a_pod: bool,
}

/// What was counted of one revision since its gateway started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Requests by status. [`NO_WHOLE_ANSWER`] and [`CLIENT_LEFT`] are no statuses that a gateway sends.
    pub by_status: BTreeMap<u16, u64>,
    /// Upper edge in microseconds (so that it has an order) and the count up to it.
    pub up_to: BTreeMap<u64, u64>,
    /// Requests that are not answered yet: how it is now, and no count.
    pub open: u64,
}

/// Requests of one side, told apart by what is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub requests: u64,
    /// Failed: a status of 500 or above, or no answer.
    pub errors: u64,
    /// Answered with a status of 300 to 399.
    pub redirects: u64,
    /// Answered with a status of 400 to 499, or left by their client.
    pub client_errors: u64,
    /// Those of them that their client left.
    pub left: u64,
    /// Those whose time is told.
    pub timed: u64,
    /// Those of them that took longer than the limit on the 99th percentile, and than that on the median.
    pub late: [u64; 2],
}

impl Tally {
    fn with(&self, other: &Self, both: impl Fn(u64, u64) -> u64) -> Self {
        let ([p99, p50], [other_p99, other_p50]) = (self.late, other.late);
        Self {
            requests: both(self.requests, other.requests),
            errors: both(self.errors, other.errors),
            redirects: both(self.redirects, other.redirects),
            client_errors: both(self.client_errors, other.client_errors),
            left: both(self.left, other.left),
            timed: both(self.timed, other.timed),
            late: [both(p99, other_p99), both(p50, other_p50)],
        }
    }

    /// Adds more answers, but not their times.
    pub fn add_answers(&mut self, more: &Self) {
        self.requests += more.requests;
        self.errors += more.errors;
        self.redirects += more.redirects;
        self.client_errors += more.client_errors;
        self.left += more.left;
    }

    /// What came since an earlier one; what went back counts for nothing.
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    /// The higher of two, field by field: what was counted is not taken back.
    pub fn or_more(&self, other: &Self) -> Self {
        self.with(other, u64::max)
    }
}

/// Stands for an answer that broke off, or never came.
const NO_WHOLE_ANSWER: u16 = 0;
/// Stands for a client that did not wait, as in nginx's log.
const CLIENT_LEFT: u16 = 499;
/// With this Envoy answers where the revision's side closed before the head.
const CLOSED_BEFORE_THE_HEAD: u16 = 503;
/// The status of a connection that was made a WebSocket: whoever ends it closes it.
const UPGRADED: u16 = 101;

/// By which a gateway ends what has no answer.
const ENDED_BY_A_GATEWAY: [u16; 6] = [NO_WHOLE_ANSWER, 504, 503, 502, CLIENT_LEFT, 408];

/// The edge of the last bucket.
const ENDLESS: u64 = u64::MAX;

impl Scrape {
    /// Reads a gateway's Prometheus page.
    pub fn read(page: &str) -> Self {
        let mut scrape = Self::default();
        let [cut_off, reset] = CUT_OFF;
        let [left, left_stream] = LEFT;
        let names = [REQUESTS, TIMES, OPEN, cut_off, reset, left, left_stream];
        for sample in samples(page, &names) {
            let Some(cluster) = sample.label("envoy_cluster_name") else {
                continue;
            };
            // Counters are floats in this format, and never negative.
            let count = sample.value.max(0.0) as u64;
            let key = match sample.name {
                REQUESTS => {
                    let status = sample.label("envoy_response_code");
                    status
                        .and_then(|status| status.parse().ok())
                        .map(Key::Status)
                }
                OPEN => Some(Key::Open),
                // What never happened is no status of this revision's.
                name if CUT_OFF.contains(&name) => {
                    (count > 0).then_some(Key::Status(NO_WHOLE_ANSWER))
                }
                name if LEFT.contains(&name) => (count > 0).then_some(Key::Status(CLIENT_LEFT)),
                _ => {
                    let edge = sample.label("le").and_then(number);
                    edge.map(|edge| Key::UpTo(micros(edge)))
                }
            };
            let Some(key) = key else { continue };
            if !scrape.revisions.contains_key(cluster) {
                scrape
                    .revisions
                    .insert(cluster.to_owned(), Counters::default());
            }
            let Some(counters) = scrape.revisions.get_mut(cluster) else {
                continue;
            };
            let slot = match key {
                Key::Status(status) => counters.by_status.entry(status).or_default(),
                Key::UpTo(edge) => counters.up_to.entry(edge).or_default(),
                Key::Open => &mut counters.open,
            };
            *slot += count;
        }
        scrape.read_queue_proxy(page);
        scrape
    }

    fn read_queue_proxy(&mut self, page: &str) {
        let Some(name) = samples(page, &[TARGET]).find_map(|target| {
            let namespace = target.label("k8s_namespace_name")?;
            Some(format!("{namespace}/{}", target.label("kn_revision_name")?))
        }) else {
            return;
        };
        self.by_a_pod = true;
        let counters = self.revisions.entry(name).or_default();
        for sample in samples(page, &[POD_REQUESTS, POD_TIMES]) {
            let count = sample.value.max(0.0) as u64;
            if sample.name == POD_REQUESTS {
                let status = sample.label("http_response_status_code");
                if let Some(status) = status.and_then(|status| status.parse().ok()) {
                    *counters.by_status.entry(status).or_default() += count;
                }
            } else if let Some(edge) = sample.label("le").and_then(number) {
                // One histogram a status: together they are one again.
                *counters.up_to.entry(micros(edge * 1000.0)).or_default() += count;
            }
        }
    }

    /// Whether a queue-proxy counted this: it tells nothing of requests that have no whole answer.
    pub fn is_by_a_pod(&self) -> bool {
        self.by_a_pod
    }

    /// The counters of a revision, to count on.
    #[cfg(test)]
    pub(crate) fn of_mut(&mut self, namespace: &str, revision: &str) -> &mut Counters {
        let name = format!("{namespace}/{revision}");
        self.revisions.entry(name).or_default()
    }

    /// What was counted of a revision; nothing is a count too.
    pub fn of(&self, namespace: &str, revision: &str) -> Counters {
        self.revisions
            .get(&format!("{namespace}/{revision}"))
            .cloned()
            .unwrap_or_default()
    }
}

/// An upper edge in milliseconds, as a key.
fn micros(edge: f64) -> u64 {
    if edge.is_finite() {
        (edge.max(0.0) * 1000.0).round() as u64
    } else {
        ENDLESS
    }
}

enum Key {
    Status(u16),
    UpTo(u64),
    Open,
}

impl Counters {
    /// What was counted between `earlier` and this look. A counter that went back was reset
    /// (the gateway started anew): all of it is new.
    pub fn since(&self, earlier: &Self) -> Self {
        let reset = self
            .by_status
            .iter()
            .any(|(status, now)| earlier.by_status.get(status).is_some_and(|then| now < then))
            || earlier
                .by_status
                .keys()
                .any(|status| !self.by_status.contains_key(status));
        if reset {
            return self.clone();
        }
        Self {
            by_status: minus(&self.by_status, &earlier.by_status),
            up_to: minus(&self.up_to, &earlier.up_to),
            open: self.open,
        }
    }

    /// Books each request once, of those that came between two looks, the later of which was `now`.
    ///
    /// What was cut off is a 503 already, or was charged as a good answer by its head. Of a revision that upgrades connections
    /// it cannot be told: there the end of a connection is nobody's failure.
    pub fn settled(mut self, now: &Self) -> Self {
        let cut_off = self
            .by_status
            .remove(&NO_WHOLE_ANSWER)
            .unwrap_or_default()
            .saturating_sub(self.of_status(CLOSED_BEFORE_THE_HEAD));
        if cut_off == 0 || now.of_status(UPGRADED) > 0 {
            return self;
        }
        let mut charged = cut_off;
        for (_, good) in self.by_status.range_mut(200..300) {
            let taken = charged.min(*good);
            *good -= taken;
            charged -= taken;
        }
        self.by_status.insert(NO_WHOLE_ANSWER, cut_off);
        self
    }

    fn of_status(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Those whose times a gateway tells sooner or later: Envoy tells none of what did not end well.
    pub fn to_be_timed(&self) -> u64 {
        let untold = [NO_WHOLE_ANSWER, CLIENT_LEFT].map(|status| self.of_status(status));
        self.requests() - untold.iter().sum::<u64>()
    }

    /// Adds what another time, or another gateway, counted. (What is open is no count.)
    pub fn add(&mut self, other: &Self) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        for (edge, count) in &other.up_to {
            *self.up_to.entry(*edge).or_default() += count;
        }
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// Those whose times are told.
    pub fn timed(&self) -> u64 {
        self.up_to.values().max().copied().unwrap_or_default()
    }

    /// Those that took longer than `limit` milliseconds for certain: whose whole bucket is over it.
    pub fn over(&self, limit: f64) -> u64 {
        let limit = micros(limit);
        let within = self.up_to.range(limit..).next().map_or(0, |(_, n)| *n);
        self.timed().saturating_sub(within)
    }

    /// The figures that are judged, with the limits on the 99th percentile and the median in milliseconds.
    pub fn tally(&self, limits: [Option<f64>; 2]) -> Tally {
        let of = |from: u16, to: u16| self.by_status.range(from..=to).map(|(_, n)| n).sum::<u64>();
        Tally {
            requests: self.requests(),
            errors: self.of_status(NO_WHOLE_ANSWER) + of(500, u16::MAX),
            redirects: of(300, 399),
            client_errors: of(400, 499),
            left: of(CLIENT_LEFT, CLIENT_LEFT),
            timed: self.timed(),
            late: limits.map(|limit| limit.map_or(0, |limit| self.over(limit))),
        }
    }

    /// The answer times, in the gateway's own buckets.
    pub fn latencies(&self) -> Latencies {
        let mut buckets = Vec::with_capacity(self.up_to.len());
        let (mut over, mut seen) = (0.0, 0);
        for (edge, count) in &self.up_to {
            let up_to = if *edge == ENDLESS {
                f64::INFINITY
            } else {
                *edge as f64 / 1000.0
            };
            buckets.push(Bucket {
                over,
                up_to,
                count: count.saturating_sub(seen),
            });
            over = up_to;
            seen = seen.max(*count);
        }
        Latencies::Buckets(buckets)
    }

    /// Adds requests of our own as this gateway counts them: `edges` has those of its histogram.
    pub fn book(&mut self, own: &Booked, edges: &Self) {
        for (status, count) in &own.statuses {
            *self.by_status.entry(*status).or_default() += count;
        }
        for edge in edges.up_to.keys() {
            let up_to = own.times.iter().filter(|ms| micros(**ms) <= *edge).count();
            *self.up_to.entry(*edge).or_default() += up_to as u64;
        }
    }

    /// Adds requests of our own whose times are still to be told, and that were quick as far as is known.
    pub fn book_quick(&mut self, count: u64, edges: &Self) {
        for edge in edges.up_to.keys() {
            *self.up_to.entry(*edge).or_default() += count;
        }
    }

    /// What is left when our own requests are taken off: users'.
    ///
    /// Each status is balanced by itself. What we sent and is not found under its status was counted under another: a
    /// probe that gave up, say, under the one by which the gateway ended it.
    pub fn without(&self, ours: &Self) -> Self {
        let mut by_status = self.by_status.clone();
        let mut missing = 0;
        for (status, sent) in &ours.by_status {
            let counted = by_status.entry(*status).or_default();
            missing += sent.saturating_sub(*counted);
            *counted = counted.saturating_sub(*sent);
        }
        for status in ENDED_BY_A_GATEWAY {
            if let Some(counted) = by_status.get_mut(&status) {
                let found = missing.min(*counted);
                *counted -= found;
                missing -= found;
            }
        }
        by_status.retain(|_, count| *count > 0);
        let mut seen = 0;
        let up_to = self.up_to.iter().map(|(edge, count)| {
            let own = ours.up_to.get(edge).copied().unwrap_or_default();
            seen = seen.max(count.saturating_sub(own));
            (*edge, seen)
        });
        Self {
            up_to: up_to.collect(),
            by_status,
            open: self.open,
        }
    }
}

fn minus<K: Ord + Copy>(now: &BTreeMap<K, u64>, then: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    now.iter()
        .map(|(key, count)| {
            (
                *key,
                count.saturating_sub(then.get(key).copied().unwrap_or(0)),
            )
        })
        .collect()
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
