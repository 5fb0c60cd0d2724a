//! The agent dies, or the machine with everything on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;
use sluice::api::delivery::Expand;
use sluice::api::rollout::{Phase, RolloutStatus, ServiceRollout};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::mortal::{MortalAgent, Scythe};
use super::{hello, hurried, open_shop};
use crate::harness::{Harness, Hello, NAMESPACE, PATIENCE, in_both_forms};
use crate::program;

in_both_forms!(
    a_good_release_ends_the_same_behind_whichever_write_the_agent_is_killed,
    a_bad_release_ends_the_same_behind_whichever_write_the_agent_is_killed,
    a_first_delivery_ends_the_same_behind_whichever_write_the_agent_is_killed,
    of_two_agents_the_other_goes_on_when_the_one_that_leads_dies,
    an_agent_process_that_is_killed_in_mid_release_is_gone_on_with_by_the_next,
);

/// One kind of release, done again and again.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Good,
    Bad,
    First,
}

impl Kind {
    /// The service of a round: a first delivery needs one that was never there.
    fn service(self, round: usize) -> String {
        match self {
            Self::Good | Self::Bad => "hello".to_owned(),
            Self::First => format!("first{round}"),
        }
    }

    fn manifest(self, round: usize) -> Hello {
        let service = Hello::new(&self.service(round), &format!("round {round}"));
        match self {
            Self::Bad => service.env("FAIL_PERCENT", "100"),
            Self::Good | Self::First => service,
        }
    }
}

/// Releases of one kind, undisturbed once, and then with the agent killed behind each of its
/// writes in turn. Each must end as the undisturbed one did.
async fn killed_behind_each_of_its_writes(kind: Kind, expand: Expand) {
    let harness = hurried(expand).await;
    {
        // Installs the kinds.
        let scythe = Scythe::new("nobody", 0);
        let agent = MortalAgent::start(harness.agent_config(scythe.client(harness.client.clone())));
        harness.kinds_are_there().await;
        open_shop(&harness, "200ms").await;
        agent.kill();
    }
    let users = (kind == Kind::Bad).then(|| harness.users("hello", 30));
    let undisturbed = Scythe::new(&kind.service(0), 0);
    let expected = round(&harness, kind, 0, &undisturbed).await;
    let writes = undisturbed.made();
    assert!(writes >= 8, "a release takes some writes: {writes}");
    let mut deaths = 0;
    for number in 1..=writes {
        let scythe = Scythe::new(&kind.service(number), number);
        let end = round(&harness, kind, number, &scythe).await;
        assert_eq!(end, expected, "killed behind write {number} of {writes}");
        deaths += usize::from(scythe.made() >= number);
    }
    // How many verdicts on the way are recorded depends on how busy the machine is.
    assert!(deaths * 2 > writes, "{deaths} deaths, {writes} writes");
    if let Some(users) = users {
        let answers = users.stop().await;
        let harmed = answers.iter().filter(|a| a.status != 200).count();
        assert!(
            harmed > 0 && harmed * 2 < answers.len(),
            "{harmed} of {}",
            answers.len()
        );
    }
    harness.end().await;
}

/// A release under an agent that may die, and under another one from there on; gives its end.
async fn round(
    harness: &Harness,
    kind: Kind,
    number: usize,
    scythe: &std::sync::Arc<Scythe>,
) -> String {
    let service = kind.service(number);
    let before = generation(harness, &service).await;
    let agent = MortalAgent::start(harness.agent_config(scythe.client(harness.client.clone())));
    let commit = harness.push(&format!("Round {number}"), &[kind.manifest(number)]);
    let at_rest = || async {
        match kind {
            Kind::Bad => harness.rolled_back(&service, &commit).await,
            Kind::Good | Kind::First => harness.promoted(&service, &commit).await,
        };
        harness.until(&service, "confirmed", is_confirmed).await;
    };
    let agent = tokio::select! {
        () = at_rest() => agent,
        () = scythe.struck() => {
            agent.kill();
            MortalAgent::start(harness.agent_config(harness.client.clone()))
        }
    };
    at_rest().await;
    let end = end(harness, &service, before, &commit).await;
    agent.kill();
    end
}

/// The cluster has the traffic that was asked for last.
fn is_confirmed(status: &RolloutStatus) -> bool {
    status.confirmed_at.is_some()
}

