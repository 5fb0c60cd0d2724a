//! What the agent counts of itself, for Prometheus.
//!
//! Labels name Deliveries and not services: a thousand services would be ten thousand
//! series, and what each of them does stands in its ServiceRollout.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::api::rollout::{Outcome, Phase};
use crate::cluster::Cluster;
use crate::plan::DeliveryId;

/// Which Delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    namespace: String,
    delivery: String,
}

impl From<&DeliveryId> for Of {
    fn from(id: &DeliveryId) -> Self {
        Self {
            namespace: id.namespace.clone(),
            delivery: id.name.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    namespace: String,
    delivery: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    namespace: String,
    delivery: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    namespace: String,
    delivery: String,
    phase: String,
}

type Times = Family<Of, Histogram, fn() -> Histogram>;

/// The agent's counters.
pub struct Metrics {
    registry: Registry,
    releases: Family<Ended, Counter>,
    phases: Family<At, Gauge>,
    looks: Family<Result, Counter>,
    last_look: Family<Of, Gauge>,
    syncs: Family<Result, Counter>,
    sync_times: Times,
    last_sync: Family<Of, Gauge>,
    ready: Family<Of, Gauge>,
    problems: Family<Of, Gauge>,
    corrections: Family<Of, Counter>,
    leads: Family<Of, Gauge>,
}

impl Metrics {
    /// Everything at zero; the cluster's requests are read when they are asked for.
    pub fn new(cluster: Cluster) -> Self {
        let mut this = Self {
            releases: Family::default(),
            phases: Family::default(),
            looks: Family::default(),
            last_look: Family::default(),
            syncs: Family::default(),
            // 1 ms to 33 s.
            sync_times: Times::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 16))
            }),
            last_sync: Family::default(),
            ready: Family::default(),
            problems: Family::default(),
            corrections: Family::default(),
            leads: Family::default(),
            registry: Registry::with_prefix("sluice"),
        };
        this.register();
        let requests = Box::new(Requests(cluster));
        this.registry.register_collector(requests);
        this
    }

    /// Gives each its name and its help on the page, in the page's order.
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("releases", "Releases that ended", self.releases.clone());
        r.register(
            "rollouts",
            "Services by the phase they are in",
            self.phases.clone(),
        );
        r.register(
            "source_polls",
            "Looks at a Delivery's repository",
            self.looks.clone(),
        );
        r.register_with_unit(
            "source_last_success_timestamp",
            "When the repository answered last",
            Unit::Seconds,
            self.last_look.clone(),
        );
        r.register(
            "delivery_syncs",
            "Plans made and carried out",
            self.syncs.clone(),
        );
        r.register_with_unit(
            "delivery_sync_duration",
            "Time to make a plan and to carry it out, releases aside",
            Unit::Seconds,
            self.sync_times.clone(),
        );
        r.register_with_unit(
            "delivery_last_success_timestamp",
            "When a plan was carried out last without a problem",
            Unit::Seconds,
            self.last_sync.clone(),
        );
        r.register(
            "delivery_ready",
            "1 where the Delivery's condition Ready is True",
            self.ready.clone(),
        );
        r.register(
            "delivery_problems",
            "What needs a person, as the Delivery's status lists it",
            self.problems.clone(),
        );
        r.register(
            "drift_corrections",
            "Changes by hand that were corrected",
            self.corrections.clone(),
        );
        r.register(
            "delivery_leader",
            "1 where this agent delivers it, 0 where it waits for the Lease",
            self.leads.clone(),
        );
    }

    /// The page, in Prometheus' text format.
    pub fn page(&self) -> std::result::Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    /// A release ended.
    pub fn ended(&self, delivery: &DeliveryId, outcome: Outcome) {
        let Of {
            namespace,
            delivery,
        } = delivery.into();
        let outcome = snake(&outcome.to_string());
        self.releases
            .get_or_create(&Ended {
                namespace,
                delivery,
                outcome,
            })
            .inc();
    }

    /// A service went from one phase to another; `None` is not being watched.
    pub fn moved(&self, delivery: &DeliveryId, from: Option<Phase>, to: Option<Phase>) {
        let at = |phase: Phase| {
            let Of {
                namespace,
                delivery,
            } = delivery.into();
            let phase = snake(&phase.to_string());
            self.phases.get_or_create_owned(&At {
                namespace,
                delivery,
                phase,
            })
        };
        if from == to {
            return;
        }
        if let Some(from) = from {
            at(from).dec();
        }
        if let Some(to) = to {
            at(to).inc();
        }
    }

    /// A look at the repository.
    pub fn looked(&self, delivery: &DeliveryId, ok: bool) {
        self.looks.get_or_create(&result(delivery, ok)).inc();
        if ok {
            self.last_look.get_or_create(&delivery.into()).set(now());
        }
    }

    /// A plan was made and carried out.
    pub fn synced(&self, delivery: &DeliveryId, ok: bool, took: Duration) {
        self.syncs.get_or_create(&result(delivery, ok)).inc();
        let times = self.sync_times.get_or_create_owned(&delivery.into());
        times.observe(took.as_secs_f64());
        if ok {
            self.last_sync.get_or_create(&delivery.into()).set(now());
        }
    }

    /// What the Delivery says of itself.
    pub fn says(&self, delivery: &DeliveryId, ready: bool, problems: usize) {
        let of = delivery.into();
        self.ready.get_or_create(&of).set(i64::from(ready));
        let problems = i64::try_from(problems).unwrap_or(i64::MAX);
        self.problems.get_or_create(&of).set(problems);
    }

    /// Changes by hand were corrected.
    pub fn corrected(&self, delivery: &DeliveryId, objects: u64) {
        self.corrections
            .get_or_create(&delivery.into())
            .inc_by(objects);
    }

    /// Whether this agent delivers it, or waits for the Lease.
    pub fn leads(&self, delivery: &DeliveryId, leads: bool) {
        let leader = self.leads.get_or_create_owned(&delivery.into());
        leader.set(i64::from(leads));
    }

    /// A Delivery is gone: its state is no longer told. (What was counted stays counted.)
    pub fn forget(&self, delivery: &DeliveryId) {
        self.leads.remove(&delivery.into());
        self.stands_by(delivery);
    }

    /// Another agent delivers it: its state is that agent's to tell.
    pub fn stands_by(&self, delivery: &DeliveryId) {
        let of = delivery.into();
        for gauges in [
            &self.last_look,
            &self.last_sync,
            &self.ready,
            &self.problems,
        ] {
            gauges.remove(&of);
        }
    }
}

