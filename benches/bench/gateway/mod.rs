//! What the gateway costs: the same app asked directly and through the gateway, by turns.
//!
//! App, gateway and load generator are processes of their own on one machine and share its
//! cores: asked directly there are two at work, through the gateway three. On a machine with
//! few cores the ratio of the closed loops is as much about that as about the gateway; the
//! rounds at a fixed rate say what it adds to a request on a machine that has time.

pub mod generator;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::fixture::{Fixture, NAMESPACE};
use crate::table;
use generator::Load;

/// How long the service may take to be Ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the local node says on which port a Pod listens.
const PORT: &str = "local.sluice.dev/port";

/// How it is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Connections, kept alive
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Rounds of each kind
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Requests a second of the rounds at a fixed rate
    #[arg(long, default_value_t = 1000)]
    rate: u32,
}

/// What all rounds of one kind came to.
#[derive(Default)]
struct Kind {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    failed: u64,
}

impl Kind {
    fn add(&mut self, seen: &generator::Seen) {
        self.rates.push(seen.rate);
        self.p50.push(seen.p50_ms);
        self.p99.push(seen.p99_ms);
        self.failed += seen.failed;
    }
}

/// Runs all rounds and prints the table.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Fixture::start(&[]).await?;
    let direct = start_app(&stage).await?;
    let through = stage.gateway()?;
    let host = format!("bench.{NAMESPACE}.localhost");
    let kinds = [
        ("directly, as fast as it goes", direct, None),
        ("through the gateway, as fast as it goes", through, None),
        ("directly, at a fixed rate", direct, Some(options.rate)),
        (
            "through the gateway, at a fixed rate",
            through,
            Some(options.rate),
        ),
    ];
    let mut seen: [Kind; 4] = Default::default();
    // The first round warms everything up and does not count.
    for round in 0..=options.rounds {
        for ((_, address, rate), kind) in kinds.iter().zip(&mut seen) {
            let load = Load {
                address: *address,
                host: host.clone(),
                connections: options.connections,
                seconds: options.seconds,
                rate: *rate,
            };
            let one = load.in_a_process().await?;
            if round > 0 {
                kind.add(&one);
            }
        }
    }
    let cpu = stage.cluster()?.cpu()?;
    stage.end().await?;

    println!(
        "\n{} connections, {} rounds of {} s each, by turns; medians:\n",
        options.connections, options.rounds, options.seconds
    );
    let rows = kinds
        .iter()
        .zip(&seen)
        .map(|((words, _, _), kind)| {
            vec![
                (*words).to_owned(),
                format!("{:.0}", table::median(&kind.rates)),
                format!("{:.2} ms", table::median(&kind.p50)),
                format!("{:.2} ms", table::median(&kind.p99)),
                kind.failed.to_string(),
            ]
        })
        .collect();
    let header = ["", "requests/s", "p50", "p99", "failed"];
    println!("{}", table::markdown(&header, rows));
    let [direct, through, direct_paced, through_paced] = &seen;
    let added = |a: &Kind, b: &Kind, of: fn(&Kind) -> &Vec<f64>| {
        table::median(of(b)) - table::median(of(a))
    };
    println!(
        "Through the gateway: {:.2} of the direct requests/s; added p99 {:.2} ms as fast as it goes, \
         {:.2} ms at {} requests/s (p50: {:.2} ms).",
        table::median(&through.rates) / table::median(&direct.rates),
        added(direct, through, |kind| &kind.p99),
        added(direct_paced, through_paced, |kind| &kind.p99),
        options.rate,
        added(direct_paced, through_paced, |kind| &kind.p50),
    );
    println!(
        "CPU of the cluster's process in all: {:.1} s.",
        cpu.as_secs_f64()
    );
    Ok(())
}

/// Starts the app as a service that keeps one instance, and gives that instance's address.
async fn start_app(stage: &Fixture) -> anyhow::Result<SocketAddr> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "serving.knative.dev",
        "v1",
        "Service",
    ));
    let services: Api<DynamicObject> = Api::namespaced_with(stage.client.clone(), NAMESPACE, &kind);
    let service = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "bench"},
        "spec": {"template": {
            "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
            "spec": {"containers": [{"image": "sluice.local/hello"}]},
        }},
    });
    let params = PatchParams::apply("bench");
    services
        .patch("bench", &params, &Patch::Apply(&service))
        .await?;
    let ready = |service: Option<&DynamicObject>| {
        let conditions = service.and_then(|s| s.data.pointer("/status/conditions")?.as_array());
        conditions.is_some_and(|all| {
            all.iter().any(|c| {
                c.get("type").is_some_and(|t| t == "Ready")
                    && c.get("status").is_some_and(|s| s == "True")
            })
        })
    };
    let wait = kube::runtime::wait::await_condition(services, "bench", ready);
    tokio::time::timeout(PATIENCE, wait)
        .await
        .context("the service is not Ready")??;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let found = pods.list(&ListParams::default()).await?;
    let port: u16 = found
        .items
        .first()
        .and_then(|pod| pod.metadata.annotations.as_ref()?.get(PORT))
        .context("the Pod does not say where it listens")?
        .parse()?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}
