//! A thousand Services in one repository, one a file: what a sync costs the cluster and the
//! agent, beside a bare server-side apply of the same objects.
//!
//! A thousand processes would measure the machine. The cluster runs without a node
//! (`sluice local up --without-node`), and this program plays one: a Pod is Running and Ready
//! as soon as it is there. The policy asks for no probes; everything else is a first delivery
//! as it always is: fetch, parse, plan, Configuration, Revision, Route, Rollout, at rest.

mod floor;
pub mod progress;
mod requests;
pub mod shop;

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::{Delivery, Expand, SYNC};
use tokio_util::task::AbortOnDropHandle;

use crate::fixture::{Fixture, NAMESPACE};
use crate::process::Process;
use crate::table;
use progress::Progress;
use requests::Requests;

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the unchanged repository is looked at, once a second.
const IDLE: Duration = Duration::from_secs(30);
/// So long without a request means that everything is settled.
const CALM: Duration = Duration::from_secs(5);
/// The agent's log: its usual one, and one line a request.
pub const LOG: &str = "info,sluice::cluster::counter=trace";

/// How it is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many Services
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Only this form: routes or service
    #[arg(long)]
    expand: Option<String>,
    /// Keep the agent's log there
    #[arg(long)]
    keep_log: Option<std::path::PathBuf>,
}

/// One thing that was measured.
pub struct Line {
    what: String,
    took: Option<Duration>,
    cpu: Duration,
    /// What was asked of the API server meanwhile.
    pub requests: Requests,
}

/// Runs both forms and prints a table of each.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    for expand in [Expand::Routes, Expand::Service] {
        let word = word(expand);
        if options.expand.as_deref().is_some_and(|asked| asked != word) {
            continue;
        }
        eprintln!("expand: {word}: the floor");
        let floor = floor::measure(options.services, expand).await?;
        eprintln!("expand: {word}: {:.1} s; the agent", floor.as_secs_f64());
        measure(options, expand, floor).await?;
    }
    Ok(())
}

/// As the command line says it.
pub fn word(expand: Expand) -> &'static str {
    match expand {
        Expand::Routes => "routes",
        Expand::Service => "service",
    }
}

async fn measure(options: &Options, expand: Expand, floor: Duration) -> anyhow::Result<()> {
    let count = options.services;
    let stage = Fixture::start(&["--without-node"]).await?;
    let _node = AbortOnDropHandle::new(tokio::spawn(shop::play_node(stage.client.clone())));
    shop::policy(&stage).await?;
    let agent = stage.agent(&[
        "--interval",
        "1h",
        "--policy",
        shop::UNPROBED,
        "--expand",
        word(expand),
        "--log",
        LOG,
    ])?;
    let progress = Progress::follow(&stage.client, expand);
    let meter = Meter {
        stage: &stage,
        agent: &agent,
    };
    let empty = stage.repository.git(&["rev-parse", "HEAD"]);
    meter.observed(&empty).await?;
    let started = agent.memory()?;

    shop::write(&stage.repository, count, "one");
    stage.repository.push("A thousand services");
    let begun = meter.begin()?;
    meter.wish("first").await?;
    progress.applied(count, "one").await?;
    let mut lines = vec![meter.line("first sync, until every template is in the cluster", &begun)?];
    progress.at_rest(count).await?;
    lines.push(meter.line("first sync, until every service is at rest", &begun)?);
    meter.calm().await;
    let after_first = agent.memory()?;

    meter.interval("1s").await?;
    meter.calm().await;
    let begun = meter.begin()?;
    tokio::time::sleep(IDLE).await;
    lines.push(meter.line("looking at the unchanged repository 30 times", &begun)?);

    stage
        .repository
        .write("apps/README.md", "Nothing that counts.\n");
    let commit = stage.repository.push("A commit that changes no manifest");
    let begun = meter.begin()?;
    meter.observed(&commit).await?;
    let took = begun.at.elapsed();
    meter.calm().await;
    lines.push(meter.line_of(
        took,
        "second pass: a new commit, nothing changed in it",
        &begun,
    )?);

    shop::comment(&stage.repository, count);
    let commit = stage.repository.push("A comment in every file");
    let begun = meter.begin()?;
    meter.observed(&commit).await?;
    let took = begun.at.elapsed();
    meter.calm().await;
    lines.push(meter.line_of(
        took,
        "a comment in every file: read and planned anew",
        &begun,
    )?);

    meter.interval("1h").await?;
    meter.calm().await;
    let mut changes = Vec::new();
    for number in 1..=5 {
        let target = format!("change {number}");
        let name = shop::name(number * count / 6);
        shop::write_one(&stage.repository, &name, &target);
        let commit = stage.repository.push(&target);
        let begun = meter.begin()?;
        meter.wish(&target.replace(' ', "-")).await?;
        progress.shows(&name, &target).await?;
        let (read, look) = agent.look(&commit)?;
        let since_read = Timestamp::now().duration_since(read).as_secs_f64();
        changes.push(look.as_secs_f64() + since_read);
        if number == 1 {
            lines.push(meter.line("one changed file, until it is in the cluster", &begun)?);
        }
        meter.calm().await;
    }
    let peak = agent.memory()?;
    if let Some(path) = &options.keep_log {
        std::fs::write(path, agent.log())?;
    }
    agent.end().await?;

    let again = stage.agent(&[
        "--interval",
        "1h",
        "--policy",
        shop::UNPROBED,
        "--expand",
        word(expand),
        "--log",
        LOG,
    ])?;
    let meter = Meter {
        stage: &stage,
        agent: &again,
    };
    let begun = Begun {
        at: Instant::now(),
        cpu: Duration::ZERO,
        requests: Requests::default(),
    };
    meter.calm().await;
    lines.push(Line {
        took: None,
        ..meter.line(
            "the agent started anew: everything listed, nothing changed",
            &begun,
        )?
    });
    let anew = again.memory()?;
    again.end().await?;

    println!("\n{count} Services, `expand: {}`:\n", word(expand));
    println!("{}", report(&lines));
    let first = lines.first().and_then(|line| line.took).unwrap_or_default();
    println!(
        "Bare server-side apply of the same objects, 12 writers, no agent: {:.1} s; \
         first sync until every template is in the cluster: {:.2} of it.",
        floor.as_secs_f64(),
        first.as_secs_f64() / floor.as_secs_f64()
    );
    println!(
        "One changed file, from the beginning of the fetch until the cluster shows it, five times: {}.",
        table::range(&changes, " s")
    );
    println!(
        "Agent's memory: {:.0} MiB with nothing to do, {:.0} MiB at rest after the first sync, {:.0} MiB at most; \
         started anew beside all of it {:.0} MiB at most.",
        started.1, after_first.1, peak.0, anew.0
    );
    stage.end().await
}

