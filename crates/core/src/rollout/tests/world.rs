//! A small cluster, a small Git and an agent that follows the protocol: a second a tick.
//!
//! The cluster does what Knative was seen to do: revisions take time, a Route with one target
//! that is not Ready keeps its old split, Pods tell of crashes long before conditions do.

mod agent;
mod chance;
mod cluster;
mod trouble;

pub use chance::{Chance, Shape, Start};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::analysis::{
    Booked, Counters, Evidence, Latencies, Limits, PathReport, ProbeReport, ProbeRound, Scrape,
    StepWindow, Unmeasured,
};
use crate::api::delivery::{Drift, Expand};
use crate::api::object::TemplateHash;
use crate::api::rollout::{Action, Phase, Request, RolloutSpec, RolloutStatus};
use crate::api::serving::{KnativeCondition, TrafficTarget};
use crate::policy::{Policy, preset};
use crate::rollout::{
    ConfigurationFacts, Gather, Intent, Live, Order, PodFacts, ProbeTargets, RevisionFacts,
    RouteFacts, Write, decide,
};

/// How a template behaves once it runs.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Seconds until Ready; `None`: never.
    pub ready_after: Option<u64>,
    /// Seconds of age at which a container ends with exit code 3.
    pub crashes: Vec<u64>,
    /// Failed answers of a hundred.
    pub errors: u64,
    /// Answer time.
    pub ms: f64,
    /// What is answered where nothing fails.
    pub status: u16,
    /// Seconds of age up to which every probe takes 800 ms.
    pub slow_until: Option<u64>,
    /// Only users see the errors and the slowness; probes' path is fine.
    pub hidden: bool,
    /// Seconds of age between which its readiness probe fails, while its Revision stays Ready.
    pub unready: Option<(u64, u64)>,
    /// The condition that it ends in at that age.
    pub fails_at: Option<(u64, &'static str)>,
}

/// Ready after two seconds, and well.
pub fn good() -> Behaviour {
    Behaviour {
        ready_after: Some(2),
        crashes: vec![],
        errors: 0,
        ms: 20.0,
        status: 200,
        slow_until: None,
        hidden: false,
        unready: None,
        fails_at: None,
    }
}

/// So many failed answers of a hundred.
pub fn failing(errors: u64) -> Behaviour {
    Behaviour { errors, ..good() }
}

/// Every answer takes so long.
pub fn slow(ms: f64) -> Behaviour {
    Behaviour { ms, ..good() }
}

#[derive(Clone, Debug)]
struct Rev {
    generation: i64,
    hash: String,
    born: u64,
    kept: bool,
}