/// How a release ended, with everything in it that must not depend on who died when.
async fn end(harness: &Harness, service: &str, before: i64, commit: &str) -> String {
    let rollouts: Api<ServiceRollout> =
        Api::namespaced(harness.client.clone(), harness.namespace());
    let status = rollouts.get(service).await.unwrap().status.unwrap();
    let revisions = harness.serving("Revision");
    let made = |revision: &DynamicObject| {
        let labels = revision.metadata.labels.clone().unwrap_or_default();
        labels
            .get("serving.knative.dev/configuration")
            .map(String::as_str)
            == Some(service)
            && generation_of(labels.get("serving.knative.dev/configurationGeneration")) > before
    };
    let all = revisions.list(&ListParams::default()).await.unwrap().items;
    let made: Vec<&DynamicObject> = all.iter().filter(|r| made(r)).collect();
    let name_of = |release: Option<&sluice::api::rollout::Release>| {
        release.and_then(|r| r.revision.clone()).unwrap_or_default()
    };
    let new = made
        .first()
        .and_then(|r| r.metadata.name.clone())
        .unwrap_or_default();
    let relative = |text: String| match text.contains(&new) && !new.is_empty() {
        true => "the new one".to_owned(),
        false => "the old one".to_owned(),
    };
    let route = harness.serving("Route").get(service).await.unwrap();
    let targets = |path: &str| -> Vec<String> {
        let targets = route.data.pointer(path).and_then(Value::as_array).cloned();
        targets
            .unwrap_or_default()
            .iter()
            .map(|t| {
                let revision = t["revisionName"].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", relative(revision), t["percent"], t["tag"])
            })
            .collect()
    };
    let weights: Vec<u8> = status.evidence.iter().map(|e| e.weight).collect();
    let last = &status.history[0];
    format!(
        "{:?} on {}, candidate {:?}, {} %; {} made; wanted {:?}, has {:?}; ended {:?} at {} %, of this commit: {}; \
         judged at {weights:?}; quarantined: {}; failures {}",
        status.phase,
        relative(name_of(status.stable.as_ref())),
        status.candidate,
        status.weight,
        made.len(),
        targets("/spec/traffic"),
        targets("/status/traffic"),
        last.outcome,
        last.weight,
        last.release.commit.as_deref() == Some(commit),
        status
            .quarantine
            .iter()
            .any(|q| q.commit.as_deref() == Some(commit)),
        status.failures,
    )
}

fn generation_of(text: Option<&String>) -> i64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The generation of a service's Configuration; 0 where there is none.
async fn generation(harness: &Harness, service: &str) -> i64 {
    let found = harness
        .serving("Configuration")
        .get_opt(service)
        .await
        .unwrap();
    found
        .and_then(|c| c.metadata.generation)
        .unwrap_or_default()
}

async fn a_good_release_ends_the_same_behind_whichever_write_the_agent_is_killed(expand: Expand) {
    killed_behind_each_of_its_writes(Kind::Good, expand).await;
}

async fn a_bad_release_ends_the_same_behind_whichever_write_the_agent_is_killed(expand: Expand) {
    killed_behind_each_of_its_writes(Kind::Bad, expand).await;
}

async fn a_first_delivery_ends_the_same_behind_whichever_write_the_agent_is_killed(expand: Expand) {
    killed_behind_each_of_its_writes(Kind::First, expand).await;
}

async fn of_two_agents_the_other_goes_on_when_the_one_that_leads_dies(expand: Expand) {
    let harness = hurried(expand).await;
    let start = async |identity: &str| {
        let mut config = harness.agent_config(harness.fresh_client().await);
        config.identity = identity.to_owned();
        MortalAgent::start(config)
    };
    let leader = start("one").await;
    harness.kinds_are_there().await;
    open_shop(&harness, "1s").await;
    let other = start("other").await;
    let second = harness.push("Greet two", &[hello("two")]);
    harness
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    leader.kill();
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    let holder: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(harness.client.clone(), harness.namespace());
    let lease = holder.get("sluice-shop").await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(2), "it changed hands once");
    other.kill();
    harness.end().await;
}

/// The agent as a process of its own.
fn agent_process(harness: &Harness) -> Child {
    let cache = harness.folder().join("cache-of-the-process");
    let mut command = program::sluice(harness.folder(), &["run", "--log-format", "json"]);
    command
        .arg("--kubeconfig")
        .arg(harness.kubeconfig())
        .args(["--namespace", harness.namespace(), "--one-namespace"])
        .args(["--identity", "agent-of-the-story"])
        .arg("--cache-dir")
        .arg(cache)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn an_agent_process_that_is_killed_in_mid_release_is_gone_on_with_by_the_next(
    expand: Expand,
) {
    let harness = hurried(expand).await;
    let mut agent = agent_process(&harness);
    let logs = lines(&mut agent);
    harness.kinds_are_there().await;
    let first = open_shop(&harness, "1s").await;
    let second = harness.push("Greet two", &[hello("two")]);
    harness
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    agent.kill().await.unwrap();
    let mut log = logs.await.unwrap();

    let mut agent = agent_process(&harness);
    let logs = lines(&mut agent);
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    agent.kill().await.unwrap();
    log.extend(logs.await.unwrap());
    // Each line of a release names it: delivery, service, revision and commit.
    let of_release: Vec<&Value> = log.iter().filter(|l| !l["service"].is_null()).collect();
    assert!(of_release.len() >= 8, "{log:#?}");
    let of_story = |name: &str| format!("{}{name}", harness.namespace());
    for line in &of_release {
        let (delivery, service) = (line["delivery"].as_str(), line["service"].as_str());
        assert_eq!(delivery, Some(of_story(".shop").as_str()), "{line}");
        assert_eq!(service, Some(of_story("/hello").as_str()), "{line}");
        assert!(
            line["revision"].is_string() && line["message"].is_string(),
            "{line}"
        );
        let commit = line["commit"].as_str().unwrap();
        assert!(
            [first.as_str(), second.as_str()].contains(&commit),
            "{line}"
        );
    }
    let says = |word: &str| of_release.iter().any(|line| line["reason"] == word);
    assert!(says("WeightRaised") && says("Promoted"), "{of_release:#?}");
    harness.end().await;
}

/// Every line of a process's log, until it ends.
fn lines(child: &mut Child) -> tokio::task::JoinHandle<Vec<Value>> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    tokio::spawn(async move {
        let mut read = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(line) = serde_json::from_str(&line) {
                read.push(line);
            }
        }
        read
    })
}

