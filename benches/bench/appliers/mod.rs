//! The same Services on the same API server by Sluice, `kapp` and `kubectl apply --server-side`:
//! what it takes until the cluster has them, when nothing changed, and when one did.
//!
//! It plays on a test bed that has the peers (`tests/bed/build.sh peers`): a real Kubernetes whose
//! webhooks for Knative answer. Knative's controllers stand still, so that only applying is
//! measured.

mod bed;
mod peer;

use std::path::Path;
use std::time::{Duration, Instant};

use sluice::api::delivery::Expand;

use crate::fixture::Fixture;
use crate::table;
use crate::thousand::progress::Progress;
use crate::thousand::{LOG, Meter, shop, word};
use bed::Bed;
use peer::Peer;

/// How long the unchanged repository is looked at, once a second.
const IDLE: Duration = Duration::from_secs(10);

/// How it is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many Services
    #[arg(long, default_value_t = 1000)]
    services: usize,
}

/// What one of them needed.
struct Row {
    who: String,
    first: Duration,
    /// Requests about objects until then, and until nothing more was to be said, as the API server counted them.
    requests: (u64, u64),
    /// `None` where it is nothing that is waited for.
    no_op: Option<Duration>,
    /// In words.
    no_op_requests: String,
    change: Duration,
    /// MiB.
    peak: f64,
}

/// Runs all of them and prints the table.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let count = options.services;
    let mut rows = Vec::new();
    // The same for all of them: controllers that wake in between make something of what is swept away.
    let bed = Bed::quiet(&Fixture::on_bed().await?.client);
    for peer in [Peer::Kapp, Peer::Kubectl] {
        let stage = Fixture::on_bed().await?;
        eprintln!("{}", peer.words());
        rows.push(by_peer(peer, &stage, &bed, count).await?);
        bed.sweep().await?;
    }
    for expand in [Expand::Routes, Expand::Service] {
        let stage = Fixture::on_bed().await?;
        eprintln!("sluice, expand: {}", word(expand));
        rows.push(by_sluice(expand, &stage, &bed, count).await?);
        bed.sweep().await?;
    }
    println!("\n{count} Services on a real Kubernetes, Knative's controllers standing still:\n");
    println!("{}", report(&rows));
    Ok(())
}

async fn by_peer(peer: Peer, stage: &Fixture, bed: &Bed, count: usize) -> anyhow::Result<Row> {
    let repository = &stage.repository;
    shop::write(repository, count, "one");
    let work = repository.git(&["rev-parse", "--show-toplevel"]);
    let folder = Path::new(&work).join("apps");
    let before = bed.requests().await?;
    let first = peer.deliver(stage, &folder).await?;
    let after_first = bed.requests().await?;
    let no_op = peer.deliver(stage, &folder).await?;
    let after_no_op = bed.requests().await?;
    shop::write_one(repository, &shop::name(count / 2), "two");
    let change = peer.deliver(stage, &folder).await?;
    Ok(Row {
        who: format!("`{}`", peer.words()),
        first: first.took,
        requests: (after_first - before, after_first - before),
        no_op: Some(no_op.took),
        no_op_requests: (after_no_op - after_first).to_string(),
        change: change.took,
        peak: first.peak.max(no_op.peak).max(change.peak),
    })
}

async fn by_sluice(
    expand: Expand,
    stage: &Fixture,
    bed: &Bed,
    count: usize,
) -> anyhow::Result<Row> {
    shop::policy(stage).await?;
    let more = format!(
        "--interval 1h --policy {} --expand {} --log {LOG}",
        shop::UNPROBED,
        word(expand)
    );
    let agent = stage.agent(&more.split(' ').collect::<Vec<_>>())?;
    let progress = Progress::follow(&stage.client, expand);
    let meter = Meter {
        stage,
        agent: &agent,
    };
    let empty = stage.repository.git(&["rev-parse", "HEAD"]);
    meter.observed(&empty).await?;

    shop::write(&stage.repository, count, "one");
    stage.repository.push("A thousand services");
    let before = bed.requests().await?;
    let begun = Instant::now();
    meter.wish("first").await?;
    progress.applied(count, "one").await?;
    let first = begun.elapsed();
    let until_first = bed.requests().await? - before;
    meter.calm().await;
    let requests = (until_first, bed.requests().await? - before);

    meter.interval("1s").await?;
    meter.calm().await;
    let (idle, said) = (meter.begin()?, agent.log().len());
    tokio::time::sleep(IDLE).await;
    let idle = meter.line("looks at the unchanged repository", &idle)?;
    // There should be none; one that is there is looked into.
    let asked = agent.log().split_off(said);
    for line in asked.lines().filter(|line| line.contains("API request")) {
        eprintln!("  {line}");
    }
    meter.interval("1h").await?;
    meter.calm().await;

    let name = shop::name(count / 2);
    shop::write_one(&stage.repository, &name, "two");
    stage.repository.push("Another greeting");
    let begun = Instant::now();
    meter.wish("change").await?;
    progress.shows(&name, "two").await?;
    let change = begun.elapsed();
    let (peak, _) = agent.memory()?;
    agent.end().await?;
    Ok(Row {
        who: format!("`sluice run`, `expand: {}`", word(expand)),
        first,
        requests,
        no_op: None,
        no_op_requests: idle.requests.to_string(),
        change,
        peak,
    })
}

fn report(rows: &[Row]) -> String {
    let kapp = rows.first().map_or(1.0, |row| row.first.as_secs_f64());
    let header = [
        "who",
        "first sync",
        "of kapp's",
        "requests (with what comes after it)",
        "no-op",
        "requests",
        "one change",
        "memory",
    ];
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let rows = rows.iter().map(|row| {
        vec![
            row.who.clone(),
            seconds(row.first),
            format!("{:.2}", row.first.as_secs_f64() / kapp),
            format!("{} ({})", row.requests.0, row.requests.1),
            row.no_op.map_or("-".to_owned(), seconds),
            row.no_op_requests.clone(),
            seconds(row.change),
            format!("{:.0} MiB", row.peak),
        ]
    });
    table::markdown(&header, rows.collect())
}
