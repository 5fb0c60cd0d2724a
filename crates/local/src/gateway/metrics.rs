//! What the gateway counts: requests by status code and a latency histogram for each
//! revision, in the words of Kourier's Envoy, so that one scraper reads both.
//!
//! Counters belong to the revision's backend and are reached through it, never by
//! name; they are split into shards by thread so that workers do not fight for a
//! cache line. Text is written by hand: the `prometheus-client` crate appends
//! `_total` to counters, and then the names would not be Envoy's.

use std::{
    cell::Cell,
    fmt::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Upper edges of the latency buckets in microseconds: Envoy's default ones
/// (0.5 ms to 1 h) and finer ones between, so that a p99 read from them is within a
/// third of the true one.
const EDGES_MICROS: [u64; 38] = [
    500,
    1_000,
    2_000,
    3_000,
    5_000,
    7_500,
    10_000,
    15_000,
    20_000,
    25_000,
    35_000,
    50_000,
    75_000,
    100_000,
    150_000,
    200_000,
    250_000,
    350_000,
    500_000,
    650_000,
    800_000,
    1_000_000,
    1_500_000,
    2_000_000,
    2_500_000,
    3_500_000,
    5_000_000,
    7_500_000,
    10_000_000,
    15_000_000,
    20_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];
/// Shards per revision; more than the cores of most machines that run this.
const SHARDS: usize = 4;

/// The shard of the thread that asks: threads are dealt round.
pub fn thread_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed)));
    MINE.with(Cell::get)
}

/// Counters of one revision, for as long as the revision lives.
#[derive(Debug, Default)]
pub struct RevisionMetrics {
    shards: [Shard; SHARDS],
    cold_starts: AtomicU64,
    retries: AtomicU64,
}

/// Aligned so that two shards never share a cache line (or a prefetched pair).
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// Codes 100-199 to 500-599, made when the first of a class is seen: a revision
    /// mostly answers in one or two classes.
    classes: [OnceLock<Box<[AtomicU64; 100]>>; 5],
    buckets: [AtomicU64; EDGES_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

impl Default for Shard {
    fn default() -> Self {
        Shard {
            classes: Default::default(),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_micros: AtomicU64::new(0),
        }
    }
}

/// A consistent-enough copy of a revision's counters, summed over the shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// `(status code, requests)`, codes ascending, zero rows left out.
    pub codes: Vec<(u16, u64)>,
    /// Requests per bucket, not cumulative; the last is what took over an hour.
    pub buckets: Vec<u64>,
    /// Sum of all durations, microseconds.
    pub sum_micros: u64,
    /// Requests that had to wait because no instance was up.
    pub cold_starts: u64,
    /// Attempts made again; no request of its own in `codes`.
    pub retries: u64,
}

