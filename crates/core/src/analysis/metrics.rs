//! What a gateway has counted of each revision, and what came between two looks at it.
//!
//! Kourier's Envoy and our own gateway name the same things the same way, so one reading
//! serves both. A queue-proxy's page is read too, where there is no gateway's.

use std::collections::{BTreeMap, HashMap};

use super::evidence::Counts;
use super::latency::{Bucket, Latencies};
use super::prometheus::{number, samples};

/// Requests by revision and status.
const REQUESTS: &str = "envoy_cluster_external_upstream_rq";
/// Answer times by revision, in milliseconds.
const TIMES: &str = "envoy_cluster_external_upstream_rq_time_bucket";

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
}

/// What was counted of one revision since its gateway started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Requests by status.
    by_status: BTreeMap<u16, u64>,
    /// Upper edge in microseconds (so that it has an order) and the count up to it.
    up_to: BTreeMap<u64, u64>,
}

/// The edge of the last bucket.
const ENDLESS: u64 = u64::MAX;

impl Scrape {
    /// Reads a gateway's Prometheus page.
    pub fn read(page: &str) -> Self {
        let mut scrape = Self::default();
        for sample in samples(page, &[REQUESTS, TIMES]) {
            let Some(cluster) = sample.label("envoy_cluster_name") else {
                continue;
            };
            // Counters are floats in this format, and never negative.
            let count = sample.value.max(0.0) as u64;
            let key = if sample.name == REQUESTS {
                let status = sample.label("envoy_response_code");
                status
                    .and_then(|status| status.parse().ok())
                    .map(Key::Status)
            } else {
                let edge = sample.label("le").and_then(number);
                edge.map(|edge| Key::UpTo(micros(edge)))
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
        }
    }

    /// Adds what another time, or another gateway, counted.
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

    /// The figures to judge: these requests, with the times of those (a warm-up may have
    /// been left out), of which so many are `due`.
    pub fn counts(&self, times: &Self, due: u64) -> Counts {
        // 0 is Envoy's word for an answer that never came.
        let failed = |status: u16| status >= 500 || status == 0;
        let mut buckets = Vec::with_capacity(times.up_to.len());
        let (mut over, mut seen) = (0.0, 0);
        for (edge, count) in &times.up_to {
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
        Counts {
            requests: self.requests(),
            times_lag: times.timed().saturating_mul(2) < due,
            errors: self
                .by_status
                .iter()
                .filter(|(status, _)| failed(**status))
                .map(|(_, count)| count)
                .sum(),
            latencies: Latencies::Buckets(buckets),
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
mod tests {
    use super::*;

    fn page(ok: u64, bad: u64, fast: u64, slow: u64) -> String {
        format!(
            "{REQUESTS}{{envoy_response_code=\"200\",envoy_cluster_name=\"default/hello-00002\"}} {ok}\n\
             {REQUESTS}{{envoy_response_code=\"503\",envoy_cluster_name=\"default/hello-00002\"}} {bad}\n\
             {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"0.5\"}} 0\n\
             {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"50\"}} {fast}\n\
             {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"500\"}} {fast}\n\
             {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"1000\"}} {}\n\
             {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"+Inf\"}} {}\n",
            fast + slow,
            fast + slow
        )
    }

    fn between(earlier: &str, later: &str) -> Counts {
        let of = |page| Scrape::read(page).of("default", "hello-00002");
        let window = of(later).since(&of(earlier));
        window.counts(&window, window.requests())
    }

    #[test]
    fn a_window_is_what_came_between_two_looks() {
        let counts = between(&page(100, 1, 100, 1), &page(110, 3, 108, 5));
        assert_eq!((counts.requests, counts.errors), (12, 2));
        assert_eq!(
            counts.latencies.quantile(0.5).unwrap().to_string(),
            "0.5-50 ms"
        );
        assert_eq!(
            counts.latencies.quantile(0.99).unwrap().to_string(),
            "500-1000 ms"
        );
        assert_eq!(counts.latencies.certainly_over(500.0), 4);
        assert!(!counts.times_lag);
    }

    #[test]
    fn histograms_that_are_flushed_later_than_the_counters_are_noticed() {
        let counts = between(&page(100, 0, 100, 0), &page(110, 0, 104, 0));
        assert!(counts.times_lag, "4 of 10 are timed");
        let counts = between(&page(100, 0, 100, 0), &page(110, 0, 105, 0));
        assert!(!counts.times_lag, "5 of 10 are");
    }

    #[test]
    fn a_gateway_that_started_anew_does_not_make_the_window_negative() {
        let counts = between(&page(100, 1, 100, 1), &page(5, 0, 5, 0));
        assert_eq!((counts.requests, counts.errors), (5, 0));
        assert_eq!(counts.latencies.count(), 5);
    }

    #[test]
    fn a_revision_that_nobody_asked_has_counted_nothing() {
        let counts = between("", "");
        assert_eq!((counts.requests, counts.latencies.count()), (0, 0));
        assert_eq!(between("", &page(3, 0, 3, 0)).requests, 3);
    }

    /// As Knative 1.21's queue-proxy writes it, cut to a few edges.
    fn pod_page(ok: u64, bad: u64) -> String {
        let of = |status: u16, count: u64| {
            format!(
                "{POD_TIMES}{{http_response_status_code=\"{status}\",le=\"0.005\"}} 0\n\
                 {POD_TIMES}{{http_response_status_code=\"{status}\",le=\"0.01\"}} {count}\n\
                 {POD_TIMES}{{http_response_status_code=\"{status}\",le=\"+Inf\"}} {count}\n\
                 {POD_REQUESTS}{{http_response_status_code=\"{status}\"}} {count}\n"
            )
        };
        format!(
            "{TARGET}{{container_name=\"queue-proxy\",k8s_namespace_name=\"default\",kn_revision_name=\"hello-00002\"}} 1\n{}{}",
            of(200, ok),
            of(500, bad)
        )
    }

    #[test]
    fn a_queue_proxy_tells_of_its_own_revision() {
        let counts = between(&pod_page(10, 0), &pod_page(16, 3));
        assert_eq!((counts.requests, counts.errors), (9, 3));
        assert_eq!(counts.latencies.count(), 9);
        assert_eq!(
            counts.latencies.quantile(0.5).unwrap().to_string(),
            "5-10 ms"
        );
    }
}