fn result(delivery: &DeliveryId, ok: bool) -> Result {
    let Of {
        namespace,
        delivery,
    } = delivery.into();
    Result {
        namespace,
        delivery,
        result: if ok { "success" } else { "failure" },
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// `RolledBack` is `rolled_back` among labels.
fn snake(word: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in word.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Requests to the API server, as the client counts them.
struct Requests(Cluster);

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requests")
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::result::Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "api_requests",
            "Requests to the API server",
            None,
            MetricType::Counter,
        )?;
        for (verb, count) in self.0.requests().by_verb {
            let labels = [("verb", snake(&format!("{verb:?}")))];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_says_what_happened_in_prometheus_words() {
        let server = crate::cluster::Cluster::over(
            kube::Client::new(
                tower::service_fn(async |_: http::Request<kube::client::Body>| {
                    Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::empty()))
                }),
                "default",
            ),
            tokio_util::sync::CancellationToken::new(),
        );
        let metrics = Metrics::new(server);
        let shop = DeliveryId::new("default", "shop");
        metrics.ended(&shop, Outcome::RolledBack);
        metrics.ended(&shop, Outcome::RolledBack);
        metrics.moved(&shop, None, Some(Phase::Stable));
        metrics.moved(&shop, Some(Phase::Stable), Some(Phase::RollingBack));
        metrics.looked(&shop, false);
        metrics.synced(&shop, true, Duration::from_millis(3));
        metrics.says(&shop, true, 0);
        metrics.leads(&shop, true);
        let page = metrics.page().unwrap();
        for line in [
            r#"sluice_releases_total{namespace="default",delivery="shop",outcome="rolled_back"} 2"#,
            r#"sluice_rollouts{namespace="default",delivery="shop",phase="stable"} 0"#,
            r#"sluice_rollouts{namespace="default",delivery="shop",phase="rolling_back"} 1"#,
            r#"sluice_source_polls_total{namespace="default",delivery="shop",result="failure"} 1"#,
            r#"sluice_delivery_syncs_total{namespace="default",delivery="shop",result="success"} 1"#,
            r#"sluice_delivery_sync_duration_seconds_bucket{le="0.004",namespace="default",delivery="shop"} 1"#,
            r#"sluice_delivery_ready{namespace="default",delivery="shop"} 1"#,
            r#"sluice_delivery_leader{namespace="default",delivery="shop"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        metrics.forget(&shop);
        let page = metrics.page().unwrap();
        assert!(!page.contains("sluice_delivery_ready{"), "{page}");
        assert!(page.contains("sluice_releases_total{"), "{page}");
    }
}
