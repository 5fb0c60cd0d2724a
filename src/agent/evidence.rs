//! Gathers what a decision asks for, beside the loop that decides: a crash must be seen
//! while a probe is still waiting for its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::context::Context;
use super::gateway::{Gateway, NoWay};
use super::queue_proxies;
use crate::analysis::{Evidence, Limits, ProbeReport, ProbeRound, StepWindow, Unmeasured, Window};
use crate::evidence::{self, ProbePlan, ProbeTarget, SlowStart, probe};
use crate::policy::Policy;
use crate::rollout::{Gather, ProbeTargets};

/// Rest between two rounds of probes of one revision, where the policy's interval is longer.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(2);

/// Gathers evidence of one service's release.
pub struct Gatherer {
    context: Arc<Context>,
    namespace: String,
    service: String,
    evidence: Evidence,
    account: Arc<Mutex<Account>>,
    /// The slow start of what was probed last.
    starting: Option<(Probed, Starts)>,
    job: Option<Job>,
    news: mpsc::Receiver<News>,
    tell: mpsc::Sender<News>,
}

/// A revision, and when the release began that it is probed for: a revision that is tried again has the same name.
type Probed = (String, Option<Timestamp>);

/// What is under way.
struct Job {
    subject: Subject,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

enum Subject {
    /// Probes of this revision, in the release that began then.
    Probes(Probed),
    /// The window of a step; the sender says how it is to be looked at.
    Window {
        candidate: String,
        stable: String,
        weight: u8,
        since: Timestamp,
        asked: watch::Sender<Asked>,
    },
}

/// How a window is looked at, which may change while it is open.
#[derive(PartialEq)]
struct Asked {
    policy: Policy,
    /// Times count from then on.
    warm_until: Option<Timestamp>,
    /// Our own requests, where they are wanted as well.
    synthetic: Option<Box<ProbeTargets>>,
}

/// Boxed on its way: a channel keeps room for 32 of them, and there is one a service.
enum News {
    Round(Box<ProbeRound>),
    Window(Box<Window>),
}

impl Gatherer {
    /// Nothing is gathered until it is asked for.
    pub fn new(context: Arc<Context>, namespace: &str, service: &str) -> Self {
        let (tell, news) = mpsc::channel(8);
        Self {
            context,
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            evidence: Evidence::default(),
            account: Arc::default(),
            starting: None,
            job: None,
            news,
            tell,
        }
    }

    /// What is known by now.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Resolves when there is more. Safe to drop and call again.
    pub async fn news(&mut self) {
        // The sender lives in `self`, so there is always an answer.
        match self.news.recv().await {
            Some(News::Round(round)) => match &mut self.evidence.probes {
                Some(known) if round.continues(known) => known.add(*round),
                probes => *probes = Some(*round),
            },
            Some(News::Window(window)) => self.evidence.window = Some(*window),
            None => {}
        }
    }

    /// Sees to it that this, and nothing else, is being found out. `template` is Git's: the
    /// container's readiness path is asked where the policy names none.
    pub async fn wants(&mut self, gather: Gather, policy: &Policy, template: &Value) {
        match gather {
            Gather::Nothing => self.stop().await,
            Gather::Probes(targets) => self.probe(targets, policy, template).await,
            Gather::Metrics {
                candidate,
                stable,
                weight,
                since,
                warm_until,
                remembered,
                synthetic,
            } => {
                let asked = Asked {
                    policy: policy.clone(),
                    warm_until,
                    synthetic,
                };
                if let Some(open) = self.window_of(&candidate, &stable, weight, since) {
                    open.send_if_modified(|known| {
                        let changed = *known != asked;
                        *known = asked;
                        changed
                    });
                    return;
                }
                self.stop().await;
                self.evidence.window = None;
                // What was probed before it is about another time.
                self.evidence.probes = None;
                let (ask, asked) = watch::channel(asked);
                let (context, namespace, service) = self.names();
                let watcher = WindowWatcher {
                    context,
                    namespace,
                    service,
                    revisions: [candidate.clone(), stable.clone()],
                    own_pages: HashMap::new(),
                    template: template.clone(),
                    asked,
                    tell: self.tell.clone(),
                    account: self.account.clone(),
                };
                let (carried, ours, broken_off) = {
                    let mut account = self.account.lock();
                    let carried = account.carried(remembered.map(|known| *known));
                    let ours = std::mem::take(&mut account.unbooked);
                    (carried, ours, std::mem::take(&mut account.broken_off))
                };
                let mut window = StepWindow::open(
                    &self.namespace,
                    (&candidate, &stable),
                    weight,
                    since,
                    carried.as_ref(),
                    Limits::of(policy),
                    (Instant::now(), Timestamp::now()),
                );
                // What is not gone on with is counted from now on, after all of these.
                for round in ours.iter().filter(|_| carried.is_some()) {
                    window.book(round);
                }
                self.start(
                    Subject::Window {
                        candidate,
                        stable,
                        weight,
                        since,
                        asked: ask,
                    },
                    watcher.run(window, broken_off),
                );
            }
        }
    }

