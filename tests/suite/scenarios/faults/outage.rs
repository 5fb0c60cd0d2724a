//! The API server is away.

use std::time::Duration;

use sluice::agent::Agent;
use sluice::api::delivery::Expand;
use sluice::api::rollout::Phase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::relay::Relay;
use super::{hello, hurried, open_shop};
use crate::harness::{Harness, Users, in_both_forms};

in_both_forms!(
    an_api_server_that_is_lost_in_mid_release_and_back_changes_nothing,
    time_without_the_api_server_makes_no_deadline_pass,
    a_bad_release_is_rolled_back_as_soon_as_a_lost_api_server_is_there_again,
    the_whole_cluster_loses_its_api_server_and_users_do_not_notice,
    watches_that_expire_in_mid_release_miss_nothing,
);

/// An agent at the end of a wire that can be cut.
struct Wired {
    relay: Relay,
    lost: tokio::sync::watch::Receiver<sluice::cluster::Connectivity>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Wired {
    async fn start(harness: &Harness) -> Self {
        let (relay, client) = Relay::of(harness.kubeconfig()).await;
        let agent = Agent::prepare(harness.agent_config(client)).await.unwrap();
        let lost = agent.cluster().reach();
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let task = tokio::spawn(async move { agent.run(stop).await.unwrap() });
        Self {
            relay,
            lost,
            cancel,
            task,
        }
    }

    /// Cuts the wire and waits until the agent has noticed.
    async fn cut(&mut self) {
        self.relay.cut();
        let lost = self
            .lost
            .wait_for(|r| matches!(r, sluice::cluster::Connectivity::Lost { .. }));
        tokio::time::timeout(crate::harness::PATIENCE, lost)
            .await
            .expect("it notices")
            .unwrap();
    }

    async fn end(self, harness: Harness) {
        self.cancel.cancel();
        self.task.await.unwrap();
        harness.end().await;
    }
}

async fn nobody_was_harmed(users: Users) {
    let answers = users.stop().await;
    let harmed: Vec<_> = answers.iter().filter(|a| a.status != 200).collect();
    assert!(!answers.is_empty() && harmed.is_empty(), "{harmed:#?}");
}

async fn an_api_server_that_is_lost_in_mid_release_and_back_changes_nothing(expand: Expand) {
    let harness = hurried(expand).await;
    let mut agent = Wired::start(&harness).await;
    open_shop(&harness, "1s").await;
    let users = harness.users("hello", 20);

    let second = harness.push("Greet two", &[hello("two")]);
    harness
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    agent.cut().await;
    let away = harness.until("hello", "still there", |_| true).await;
    // Longer than the confirmation may take, and many bakes.
    harness.serves("hello", Duration::from_secs(12)).await;
    let before = harness.until("hello", "still there", |_| true).await;
    assert_eq!((before.phase, before.weight), (away.phase, away.weight));
    agent.relay.mend();
    let status = harness.promoted("hello", &second).await;
    let weights: Vec<u8> = status.evidence.iter().map(|e| e.weight).collect();
    assert_eq!(weights, [0, 50]);
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    nobody_was_harmed(users).await;
    agent.end(harness).await;
}

async fn time_without_the_api_server_makes_no_deadline_pass(expand: Expand) {
    let harness = hurried(expand).await;
    let mut agent = Wired::start(&harness).await;
    open_shop(&harness, "300ms").await;
    // Listens 28 s after its start; the deadline is 20 s, of which only the start of its Pod is seen.
    let slow = hello("two").env("LISTEN_AFTER_MS", "28000");
    let second = harness.push("Start slowly", &[slow]);
    harness
        .until("hello", "being made", |s| {
            s.phase == Phase::Staging && s.candidate.as_ref().is_some_and(|c| c.revision.is_some())
        })
        .await;
    agent.cut().await;
    harness.serves("hello", Duration::from_secs(28)).await;
    agent.relay.mend();
    harness.promoted("hello", &second).await;
    agent.end(harness).await;
}

async fn a_bad_release_is_rolled_back_as_soon_as_a_lost_api_server_is_there_again(expand: Expand) {
    let harness = hurried(expand).await;
    let mut agent = Wired::start(&harness).await;
    open_shop(&harness, "30s").await;
    // Well until it is asked to crash: while nobody can write.
    let bad = hello("two").env("CRASH_ON_PATH", "/crash");
    let second = harness.push("Crash when asked to", &[bad]);
    harness
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    agent.cut().await;
    for _ in 0..2 {
        harness
            .ask_in(harness.namespace(), "candidate-hello", "/crash")
            .await;
    }
    let still = harness.until("hello", "still there", |_| true).await;
    assert_eq!(still.phase, Phase::Stepping, "nobody could write");
    agent.relay.mend();
    let status = harness.rolled_back("hello", &second).await;
    assert_eq!(status.weight, 0);
    assert!(harness.ask("hello").await.body.contains("one"));
    agent.end(harness).await;
}

async fn the_whole_cluster_loses_its_api_server_and_users_do_not_notice(expand: Expand) {
    let mut harness = hurried(expand).await;
    harness.start_agent().await;
    open_shop(&harness, "1s").await;
    let users = harness.users("hello", 20);
    let second = harness.push("Greet two", &[hello("two")]);
    harness
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    let outage = harness.cluster().api().outage();
    harness.serves("hello", Duration::from_secs(5)).await;
    drop(outage);
    harness.promoted("hello", &second).await;
    // And once more, now that all watches have lived through one.
    let outage = harness.cluster().api().outage();
    let third = harness.push("Greet three", &[hello("three")]);
    harness.serves("hello", Duration::from_secs(3)).await;
    drop(outage);
    harness.promoted("hello", &third).await;
    nobody_was_harmed(users).await;
    harness.end().await;
}

async fn watches_that_expire_in_mid_release_miss_nothing(expand: Expand) {
    let mut harness = hurried(expand).await;
    harness.start_agent().await;
    open_shop(&harness, "300ms").await;
    let second = harness.push("Greet two", &[hello("two")]);
    let forget = async {
        let mut rest = tokio::time::interval(Duration::from_millis(50));
        loop {
            rest.tick().await;
            // Everybody's watches end, and what was is forgotten: each has to list again.
            drop(harness.cluster().api().outage());
            for (group, plural) in [
                ("serving.knative.dev", "revisions"),
                ("serving.knative.dev", "routes"),
                ("serving.knative.dev", "configurations"),
                ("sluice.dev", "servicerollouts"),
                ("sluice.dev", "deliveries"),
                ("", "pods"),
            ] {
                harness.cluster().api().compact(group, plural);
            }
        }
    };
    tokio::select! {
        status = harness.promoted("hello", &second) => assert_eq!(status.history.len(), 2),
        () = forget => unreachable!("it forgets for ever"),
    }
    harness.end().await;
}
