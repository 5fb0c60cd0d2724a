//! Parts of the cluster that are away for a while: each is a process of the bed, which a file of its
//! name keeps down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use sluice::api::rollout::{HoldReason, Outcome, Phase};

use super::at_hand;
use crate::harness::{BRISK, Harness, Hello, PATIENCE, Setting, Users};

/// A process of the bed that is kept down until this is dropped.
pub struct Down(PathBuf);

impl Down {
    pub async fn keep(process: &str) -> Self {
        let hold = bed().join("hold");
        std::fs::create_dir_all(&hold).unwrap();
        std::fs::write(hold.join(process), "").unwrap();
        let down = Self(hold.join(process));
        let pid = bed().join("pid").join(process);
        kill(&pid);
        let gone = async {
            while pid.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("it ends");
        down
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn bed() -> PathBuf {
    std::env::var_os("SLUICE_BED").expect("a bed").into()
}

/// Without a word, as a machine would take it.
fn kill(pid: &Path) {
    let process = std::fs::read_to_string(pid).unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", process.trim()])
        .status();
    assert!(killed.unwrap().success(), "{process}");
}

/// The cluster to itself, and `hello` at rest on its first revision.
pub async fn open(policy: &str) -> Harness {
    let harness = Harness::set(Setting {
        policy: policy.to_owned(),
        alone: true,
        ..Setting::default()
    })
    .await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    harness
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_knatives_webhook_and_is_not_taken_for_refused() {
    if !at_hand() {
        return;
    }
    let harness = open(BRISK).await;
    let users = harness.users("hello", 20);
    let webhook = Down::keep("webhook").await;
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness
        .delivery("shop", "said to wait for the webhook", |status| {
            let problems = status.problems.iter().map(|p| &p.message);
            let conditions = status.conditions.iter().map(|c| &c.message);
            let mut said = problems.chain(conditions);
            said.any(|words| words.contains("webhook"))
        })
        .await;
    drop(webhook);
    let status = harness.promoted("hello", &second).await;
    assert!(status.quarantine.is_empty(), "{:#?}", status.quarantine);
    let lost = users.stop().await;
    assert!(lost.iter().all(|answer| answer.status == 200));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_in_mid_release_changes_nothing() {
    away_in_mid_release("kube-apiserver").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_away_in_mid_release_changes_nothing() {
    // The API server answers meanwhile, and refuses every write and most reads.
    away_in_mid_release("etcd").await;
}

/// A process that nothing can be written without is away while a release is on its way.
async fn away_in_mid_release(process: &str) {
    if !at_hand() {
        return;
    }
    let harness = open(BRISK).await;
    let (users, second) = on_its_way(&harness).await;
    let down = Down::keep(process).await;
    harness.serves("hello", Duration::from_secs(5)).await;
    drop(down);
    goes_through(&harness, users, &second).await;
    harness.end().await;
}

/// A good release of `hello` that users meet a part of, and its commit.
pub async fn on_its_way(harness: &Harness) -> (Users, String) {
    let users = harness.users("hello", 20);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness
        .until("hello", "on its way", |s| {
            s.phase == Phase::Stepping && s.confirmed_at.is_some()
        })
        .await;
    (users, second)
}

/// The same at 20 %.
async fn half_way(harness: &Harness) -> (Users, String) {
    let begun = on_its_way(harness).await;
    harness
        .until("hello", "at 20 %", |s| {
            s.phase == Phase::Stepping && s.weight == 20 && s.confirmed_at.is_some()
        })
        .await;
    begun
}

/// The release ends well, and no user lost a request.
pub async fn goes_through(harness: &Harness, users: Users, commit: &str) {
    let status = harness.promoted("hello", commit).await;
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    assert!(status.quarantine.is_empty(), "{:#?}", status.quarantine);
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_holds_while_knatives_controller_is_away() {
    if !at_hand() {
        return;
    }
    let harness = open(BRISK).await;
    let (users, second) = on_its_way(&harness).await;
    let controller = Down::keep("controller").await;
    // The next split is written, and nobody makes anything of it.
    let status = harness
        .until("hello", "held", |s| {
            let hold = s.hold.as_ref();
            hold.is_some_and(|hold| hold.reason == HoldReason::Unconfirmed)
        })
        .await;
    assert_eq!(status.phase, Phase::Holding, "{}", status.message);
    drop(controller);
    goes_through(&harness, users, &second).await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_ready_in_mid_release_is_nobodys_fault() {
    if !at_hand() {
        return;
    }
    let harness = open("demo").await;
    let (users, second) = half_way(&harness).await;
    let kubelet = Down::keep("kubelet").await;
    let nodes: Api<Node> = Api::all(harness.client.clone());
    harness
        .when(nodes.clone(), "n1", "not ready", |node| !is_ready(node))
        .await;
    drop(kubelet);
    harness.when(nodes, "n1", "ready again", is_ready).await;
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    users.stop().await;
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}

fn is_ready(node: &Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .into_iter()
        .flat_map(|s| s.conditions.iter().flatten());
    conditions.any(|c| c.type_ == "Ready" && c.status == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_anew_in_mid_release_is_nobodys_fault() {
    // Its counters begin anew as well.
    starts_anew_in_mid_release("gateway").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activator_that_starts_anew_in_mid_release_is_nobodys_fault() {
    starts_anew_in_mid_release("activator").await;
}

/// A process that dies while the release is at 20 %, and is back at once.
async fn starts_anew_in_mid_release(process: &str) {
    if !at_hand() {
        return;
    }
    let harness = open("demo").await;
    let (users, second) = half_way(&harness).await;
    kill(&bed().join("pid").join(process));
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    users.stop().await;
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}