impl RevisionMetrics {
    /// Counts one finished request.
    pub fn record(&self, code: u16, took: Duration) {
        let Some(shard) = self.shards.get(thread_shard() % SHARDS) else {
            return;
        };
        let class = usize::from(code / 100).wrapping_sub(1);
        if let Some(class) = shard.classes.get(class) {
            let counters =
                class.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0))));
            if let Some(counter) = counters.get(usize::from(code % 100)) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = EDGES_MICROS.partition_point(|edge| *edge < micros);
        if let Some(counter) = shard.buckets.get(bucket) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        shard.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts a request that found no instance and waits for one.
    pub fn record_cold_start(&self) {
        self.cold_starts.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that is made again.
    pub fn record_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Sums the shards.
    pub fn snapshot(&self) -> MetricsSnapshot {
        let mut codes = Vec::new();
        for class in 0..5usize {
            for code in 0..100usize {
                let sum: u64 = self
                    .shards
                    .iter()
                    .filter_map(|shard| shard.classes.get(class)?.get()?.get(code))
                    .map(|counter| counter.load(Ordering::Relaxed))
                    .sum();
                if sum > 0
                    && let Ok(code) = u16::try_from((class + 1) * 100 + code)
                {
                    codes.push((code, sum));
                }
            }
        }
        let buckets = (0..=EDGES_MICROS.len())
            .map(|bucket| {
                let of_shard = |shard: &Shard| {
                    shard
                        .buckets
                        .get(bucket)
                        .map_or(0, |c| c.load(Ordering::Relaxed))
                };
                self.shards.iter().map(of_shard).sum()
            })
            .collect();
        let sum_micros = self
            .shards
            .iter()
            .map(|s| s.sum_micros.load(Ordering::Relaxed))
            .sum();
        MetricsSnapshot {
            codes,
            buckets,
            sum_micros,
            cold_starts: self.cold_starts.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}

/// One revision's row on the metrics page.
#[derive(Debug, Clone)]
pub struct RevisionRow {
    /// `NAMESPACE/REVISION`, Envoy's cluster name.
    pub cluster: String,
    /// Counters.
    pub metrics: MetricsSnapshot,
    /// Requests being served by an instance now.
    pub in_flight: usize,
    /// Requests waiting for an instance now.
    pub waiting: usize,
    /// Instances that take requests now.
    pub instances: usize,
}

/// The metrics page in Prometheus text format 0.0.4.
///
/// `unrouted` is the number of requests whose host or path had no route; they belong
/// to no revision.
pub fn render(rows: &[RevisionRow], unrouted: u64) -> String {
    let mut page = String::with_capacity(rows.len() * 4_096 + 1_024);
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, rows, unrouted);
    page
}

fn write_page(page: &mut String, rows: &[RevisionRow], unrouted: u64) -> std::fmt::Result {
    write_requests(page, rows)?;
    write_times(page, rows)?;
    write_open(page, rows)?;
    write_own(page, rows)?;
    writeln!(
        page,
        "# TYPE sluice_gateway_unrouted_requests_total counter"
    )?;
    writeln!(page, "sluice_gateway_unrouted_requests_total {unrouted}")
}

fn write_requests(page: &mut String, rows: &[RevisionRow]) -> std::fmt::Result {
    writeln!(page, "# TYPE envoy_cluster_external_upstream_rq counter")?;
    for row in rows {
        for (code, requests) in &row.metrics.codes {
            writeln!(
                page,
                "envoy_cluster_external_upstream_rq{{envoy_response_code=\"{code}\",envoy_cluster_name=\"{}\"}} {requests}",
                row.cluster
            )?;
        }
    }
    Ok(())
}

fn write_times(page: &mut String, rows: &[RevisionRow]) -> std::fmt::Result {
    writeln!(
        page,
        "# TYPE envoy_cluster_external_upstream_rq_time histogram"
    )?;
    for row in rows {
        let (cluster, mut total) = (&row.cluster, 0);
        let edges = EDGES_MICROS.iter().map(Some).chain([None]);
        for (edge, requests) in edges.zip(&row.metrics.buckets) {
            total += requests;
            write!(
                page,
                "envoy_cluster_external_upstream_rq_time_bucket{{envoy_cluster_name=\"{cluster}\",le=\""
            )?;
            match edge {
                Some(edge) => write!(page, "{}", milliseconds(*edge))?,
                None => write!(page, "+Inf")?,
            }
            writeln!(page, "\"}} {total}")?;
        }
        let sum = milliseconds(row.metrics.sum_micros);
        writeln!(
            page,
            "envoy_cluster_external_upstream_rq_time_sum{{envoy_cluster_name=\"{cluster}\"}} {sum}"
        )?;
        writeln!(
            page,
            "envoy_cluster_external_upstream_rq_time_count{{envoy_cluster_name=\"{cluster}\"}} {total}"
        )?;
    }
    Ok(())
}

fn write_open(page: &mut String, rows: &[RevisionRow]) -> std::fmt::Result {
    writeln!(page, "# TYPE envoy_cluster_upstream_rq_active gauge")?;
    for row in rows {
        writeln!(
            page,
            "envoy_cluster_upstream_rq_active{{envoy_cluster_name=\"{}\"}} {}",
            row.cluster,
            // What waits for an instance waits within Knative, behind Kourier's Envoy.
            row.in_flight.saturating_add(row.waiting)
        )?;
    }
    Ok(())
}

/// What Envoy has no words for.
fn write_own(page: &mut String, rows: &[RevisionRow]) -> std::fmt::Result {
    type Value = fn(&RevisionRow) -> u64;
    let own: [(&str, &str, Value); 5] = [
        ("sluice_gateway_in_flight_requests", "gauge", |row| {
            count(row.in_flight)
        }),
        ("sluice_gateway_waiting_requests", "gauge", |row| {
            count(row.waiting)
        }),
        ("sluice_gateway_ready_instances", "gauge", |row| {
            count(row.instances)
        }),
        ("sluice_gateway_cold_starts_total", "counter", |row| {
            row.metrics.cold_starts
        }),
        ("sluice_gateway_retries_total", "counter", |row| {
            row.metrics.retries
        }),
    ];
    for (name, kind, value) in own {
        writeln!(page, "# TYPE {name} {kind}")?;
        for row in rows {
            writeln!(
                page,
                "{name}{{envoy_cluster_name=\"{}\"}} {}",
                row.cluster,
                value(row)
            )?;
        }
    }
    Ok(())
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds in the shortest decimal form: `0.5`, `1`, `2.25`.
fn milliseconds(micros: u64) -> String {
    match micros % 1_000 {
        0 => format!("{}", micros / 1_000),
        rest => {
            let text = format!("{}.{rest:03}", micros / 1_000);
            text.trim_end_matches('0').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Envoy's default histogram edges, milliseconds.
    const ENVOY: [f64; 19] = [
        0.5, 1., 5., 10., 25., 50., 100., 250., 500., 1_000., 2_500., 5_000., 10_000., 30_000.,
        60_000., 300_000., 600_000., 1_800_000., 3_600_000.,
    ];

    #[test]
    fn our_buckets_contain_envoys_and_ascend() {
        assert!(EDGES_MICROS.is_sorted_by(|a, b| a < b));
        for edge in ENVOY {
            assert!(
                EDGES_MICROS.iter().any(|e| *e as f64 == edge * 1_000.),
                "{edge} ms"
            );
        }
    }

    #[test]
    fn a_duration_falls_into_the_bucket_whose_edge_it_does_not_pass() {
        let metrics = RevisionMetrics::default();
        for micros in [0, 500, 501, 4_000_000_000] {
            metrics.record(200, Duration::from_micros(micros));
        }
        let buckets = metrics.snapshot().buckets;
        assert_eq!(buckets[..3], [2, 1, 0]);
        assert_eq!(buckets.last(), Some(&1), "over an hour");
    }

    #[test]
    fn shards_add_up_whichever_threads_counted() {
        let metrics = RevisionMetrics::default();
        std::thread::scope(|scope| {
            for code in [200, 200, 404, 503, 599, 100] {
                scope.spawn({
                    let metrics = &metrics;
                    move || (0..100).for_each(|_| metrics.record(code, Duration::from_millis(2)))
                });
            }
        });
        let snapshot = metrics.snapshot();
        assert_eq!(
            snapshot.codes,
            [(100, 100), (200, 200), (404, 100), (503, 100), (599, 100)]
        );
        assert_eq!(snapshot.sum_micros, 600 * 2_000);
    }

    #[test]
    fn the_page_speaks_envoys_words() {
        let metrics = RevisionMetrics::default();
        metrics.record(200, Duration::from_micros(700));
        metrics.record(503, Duration::from_micros(3_250));
        metrics.record_cold_start();
        let page = render(
            &[RevisionRow {
                cluster: "default/hello-00001".into(),
                metrics: metrics.snapshot(),
                in_flight: 2,
                waiting: 1,
                instances: 1,
            }],
            4,
        );
        let wanted = |line: &&str| {
            !line.contains("_bucket{")
                || ["\"0.5\"", "\"1\"", "\"5\"", "\"+Inf\""]
                    .iter()
                    .any(|e| line.contains(e))
        };
        let shown: Vec<&str> = page.lines().filter(wanted).collect();
        expect_test::expect![[r##"
            # TYPE envoy_cluster_external_upstream_rq counter
            envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-00001"} 1
            envoy_cluster_external_upstream_rq{envoy_response_code="503",envoy_cluster_name="default/hello-00001"} 1
            # TYPE envoy_cluster_external_upstream_rq_time histogram
            envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00001",le="0.5"} 0
            envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00001",le="1"} 1
            envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00001",le="5"} 2
            envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00001",le="+Inf"} 2
            envoy_cluster_external_upstream_rq_time_sum{envoy_cluster_name="default/hello-00001"} 3.95
            envoy_cluster_external_upstream_rq_time_count{envoy_cluster_name="default/hello-00001"} 2
            # TYPE envoy_cluster_upstream_rq_active gauge
            envoy_cluster_upstream_rq_active{envoy_cluster_name="default/hello-00001"} 3
            # TYPE sluice_gateway_in_flight_requests gauge
            sluice_gateway_in_flight_requests{envoy_cluster_name="default/hello-00001"} 2
            # TYPE sluice_gateway_waiting_requests gauge
            sluice_gateway_waiting_requests{envoy_cluster_name="default/hello-00001"} 1
            # TYPE sluice_gateway_ready_instances gauge
            sluice_gateway_ready_instances{envoy_cluster_name="default/hello-00001"} 1
            # TYPE sluice_gateway_cold_starts_total counter
            sluice_gateway_cold_starts_total{envoy_cluster_name="default/hello-00001"} 1
            # TYPE sluice_gateway_retries_total counter
            sluice_gateway_retries_total{envoy_cluster_name="default/hello-00001"} 0
            # TYPE sluice_gateway_unrouted_requests_total counter
            sluice_gateway_unrouted_requests_total 4
        "##]]
        .assert_eq(&(shown.join("\n") + "\n"));
    }
}