#[derive(Clone, Debug, Default)]
struct Config {
    generation: i64,
    observed: i64,
    changed_at: u64,
    template: String,
    attempt: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Route {
    generation: i64,
    observed: i64,
    changed_at: u64,
    pub spec: Vec<TrafficTarget>,
    pub status: Vec<TrafficTarget>,
    ready: KnativeCondition,
    pub rolled_back: Option<TemplateHash>,
    refused: Option<String>,
}

/// The most seconds that caches are behind.
const LONGEST_LAG: usize = 8;

/// What the cluster has at one time.
#[derive(Clone)]
struct Objects {
    configuration: Option<Config>,
    route: Option<Route>,
    revisions: Vec<RevisionFacts>,
}

type Script = Box<dyn FnOnce(&mut World)>;

pub struct World {
    pub second: u64,
    /// The second that the story begins at.
    zero: u64,
    pub policy: Policy,
    pub git: Intent,
    pub spec: RolloutSpec,
    pub status: RolloutStatus,
    /// What an agent that begins anew finds.
    stored: RolloutStatus,
    /// What it would have found in the last minute, oldest first.
    backups: VecDeque<RolloutStatus>,
    pub route: Option<Route>,
    pub story: String,
    /// Requests of users a second.
    pub users: u64,
    pub requests: u64,
    pub harmed: u64,
    /// The gateway's counters cannot be read.
    pub blind: bool,
    /// In these words.
    pub blind_words: String,
    /// Knative's controller does nothing.
    pub stuck: bool,
    /// The Configuration is not its Service's: the template is never taken up.
    pub foreign: bool,
    /// The Route's controller looks, and says that it cannot route so.
    pub denied: bool,
    /// The API server cannot be reached.
    pub away: bool,
    /// The API server refuses templates, in these words.
    pub refuses: Option<String>,
    /// The agent asks the API server again about what it refused.
    pub asked_again: bool,
    /// The revision that Git's template names was made from another one.
    pub reused: bool,
    /// The API server stores no status.
    pub stores_nothing: bool,
    /// The API server refuses every traffic block but one with all of it at one revision.
    pub refuses_splits: bool,
    /// Templates that traffic was taken from for what they did, and that nobody asked to retry since.
    pub condemned: BTreeSet<String>,
    /// The agent's caches are so many seconds behind.
    pub lag: usize,
    /// What the cluster said in the last seconds, newest first.
    said: VecDeque<Objects>,
    /// The agent dies after its so-manieth call, and is back two seconds later.
    pub dies_after: Option<usize>,
    pub calls: usize,
    /// Invariants that were broken, in words.
    pub broken: Vec<String>,
    /// Revisions whose hash must not be remembered by the machine (deleted by hand).
    configuration: Option<Config>,
    revisions: BTreeMap<String, Rev>,
    behaviours: BTreeMap<String, Behaviour>,
    dead_until: u64,
    watching_since: u64,
    clock_skew: i64,
    evidence: Evidence,
    gather: Gather,
    window: Option<((String, u8, Timestamp), StepWindow)>,
    /// What the gateway has counted, of users and of our own requests.
    gateway: Scrape,
    started: Instant,
    /// What was probed last, and the second of its first round.
    first_probed: Option<((String, Option<Timestamp>), u64)>,
    /// Nobody named a path of probes.
    pub readiness_only: bool,
    counted: BTreeMap<String, (u64, u64)>,
    credit: BTreeMap<String, u64>,
    scripts: Vec<(u64, Script)>,
    requests_made: u32,
    pub quiet: bool,
    /// Seconds between two looks of everybody.
    pub tick: u64,
    /// Users come and fail by chance.
    pub chance: Option<Chance>,
}

impl World {
    pub fn new(policy: &str) -> Self {
        let git = Intent {
            namespace: "default".to_owned(),
            name: "hello".to_owned(),
            expand: Expand::Routes,
            template_hash: TemplateHash("v1".to_owned()),
            manifest: "v1".to_owned(),
            revision_name: None,
            final_traffic: vec![],
            traffic_problem: None,
            commit: Some("1111111aaaa".to_owned()),
            subject: Some("v1".to_owned()),
            suspended: false,
            withdrawn: false,
            policy_problem: None,
            memory_problem: None,
            source_problem: None,
            drift: Drift::Correct,
            config_changes: vec![],
        };
        Self {
            second: 0,
            zero: 0,
            policy: preset(policy).unwrap(),
            git,
            spec: RolloutSpec::default(),
            status: RolloutStatus::default(),
            stored: RolloutStatus::default(),
            backups: VecDeque::new(),
            route: None,
            story: String::new(),
            users: 20,
            requests: 0,
            harmed: 0,
            blind: false,
            blind_words: "metrics from http://gateway:9000: connection refused".to_owned(),
            stuck: false,
            foreign: false,
            denied: false,
            away: false,
            refuses: None,
            asked_again: false,
            reused: false,
            stores_nothing: false,
            refuses_splits: false,
            condemned: BTreeSet::new(),
            lag: 0,
            said: VecDeque::new(),
            dies_after: None,
            calls: 0,
            broken: vec![],
            configuration: None,
            revisions: BTreeMap::new(),
            behaviours: [("v1".to_owned(), good())].into(),
            dead_until: 0,
            watching_since: 0,
            clock_skew: 0,
            evidence: Evidence::default(),
            gather: Gather::Nothing,
            window: None,
            gateway: Scrape::default(),
            started: Instant::now(),
            first_probed: None,
            readiness_only: false,
            counted: BTreeMap::new(),
            credit: BTreeMap::new(),
            scripts: vec![],
            requests_made: 0,
            quiet: false,
            tick: 1,
            chance: None,
        }
    }

    /// v1 is delivered and at rest; the clock of the story starts after it.
    pub fn at_rest(policy: &str) -> Self {
        let mut world = Self::new(policy);
        world.quiet = true;
        world.run(60);
        assert_eq!(
            world.status.phase,
            Phase::Stable,
            "{}",
            world.status.message
        );
        world.quiet = false;
        world.story.clear();
        world.zero = world.second;
        world.requests = 0;
        world.harmed = 0;
        world.calls = 0;
        world
    }

    /// Does something at a second of the story.
    pub fn at(mut self, second: u64, script: impl FnOnce(&mut World) + 'static) -> Self {
        self.scripts.push((self.zero + second, Box::new(script)));
        self
    }

    /// Pushes a template at second 0.
    pub fn push(self, version: &'static str, behaviour: Behaviour) -> Self {
        self.at(0, move |world| world.commit(version, behaviour))
    }