fn report(lines: &[Line]) -> String {
    let header = ["what", "time", "agent's CPU", "reads", "writes", "requests"];
    let rows = lines
        .iter()
        .map(|line| {
            vec![
                line.what.clone(),
                line.took.map_or("-".to_owned(), |took| {
                    format!("{:.2} s", took.as_secs_f64())
                }),
                format!("{:.2} s", line.cpu.as_secs_f64()),
                line.requests.reads().to_string(),
                line.requests.writes().to_string(),
                line.requests.to_string(),
            ]
        })
        .collect();
    table::markdown(&header, rows)
}

/// Reads off what the agent has used.
pub struct Meter<'a> {
    /// Where.
    pub stage: &'a Fixture,
    /// Of whom.
    pub agent: &'a Process,
}

/// What it had used at the beginning.
pub struct Begun {
    at: Instant,
    cpu: Duration,
    requests: Requests,
}

impl Meter<'_> {
    /// From now on.
    pub fn begin(&self) -> anyhow::Result<Begun> {
        Ok(Begun {
            at: Instant::now(),
            cpu: self.agent.cpu()?,
            requests: Requests::read(&self.agent.log()),
        })
    }

    /// What was used since.
    pub fn line(&self, what: &str, begun: &Begun) -> anyhow::Result<Line> {
        self.line_of(begun.at.elapsed(), what, begun)
    }

    /// The same for what took so long, with what followed from it until now.
    fn line_of(&self, took: Duration, what: &str, begun: &Begun) -> anyhow::Result<Line> {
        Ok(Line {
            what: what.to_owned(),
            took: Some(took),
            cpu: self.agent.cpu()?.saturating_sub(begun.cpu),
            requests: Requests::read(&self.agent.log()).since(&begun.requests),
        })
    }

    /// Asks the agent to look at the repository now.
    pub async fn wish(&self, id: &str) -> anyhow::Result<()> {
        self.patch(json!({"metadata": {"annotations": {SYNC: id}}}))
            .await
    }

    /// Changes how often it looks.
    pub async fn interval(&self, interval: &str) -> anyhow::Result<()> {
        self.patch(json!({"spec": {"source": {"interval": interval}}}))
            .await
    }

    async fn patch(&self, patch: serde_json::Value) -> anyhow::Result<()> {
        let api: Api<Delivery> = Api::namespaced(self.stage.client.clone(), NAMESPACE);
        api.patch("shop", &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Waits until the agent says that it has planned with a commit.
    pub async fn observed(&self, commit: &str) -> anyhow::Result<()> {
        let api: Api<Delivery> = Api::namespaced(self.stage.client.clone(), NAMESPACE);
        let seen = |delivery: Option<&Delivery>| {
            let status = delivery.and_then(|delivery| delivery.status.as_ref());
            status.is_some_and(|status| status.observed_commit.as_deref() == Some(commit))
        };
        // The kind comes with the agent.
        let wait = async {
            loop {
                if api.list(&kube::api::ListParams::default()).await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            kube::runtime::wait::await_condition(api.clone(), "shop", seen).await
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .with_context(|| {
                format!("the agent does not come to {commit}:\n{}", self.agent.log())
            })??;
        Ok(())
    }

    /// Waits until the agent has asked the API server for nothing for a while.
    pub async fn calm(&self) {
        let mut before = None;
        loop {
            let now = Some(Requests::read(&self.agent.log()));
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(CALM).await;
        }
    }
}
