//! From a push to the first request that its revision answers, and to 100 %: where the time
//! goes, under policy `fast` with 20 requests a second.
//!
//! Every time is one that was seen: the end of `git push` and the cluster's changes by this
//! program, over watches; the look at the repository by the agent's log. Services are
//! released one after the other.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use sluice::api::rollout::Phase;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

use crate::fixture::{Fixture, NAMESPACE};
use crate::process::Process;
use crate::releases::Releases;
use crate::table;
use crate::users::Users;

const PATIENCE: Duration = Duration::from_secs(120);
const RATE: u32 = 20;

/// How it is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many releases
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// The stretches of a release's way, in order.
const STRETCHES: [&str; 11] = [
    "poll: until the agent looks at the repository",
    "fetch, parse",
    "plan, pin stable, try the template (dry run), apply",
    "Configuration: a Revision",
    "Revision Ready: Pod scheduled, started, probed",
    "tag `candidate` at 0 %, confirmed",
    "probes: 5 to warm up, 200 that count, 50 of stable",
    "step 5 %",
    "step 20 %",
    "step 50 %",
    "100 %, confirmed",
];

/// Runs the releases and prints the table.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Fixture::start(&[]).await?;
    let agent = stage.agent(&["--policy", "fast", "--interval", "1s"])?;
    let releases = Releases::follow(stage.client.clone());
    let seen = Seen::default();
    let _watches = ["Configuration", "Revision"].map(|kind| seen.follow(&stage.client, kind));

    let mut stretches: Vec<Vec<f64>> = STRETCHES.iter().map(|_| Vec::new()).collect();
    let (mut first, mut full) = (Vec::new(), Vec::new());
    for run in 1..=options.runs {
        let service = format!("shop-{run}");
        write(&stage, &service, "one");
        let commit = stage.repository.push(&format!("{service}: one"));
        releases.promoted(&service, &commit, PATIENCE).await?;
        let host = format!("{service}.{NAMESPACE}.localhost");
        let users = Users::start(stage.gateway()?, host, RATE);
        tokio::time::sleep(Duration::from_secs(2)).await;

        write(&stage, &service, "two");
        let commit = stage.repository.push(&format!("{service}: two"));
        let pushed = (Instant::now(), Timestamp::now());
        let end = releases.promoted(&service, &commit, PATIENCE).await?;
        let answers = users.stop().await;

        let candidate = format!("{service}-00002");
        let when = Moments::collect(&releases, &seen, &agent, &service, &commit, pushed)?;
        let mut before = pushed.0;
        for (stretch, at) in stretches.iter_mut().zip(when.ends(end.at)) {
            stretch.push(at.saturating_duration_since(before).as_secs_f64());
            before = at;
        }
        let served = answers
            .iter()
            .filter(|answer| answer.revision == candidate)
            .map(|answer| answer.at + answer.took)
            .min()
            .context("no user was answered by the candidate")?;
        first.push((served - pushed.0).as_secs_f64());
        full.push((end.at - pushed.0).as_secs_f64());
    }
    println!(
        "\n{} releases, policy `fast`, {RATE} requests/s, the repository looked at once a second:\n",
        options.runs
    );
    let rows = STRETCHES
        .iter()
        .zip(&stretches)
        .map(|(words, times)| {
            vec![
                (*words).to_owned(),
                format!("{:.3} s", table::median(times)),
                times
                    .iter()
                    .map(|t| format!("{t:.3}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            ]
        })
        .collect();
    println!("{}", table::markdown(&["stretch", "median", "each"], rows));
    println!(
        "Push to the first user answered by the candidate: {}.",
        table::range(&first, " s")
    );
    println!("Push to 100 %: {}.", table::range(&full, " s"));
    agent.end().await?;
    stage.end().await
}

fn write(stage: &Fixture, service: &str, target: &str) {
    let manifest = format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: {service}\nspec:\n  template:\n    \
         spec:\n      containers:\n        - image: sluice.local/hello\n          env:\n            \
         - {{name: TARGET, value: \"{target}\"}}\n"
    );
    stage
        .repository
        .write(&format!("apps/{service}.yaml"), &manifest);
}

/// Configurations and Revisions as they were seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(Instant, DynamicObject)>>>);

impl Seen {
    fn follow(&self, client: &kube::Client, kind: &str) -> AbortOnDropHandle<()> {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("serving.knative.dev", "v1", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
        let seen = self.0.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let changes = watcher(api, watcher::Config::default())
                .default_backoff()
                .applied_objects();
            let taken = changes.try_for_each(|object| {
                seen.lock().push((Instant::now(), object));
                futures::future::ready(Ok(()))
            });
            let _ = taken.await;
        }))
    }

    /// When an object was first seen to be so.
    fn first(&self, name: &str, is: impl Fn(&DynamicObject) -> bool) -> anyhow::Result<Instant> {
        self.0
            .lock()
            .iter()
            .find(|(_, object)| object.name_any() == name && is(object))
            .map(|(at, _)| *at)
            .with_context(|| format!("{name} was never seen as it should be"))
    }
}

/// The ends of the stretches but the last.
struct Moments(Vec<Instant>);

impl Moments {
    fn collect(
        releases: &Releases,
        seen: &Seen,
        agent: &Process,
        service: &str,
        commit: &str,
        pushed: (Instant, Timestamp),
    ) -> anyhow::Result<Self> {
        let (read, took) = agent.look(commit)?;
        let since = |at: Timestamp| -> Instant {
            pushed.0 + Duration::try_from(at.duration_since(pushed.1)).unwrap_or_default()
        };
        let read = since(read);
        let generation_2 = |object: &DynamicObject| object.metadata.generation == Some(2);
        let candidate = format!("{service}-00002");
        let is_ready = |object: &DynamicObject| {
            let conditions = object
                .data
                .pointer("/status/conditions")
                .and_then(|all| all.as_array());
            conditions.is_some_and(|all| {
                all.iter().any(|c| {
                    c.get("type").is_some_and(|t| t == "Ready")
                        && c.get("status").is_some_and(|s| s == "True")
                })
            })
        };
        let moments = releases.of(service);
        let reached = |phase: Phase, weight: u8, confirmed: bool| {
            moments
                .iter()
                .find(|moment| {
                    moment.at >= pushed.0
                        && moment.status.phase == phase
                        && moment.status.weight == weight
                        && (!confirmed || moment.status.confirmed_at.is_some())
                })
                .map(|moment| moment.at)
                .with_context(|| format!("{service} was never seen in {phase} at {weight} %"))
        };
        Ok(Self(vec![
            read.checked_sub(took).unwrap_or(read),
            read,
            seen.first(service, generation_2)?,
            seen.first(&candidate, |_| true)?,
            seen.first(&candidate, is_ready)?,
            reached(Phase::Probing, 0, true)?,
            reached(Phase::Stepping, 5, true)?,
            reached(Phase::Stepping, 20, true)?,
            reached(Phase::Stepping, 50, true)?,
            reached(Phase::Promoting, 100, false)?,
        ]))
    }

    fn ends(self, last: Instant) -> impl Iterator<Item = Instant> {
        self.0.into_iter().chain([last])
    }
}
