//! `sluice demo`: the whole main job on this machine, with real requests, told as it happens.

mod load;
mod narrator;
mod repository;
mod screen;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::load::{Figures, Tally};
use self::narrator::{Narrator, Story};
use self::repository::{BRANCH, DemoRepository, HELLO};
use self::screen::Screen;
use super::output::{Tone, paint};
use super::run::ExpandArg;
use super::shutdown::Shutdown;
use super::{CommandOutcome, local};
use crate::api::delivery::{Delivery, DeliverySpec, Expand, GitReference, Source, Target};
use crate::api::duration::HumanDuration;
use crate::api::rollout::{Phase, RolloutStatus};
use crate::local::cluster::{LocalCluster, LocalConfig};

/// Requests a second that users send during the story.
const RATE: u32 = 40;
/// A chapter that takes longer than this has failed.
const CHAPTER: Duration = Duration::from_secs(120);
/// How far an event may be behind the status that it is about.
const EVENT: Duration = Duration::from_secs(2);
/// Where everything happens.
const NAMESPACE: &str = "default";

/// The whole main job on this machine.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the story, with status 0 only if it went as told
    #[arg(long)]
    exit: bool,
    /// Where the gateway listens; a free port when this one is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    gateway_listen: SocketAddr,
    /// Keep the cluster and the repository here, instead of in a temporary folder
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What is applied for a Service manifest
    #[arg(long, value_name = "KIND", default_value = "service")]
    expand: ExpandArg,
}

/// Tells the story; with `--exit` its outcome is the exit status.
pub async fn run(args: DemoArgs) -> anyhow::Result<CommandOutcome> {
    let mut shutdown = Shutdown::listen();
    let scratch;
    let dir = match &args.data_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => {
            scratch = tempfile::Builder::new().prefix("sluice-demo-").tempdir()?;
            scratch.path().to_owned()
        }
    };
    let gateway_listen = free_or_any(args.gateway_listen);
    // First: a folder of somebody else is to be refused before anything runs.
    let repository = DemoRepository::create(&dir.join("shop.git"))?;
    let cluster = LocalCluster::start(LocalConfig {
        data_dir: Some(dir.join("cluster")),
        gateway_listen: Some(gateway_listen),
        ..LocalConfig::default()
    })
    .await?;
    let cancel = CancellationToken::new();
    let (narrator, story) = Narrator::new();
    let screen = narrator.screen();
    screen.say(&header(&cluster, &repository, args.expand.into()));

    let agent = super::run::start_agent(
        cluster.client(),
        delivery(&repository, args.expand.into()),
        cancel.child_token(),
    )
    .await?;
    let telling = cancel.child_token();
    let client = cluster.client();
    let narration = tokio::spawn(async move { narrator.follow(client, NAMESPACE, telling).await });
    let stage = Stage {
        repository,
        story,
        screen,
        gateway: cluster.gateway_addr(),
    };

    let told = tokio::select! {
        told = stage.tell() => told,
        () = shutdown.requested() => Err(anyhow::anyhow!("interrupted")),
    };
    let told = told.and_then(|ending| stage.close(&ending));
    match &told {
        Ok(()) if !args.exit => {
            stage
                .screen
                .say("\nEverything stays up: push a commit of your own and watch. Ctrl-C ends it.");
            shutdown.requested().await;
        }
        Ok(()) => {}
        Err(error) => stage.screen.say(&paint(
            Tone::Bad,
            &format!("the story did not go as told: {error:#}"),
        )),
    }
    cancel.cancel();
    narration.await??;
    agent.await??;
    cluster.shutdown().await;
    Ok(if told.is_ok() {
        CommandOutcome::Done
    } else {
        CommandOutcome::Differs
    })
}

/// The wished-for address, or any free port on its host when somebody has it.
fn free_or_any(wished: SocketAddr) -> SocketAddr {
    match std::net::TcpListener::bind(wished) {
        Ok(_) => wished,
        Err(_) => SocketAddr::new(wished.ip(), 0),
    }
}

fn header(cluster: &LocalCluster, repository: &DemoRepository, expand: Expand) -> String {
    let port = cluster.endpoints().gateway_port;
    let kinds = match expand {
        Expand::Service => "ksvc",
        Expand::Routes => "configurations,routes",
    };
    format!(
        "{}Repository   {}\nServices     http://hello.{NAMESPACE}.localhost:{port}  http://random.{NAMESPACE}.localhost:{port}\n\n\
         Try          curl http://hello.{NAMESPACE}.localhost:{port}\n\
         \x20            kubectl --kubeconfig {} get {kinds},servicerollouts\n\
         \x20            git clone {} shop && cd shop   # change, commit, push\n",
        local::describe(cluster.endpoints()),
        repository.path().display(),
        cluster.endpoints().kubeconfig.display(),
        repository.path().display(),
    )
}

fn delivery(repository: &DemoRepository, expand: Expand) -> Delivery {
    let mut delivery = Delivery::new(
        "shop",
        DeliverySpec {
            source: Source {
                url: repository.url(),
                reference: Some(GitReference {
                    branch: Some(BRANCH.to_owned()),
                    ..Default::default()
                }),
                path: Some("apps".to_owned()),
                interval: Some(HumanDuration::from_secs(1)),
                secret_ref: None,
            },
            target: Target {
                namespace: Some(NAMESPACE.to_owned()),
                expand,
            },
            policy: Some("demo".to_owned()),
            prune: true,
            drift: Default::default(),
            suspend: false,
        },
    );
    delivery.metadata.namespace = Some(NAMESPACE.to_owned());
    delivery
}