/// A cluster with its agent as one process, as `sluice local up --repo` starts it.
struct Machine {
    child: Child,
    client: kube::Client,
}

impl Machine {
    /// Starts it, and waits until it says that it is ready.
    async fn up(home: &Path, repository: &str) -> Self {
        let mut child = program::sluice(
            home,
            &[
                "local",
                "up",
                "--gateway-listen",
                "127.0.0.1:0",
                "--repo",
                repository,
            ],
        )
        .args(["--path", "apps", "--interval", "200ms", "--policy", "demo"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("ready in ") {
                    return;
                }
            }
            panic!("it ended before it was ready");
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .expect("it is ready");
        let file = home.join(".local/share/sluice/kubeconfig");
        let file = kube::config::Kubeconfig::read_from(file).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await;
        let client = kube::Client::try_from(config.unwrap()).unwrap();
        Self { child, client }
    }

    /// Every process that it started, and those that they started.
    fn family(&self) -> BTreeSet<u32> {
        let mut family = BTreeSet::new();
        let mut next = vec![self.child.id().unwrap()];
        while let Some(parent) = next.pop() {
            for process in std::fs::read_dir("/proc").unwrap() {
                let name = process.unwrap().file_name();
                let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                    continue;
                };
                if parent_of(pid) == Some(parent) && family.insert(pid) {
                    next.push(pid);
                }
            }
        }
        family
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

/// Waits until a service's ServiceRollout is there and is like this.
async fn rollout(
    client: &kube::Client,
    reached: impl Fn(&ServiceRollout) -> bool,
) -> ServiceRollout {
    let api: Api<ServiceRollout> = Api::namespaced(client.clone(), NAMESPACE);
    let seen = |rollout: Option<&ServiceRollout>| rollout.is_some_and(&reached);
    let wait = kube::runtime::wait::await_condition(api, "hello", seen);
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it comes to this in time")
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_killed_in_mid_release_comes_back_with_nothing_lost() {
    let home = tempfile::tempdir().unwrap();
    let repository = crate::harness::TestRepository::create(&home.path().join("shop.git"));
    let push = |target: &str| {
        repository.write("apps/hello.yaml", &hello(target).manifest());
        repository.push(&format!("Greet {target}"))
    };
    let url = repository.url();
    let stable = |commit: String| {
        move |rollout: &ServiceRollout| {
            let status = rollout.status.clone().unwrap_or_default();
            let stable = status.stable.and_then(|stable| stable.commit);
            status.phase == Phase::Stable && stable.as_deref() == Some(&commit)
        }
    };
    let first = push("one");
    let mut machine = Machine::up(home.path(), &url).await;
    let before = rollout(&machine.client, stable(first)).await;
    let second = push("two");
    rollout(&machine.client, |rollout| {
        rollout
            .status
            .as_ref()
            .is_some_and(|s| s.phase == Phase::Stepping)
    })
    .await;
    let family = machine.family();
    assert!(family.len() >= 2, "two revisions run: {family:?}");
    machine.child.kill().await.unwrap();
    let gone = tokio::task::spawn_blocking(move || all_end(family));
    gone.await.unwrap();

    let mut machine = Machine::up(home.path(), &url).await;
    // The same cluster: its objects, and a release that goes on.
    let after = rollout(&machine.client, stable(second)).await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    let outcomes = after.status.unwrap().history.len();
    assert_eq!(outcomes, 2, "nothing happened twice");
    let family = machine.family();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(machine.child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, machine.child.wait());
    let status = status.await.expect("it ends").unwrap();
    assert!(status.success(), "{status:?}");
    assert!(
        family.iter().all(|pid| parent_of(*pid).is_none()),
        "in good order"
    );
}

/// Waits until none of these processes is left; the system tells nobody of other's children.
fn all_end(family: BTreeSet<u32>) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while family.iter().any(|pid| parent_of(*pid).is_some()) {
        assert!(
            std::time::Instant::now() < deadline,
            "of {family:?} some are left"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