    /// A commit with this template.
    pub fn commit(&mut self, version: &str, behaviour: Behaviour) {
        self.behaviours
            .entry(version.to_owned())
            .or_insert(behaviour);
        self.git.template_hash = TemplateHash(version.to_owned());
        self.git.manifest = version.to_owned();
        self.git.commit = Some(format!("{version:c<7}"));
        self.git.subject = Some(version.to_owned());
    }

    /// A person asks for something.
    pub fn ask(&mut self, action: Action, revision: Option<&str>) {
        self.requests_made += 1;
        if action == Action::Retry {
            self.condemned.clear();
        }
        let seen = self.status.seen();
        self.spec.requests.push(Request {
            expires: None,
            seen: Some(seen),
            id: format!("request-{}", self.requests_made),
            action,
            revision: revision.map(str::to_owned),
            by: Some("ada".to_owned()),
        });
    }

    /// A person changes the Route by hand: `revision percent` pairs.
    pub fn by_hand(&mut self, traffic: &[(&str, i64)]) {
        let second = self.second;
        if let Some(route) = &mut self.route {
            route.spec = traffic
                .iter()
                .map(|(name, percent)| TrafficTarget {
                    revision_name: (*name != "latest").then(|| (*name).to_owned()),
                    latest_revision: Some(*name == "latest"),
                    percent: Some(*percent),
                    ..TrafficTarget::default()
                })
                .collect();
            route.generation += 1;
            route.changed_at = second;
        }
    }

    /// A person edits the Configuration's template by hand.
    pub fn edit_template(&mut self, version: &str) {
        self.behaviours
            .entry(version.to_owned())
            .or_insert_with(good);
        let second = self.second;
        if let Some(configuration) = &mut self.configuration {
            configuration.template = version.to_owned();
            configuration.generation += 1;
            configuration.changed_at = second;
        }
    }

    pub fn delete_revision(&mut self, name: &str) {
        self.revisions.remove(name);
    }

    /// The revision ends in `Ready: False` now, or is well again.
    pub fn breaks(&mut self, version: &str, reason: Option<&'static str>) {
        if let Some(behaviour) = self.behaviours.get_mut(version) {
            behaviour.fails_at = reason.map(|reason| (0, reason));
        }
    }

    /// The agent is killed, and what it had stored is gone as well, or as it was at another time.
    pub fn forgets(&mut self, to: RolloutStatus) {
        self.stored = to;
        // Of what it does not remember, the Route's mark tells of the newest.
        let mark = self
            .route
            .as_ref()
            .and_then(|route| route.rolled_back.clone());
        let remembered = |hash: &String| {
            let of = |q: &crate::api::rollout::Quarantine| q.template_hash.0 == *hash;
            mark.as_ref().is_some_and(|mark| mark.0 == *hash)
                || self.stored.quarantine.iter().any(of)
        };
        self.condemned.retain(remembered);
        self.restart();
    }

    /// The agent begins anew with what was stored a minute ago.
    pub fn remembers_an_older_state(&mut self) {
        let older = self.backups.front().cloned().unwrap_or_default();
        self.forgets(older);
    }

    /// What is taken for stable.
    pub fn stable_name(&self) -> &str {
        let stable = self.status.stable.as_ref();
        stable
            .and_then(|s| s.revision.as_deref())
            .unwrap_or_default()
    }

    /// Whether what is taken for stable can take requests.
    pub fn stable_is_ready(&self) -> bool {
        let stable = self.status.stable.as_ref();
        let name = stable.and_then(|stable| stable.revision.as_deref());
        name.is_some_and(|name| self.live().is_usable(name))
    }

    /// What the API server did not take of Git's traffic is asked again.
    pub fn route_is_taken_again(&mut self) {
        if let Some(route) = &mut self.route {
            route.refused = None;
        }
    }

    /// The agent is killed, and is back two seconds later.
    pub fn restart(&mut self) {
        self.status = self.stored.clone();
        self.dead_until = self.second + 2;
        self.watching_since = self.dead_until;
        self.gather = Gather::Nothing;
        self.evidence = Evidence::default();
        self.window = None;
        self.first_probed = None;
    }

    pub fn delete_everything(&mut self) {
        self.revisions.clear();
        self.route = None;
        self.configuration = None;
    }

    pub fn behaves(&mut self, version: &str, behaviour: Behaviour) {
        self.behaviours.insert(version.to_owned(), behaviour);
    }

    /// The wall clock jumps; the agent notices, as it compares it with a steady one.
    pub fn clock_jumps(&mut self, seconds: i64) {
        self.clock_skew += seconds;
        self.watching_since = self.second;
    }