/// What the story is told with.
struct Stage {
    repository: DemoRepository,
    story: watch::Receiver<Story>,
    screen: Screen,
    gateway: SocketAddr,
}

/// How the story ended, in figures.
struct Ending {
    all: Figures,
    by_bad_release: u64,
    good_took: Duration,
    bad_took: Duration,
}

impl Stage {
    async fn tell(&self) -> anyhow::Result<Ending> {
        self.chapter("First delivery: both services come up");
        for service in ["hello", "random"] {
            self.until(service, "Promoted", |status| status.phase == Phase::Stable)
                .await?;
        }
        let tally = Arc::new(Tally::default());
        let stop = CancellationToken::new();
        let host = format!("hello.{NAMESPACE}.localhost");
        let load = tokio::spawn(load::run(
            self.gateway,
            host,
            RATE,
            tally.clone(),
            stop.clone(),
        ));
        let told = self.releases(&tally).await;
        stop.cancel();
        load.await?;
        told.map(|mut ending| {
            ending.all = tally.figures();
            ending
        })
    }

    async fn releases(&self, tally: &Tally) -> anyhow::Result<Ending> {
        self.chapter(&format!("A good release, under {RATE} requests a second"));
        let manifest = self.repository.read(HELLO)?;
        let good = manifest.replace("\"World\"", "\"Sluice\"");
        let commit = self.push("Greet Sluice instead of the world", &good)?;
        let started = Instant::now();
        self.until("hello", "Promoted", |status| {
            status.phase == Phase::Stable && came_from(status, &commit)
        })
        .await?;
        let good_took = started.elapsed();

        self.chapter("A bad release: half of its answers are errors, and its readiness probe does not see it");
        let before = tally.figures();
        let bad = good.replace(
            "\"Sluice\"",
            "\"nobody\"\n            - name: FAIL_PERCENT\n              value: \"50\"",
        );
        let commit = self.push("Greet nobody", &bad)?;
        let started = Instant::now();
        let ended = self
            .until("hello", "RolledBack", |status| {
                status
                    .quarantine
                    .iter()
                    .any(|q| q.commit.as_deref() == Some(&commit))
                    && status.phase == Phase::RolledBack
                    || came_from(status, &commit)
            })
            .await?;
        let bad_took = started.elapsed();
        if came_from(&ended, &commit) {
            bail!("the bad release was promoted");
        }
        let by_bad_release = tally.figures().failed - before.failed;
        Ok(Ending {
            all: tally.figures(),
            by_bad_release,
            good_took,
            bad_took,
        })
    }

    fn push(&self, subject: &str, manifest: &str) -> anyhow::Result<String> {
        let commit = self.repository.commit(subject, &[(HELLO, manifest)])?;
        let short: String = commit.chars().take(7).collect();
        self.screen
            .say(&format!("         git push: {short} {subject:?}"));
        Ok(commit)
    }

    fn chapter(&self, title: &str) {
        self.screen.say(&format!("\n== {title}"));
    }

    /// Waits for a moment of a service's release, and until the event `word` that belongs to it
    /// was printed.
    async fn until(
        &self,
        service: &str,
        word: &str,
        reached: impl Fn(&RolloutStatus) -> bool,
    ) -> anyhow::Result<RolloutStatus> {
        let mut story = self.story.clone();
        let wait = story.wait_for(|all| all.get(service).is_some_and(|told| reached(&told.status)));
        let status = tokio::time::timeout(CHAPTER, wait)
            .await
            .with_context(|| format!("{service} did not get there within {} s", CHAPTER.as_secs()))?
            .context("the narrator ended")?
            .get(service)
            .map(|told| told.status.clone())
            .unwrap_or_default();
        let printed = story.wait_for(|all| all.get(service).is_some_and(|told| told.last == word));
        // An event is for people; the story does not hang on one.
        let _ = tokio::time::timeout(EVENT, printed).await;
        Ok(status)
    }

    /// The last lines: what it cost. An error when users were harmed by anything but the bad release.
    fn close(&self, ending: &Ending) -> anyhow::Result<()> {
        let Ending {
            all,
            by_bad_release,
            good_took,
            bad_took,
        } = ending;
        self.chapter("The end");
        self.screen.say(&format!(
            "the good release was at 100 % {:.1} s after its push, the bad one rolled back {:.1} s after its push",
            good_took.as_secs_f64(),
            bad_took.as_secs_f64()
        ));
        self.screen.say(&format!(
            "{} requests sent, {} failed, {by_bad_release} of them because of the bad release",
            all.sent, all.failed
        ));
        if all.failed > *by_bad_release {
            bail!(
                "{} requests failed that the bad release is not to blame for",
                all.failed - by_bad_release
            );
        }
        Ok(())
    }
}

fn came_from(status: &RolloutStatus, commit: &str) -> bool {
    status
        .stable
        .as_ref()
        .is_some_and(|stable| stable.commit.as_deref() == Some(commit))
}