    /// Sends a round of probes to a revision, where none is under way.
    async fn probe(&mut self, targets: ProbeTargets, policy: &Policy, template: &Value) {
        let about = (targets.revision.clone(), targets.release_since);
        if self.is_probing(&about) {
            return;
        }
        self.stop().await;
        let known = self.evidence.probes.as_ref();
        let again =
            known.is_some_and(|round| round.revision == about.0 && round.release_since == about.1);
        let wait = if again {
            policy.interval.min(BETWEEN_ROUNDS)
        } else {
            Duration::ZERO
        };
        let starts = match &self.starting {
            Some((known, starts)) if *known == about => starts.clone(),
            _ => Starts::of(policy),
        };
        self.starting = Some((about.clone(), starts.clone()));
        let round = Round::new(policy, targets, template, starts);
        let (tell, account) = (self.tell.clone(), self.account.clone());
        let (context, namespace, service) = self.names();
        self.start(Subject::Probes(about), async move {
            tokio::time::sleep(wait).await;
            account.lock().broken_off = true;
            let round = round.run(&context.gateway, &namespace, &service).await;
            {
                let mut account = account.lock();
                account.broken_off = false;
                account.unbooked.push(round.clone());
            }
            let _ = tell.send(News::Round(Box::new(round))).await;
        });
    }

    fn names(&self) -> (Arc<Context>, String, String) {
        (
            self.context.clone(),
            self.namespace.clone(),
            self.service.clone(),
        )
    }

    fn is_probing(&self, about: &Probed) -> bool {
        self.job.as_ref().is_some_and(|job| {
            matches!(&job.subject, Subject::Probes(under_way) if under_way == about)
                && !job.task.is_finished()
        })
    }

    /// The window that is being watched, if it is about this.
    fn window_of(
        &self,
        candidate: &str,
        stable: &str,
        weight: u8,
        since: Timestamp,
    ) -> Option<&watch::Sender<Asked>> {
        let job = self.job.as_ref().filter(|job| !job.task.is_finished())?;
        match &job.subject {
            Subject::Window {
                candidate: c,
                stable: s,
                weight: w,
                since: t,
                asked,
            } if (c.as_str(), s.as_str(), *w, *t) == (candidate, stable, weight, since) => {
                Some(asked)
            }
            _ => None,
        }
    }

    fn start(&mut self, subject: Subject, work: impl Future<Output = ()> + Send + 'static) {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        self.job = Some(Job {
            subject,
            cancel,
            task,
        });
    }

    /// Ends what is under way. What it still had to say is no longer asked for.
    pub async fn stop(&mut self) {
        if let Some(job) = self.job.take() {
            job.cancel.cancel();
            let _ = job.task.await;
        }
    }
}

/// The slow starts of both sides, the same for all rounds that follow one another.
#[derive(Clone)]
struct Starts {
    candidate: SlowStart,
    stable: SlowStart,
}

impl Starts {
    fn of(policy: &Policy) -> Self {
        Self {
            candidate: SlowStart::of(policy),
            stable: SlowStart::of(policy),
        }
    }

    /// Those of revisions that were probed before: only what sleeps starts once more.
    fn awake(policy: &Policy, targets: &ProbeTargets) -> Self {
        let of = |sleeps: bool| {
            if sleeps {
                SlowStart::of(policy)
            } else {
                SlowStart::over()
            }
        };
        Self {
            candidate: of(targets.candidate_sleeps),
            stable: of(targets.stable_sleeps),
        }
    }
}

/// One round of probes.
struct Round {
    policy: Policy,
    plan: ProbePlan,
    targets: ProbeTargets,
    starts: Starts,
}

impl Round {
    fn new(policy: &Policy, targets: ProbeTargets, template: &Value, starts: Starts) -> Self {
        let plan = ProbePlan::of(policy, targets.count, readiness_path(template));
        Self {
            policy: policy.clone(),
            plan,
            targets,
            starts,
        }
    }

    /// Without a way to the candidate nothing is sent, which blames nobody.
    async fn run(&self, gateway: &Gateway, namespace: &str, service: &str) -> ProbeRound {
        let round = match self.ask(gateway, namespace, service).await {
            Ok(round) => round,
            Err(why) => ProbeRound {
                at: Timestamp::now(),
                candidate: ProbeReport {
                    errors: vec![why.to_string()],
                    ..ProbeReport::default()
                },
                ..ProbeRound::default()
            },
        };
        ProbeRound {
            revision: self.targets.revision.clone(),
            release_since: self.targets.release_since,
            ..round
        }
    }

    async fn ask(
        &self,
        gateway: &Gateway,
        namespace: &str,
        service: &str,
    ) -> Result<ProbeRound, NoWay> {
        let target = async |url: &str, sleeps: bool, slow_start: &SlowStart| {
            let connect_to = gateway.way_to(namespace, service, url).await?;
            Ok::<_, NoWay>(ProbeTarget {
                url: url.to_owned(),
                connect_to: Some(connect_to),
                sleeps,
                slow_start: slow_start.clone(),
            })
        };
        let (to, starts) = (&self.targets, &self.starts);
        let candidate = target(&to.candidate_url, to.candidate_sleeps, &starts.candidate).await?;
        let stable = match &to.stable_url {
            Some(url) => target(url, to.stable_sleeps, &starts.stable).await.ok(),
            None => None,
        };
        let trust = gateway.trust();
        Ok(probe::round(&self.policy, trust, &candidate, stable.as_ref(), &self.plan).await)
    }
}