    /// A Service of somebody else's: two revisions, split, long before Sluice came.
    pub fn foreign(&mut self, split: &[(&str, i64)]) {
        for (generation, version) in [(1, "v0"), (2, "v1")] {
            self.behaviours
                .entry(version.to_owned())
                .or_insert_with(good);
            let revision = Rev {
                generation,
                hash: version.to_owned(),
                born: 0,
                kept: false,
            };
            self.revisions
                .insert(format!("hello-{generation:05}"), revision);
        }
        self.configuration = Some(Config {
            generation: 2,
            observed: 2,
            changed_at: 0,
            template: "v1".to_owned(),
            attempt: 0,
        });
        self.serves_for_long(split);
    }

    /// A Service that got Git's template, and which serves by itself. The agent has forgotten it.
    pub fn begun(&mut self) {
        self.git.expand = Expand::Service;
        self.configuration = Some(Config {
            generation: 1,
            template: "v1".to_owned(),
            ..Config::default()
        });
        self.serves_for_long(&[("latest", 100)]);
    }

    fn serves_for_long(&mut self, split: &[(&str, i64)]) {
        self.route = Some(Route::default());
        self.by_hand(split);
        self.away = true;
        self.run(5);
        self.away = false;
        self.zero = self.second;
        self.requests = 0;
        let scripts = std::mem::take(&mut self.scripts);
        self.scripts = scripts
            .into_iter()
            .map(|(at, script)| (at + self.zero, script))
            .collect();
    }

    pub fn now(&self) -> Timestamp {
        self.time(self.second)
    }

    /// What the clock says of a second.
    fn time(&self, second: u64) -> Timestamp {
        let second = i64::try_from(second).unwrap() + self.clock_skew;
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// Runs so many seconds.
    pub fn run(&mut self, seconds: u64) {
        let end = self.second + seconds;
        while self.second < end {
            let due: Vec<Script> = {
                let second = self.second;
                let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.scripts)
                    .into_iter()
                    .partition(|(at, _)| *at <= second);
                self.scripts = later;
                now.into_iter().map(|(_, script)| script).collect()
            };
            for script in due {
                script(self);
            }
            self.cluster();
            self.said.push_front(Objects {
                configuration: self.configuration.clone(),
                route: self.route.clone(),
                revisions: self.live().revisions,
            });
            self.said.truncate(LONGEST_LAG + 1);
            self.backups.push_back(self.stored.clone());
            if self.backups.len() > 60 {
                self.backups.pop_front();
            }
            self.users();
            if self.second >= self.dead_until && !self.away {
                self.observe();
                // The loop decides again after each of its own writes, and twice is enough
                // for it to settle within a second.
                self.agent();
            }
            self.second += self.tick;
        }
    }

    pub fn clock(&self) -> String {
        let second = self.second - self.zero;
        format!("{:02}:{:02}", second / 60, second % 60)
    }

    pub fn say(&mut self, text: &str) {
        if !self.quiet {
            let clock = self.clock();
            let _ = writeln!(self.story, "{clock}  {text}");
        }
    }

    /// The story, and where it ended.
    pub fn told(&self) -> String {
        let candidate = self
            .status
            .candidate
            .as_ref()
            .and_then(|c| c.revision.as_deref());
        let mut text = self.story.clone();
        let _ = writeln!(
            text,
            "end    {}{}; {}; {} of {} requests harmed",
            self.status.phase,
            candidate
                .map(|name| format!(" with {name}"))
                .unwrap_or_default(),
            self.route.as_ref().map_or_else(
                || "no Route".to_owned(),
                |route| super::super::describe(&route.status)
            ),
            self.harmed,
            self.requests,
        );
        for broken in &self.broken {
            let _ = writeln!(text, "BROKEN {broken}");
        }
        text
    }

    /// What must be the same however often the agent was killed on the way.
    pub fn end(&self) -> String {
        let status = &self.status;
        let name = |release: &Option<crate::api::rollout::Release>| {
            release
                .as_ref()
                .and_then(|r| r.revision.clone())
                .unwrap_or_default()
        };
        format!(
            "{} stable {} candidate {:?} traffic {} quarantine {:?} history {:?} template {:?}",
            status.phase,
            name(&status.stable),
            name(&status.candidate),
            self.route
                .as_ref()
                .map_or_else(String::new, |route| super::super::describe(&route.status)),
            status
                .quarantine
                .iter()
                .map(|q| q.template_hash.0.clone())
                .collect::<Vec<_>>(),
            status
                .history
                .iter()
                .map(|h| (
                    h.outcome,
                    h.release.revision.clone(),
                    h.release.template_hash.clone()
                ))
                .collect::<Vec<_>>(),
            self.configuration
                .as_ref()
                .map(|c| (c.template.clone(), c.generation)),
        )
    }
}