/// The container's own HTTP readiness path.
fn readiness_path(template: &Value) -> Option<&str> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    containers
        .iter()
        .find_map(|container| container.pointer("/readinessProbe/httpGet/path")?.as_str())
}

/// Watches what users meet at one weight.
struct WindowWatcher {
    context: Arc<Context>,
    namespace: String,
    service: String,
    /// Candidate and stable.
    revisions: [String; 2],
    /// The queue-proxies' pages, where the gateway has none.
    own_pages: HashMap<String, Arc<evidence::Gateway>>,
    template: Value,
    asked: watch::Receiver<Asked>,
    tell: mpsc::Sender<News>,
    account: Arc<Mutex<Account>>,
}

impl WindowWatcher {
    /// Looks once an interval, and when it is asked otherwise, until it is dropped.
    async fn run(mut self, mut window: StepWindow, broken_off: bool) {
        let mut tick = ticking(self.asked.borrow().policy.interval);
        if broken_off {
            // What was given up just now is counted in a moment, and is none of what begins here.
            tick.reset();
        }
        // Our own requests are no users': no reading from before their end is taken, neither of
        // the probes that led here nor of those that are sent meanwhile.
        let mut ours_ended = Instant::now();
        // Probes saw the slow start of what is awake; what went to sleep for want of users has another one.
        let mut starts = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                changed = self.asked.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            let (interval, warm_until, round) = {
                let asked = self.asked.borrow_and_update();
                let targets = asked.synthetic.clone();
                let round = targets.map(|to| {
                    let known = starts.take().filter(|_| !to.candidate_sleeps);
                    let starts =
                        starts.insert(known.unwrap_or_else(|| Starts::awake(&asked.policy, &to)));
                    Round::new(&asked.policy, *to, &self.template, starts.clone())
                });
                (asked.policy.interval, asked.warm_until, round)
            };
            if tick.period() != interval {
                tick = ticking(interval);
                tick.reset();
            }
            self.look(&mut window, interval, warm_until, ours_ended)
                .await;
            if let Some(round) = round {
                self.account.lock().broken_off = true;
                let round = round
                    .run(&self.context.gateway, &self.namespace, &self.service)
                    .await;
                window.add_synthetic(round);
                self.account.lock().broken_off = false;
                ours_ended = Instant::now();
            }
            let seen = window.window();
            self.account.lock().ledger = Some(seen.ledger.clone());
            let news = News::Window(Box::new(seen));
            if self.tell.send(news).await.is_err() {
                return;
            }
        }
    }

    /// Adds what each instance of the gateway has counted, or else each Pod; that is worth
    /// something as long as one of them can be read.
    async fn look(
        &mut self,
        window: &mut StepWindow,
        interval: Duration,
        warm_until: Option<Timestamp>,
        ours_ended: Instant,
    ) {
        let (pages, why_not_the_gateway) = match self.context.gateway.metrics().await {
            Ok(pages) => (pages, None),
            Err(why) => (self.queue_proxies(), Some(why.to_string())),
        };
        // Half an interval: the releases of one page share a reading without falling behind.
        let recent = Instant::now().checked_sub(interval / 2);
        let not_before = recent.map_or(ours_ended, |recent| recent.max(ours_ended));
        let mut unread = None;
        let mut read = false;
        for page in &pages {
            match page.scrape(not_before).await {
                Ok(scrape) => {
                    let now = (Instant::now(), Timestamp::now());
                    window.add(page.url(), &scrape, warm_until, now);
                    read = true;
                }
                Err(why) => unread = Some(why.to_string()),
            }
        }
        if read {
            return;
        }
        let why = match (why_not_the_gateway, unread) {
            (Some(gateway), Some(pod)) => format!("{gateway}; {pod}"),
            (why, unread) => unread.or(why).unwrap_or_default(),
        };
        tracing::debug!(namespace = %self.namespace, service = %self.service, "{why}");
        let now = (Instant::now(), Timestamp::now());
        window.blind(Unmeasured::Unread(why), now);
    }

    fn queue_proxies(&mut self) -> Vec<Arc<evidence::Gateway>> {
        let [candidate, stable] = &self.revisions;
        let urls =
            queue_proxies::pages(&self.context.cluster, &self.namespace, &[candidate, stable]);
        self.own_pages.retain(|url, _| urls.contains(url));
        for url in urls {
            let trust = self.context.gateway.trust();
            self.own_pages
                .entry(url)
                .or_insert_with_key(|url| Arc::new(evidence::Gateway::new(url, trust)));
        }
        self.own_pages.values().cloned().collect()
    }
}

fn ticking(interval: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}
