//! The API server is away.

use std::time::Duration;

use sluice::agent::Agent;
use sluice::api::delivery::Expand;
use sluice::api::rollout::Phase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::relay::Relay;
use super::{hello, hurried, open_shop};
use crate::world::{Users, World, in_both_forms};

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
    lost: tokio::sync::watch::Receiver<sluice::cluster::Reach>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Wired {
    async fn start(world: &World) -> Self {
        let (relay, client) = Relay::of(world.kubeconfig()).await;
        let agent = Agent::prepare(world.agent_config(client)).await.unwrap();
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
            .wait_for(|r| matches!(r, sluice::cluster::Reach::Lost { .. }));
        tokio::time::timeout(crate::world::PATIENCE, lost)
            .await
            .expect("it notices")
            .unwrap();
    }

    async fn end(self, world: World) {
        self.cancel.cancel();
        self.task.await.unwrap();
        world.end().await;
    }
}

async fn nobody_was_harmed(users: Users) {
    let answers = users.stop().await;
    let harmed: Vec<_> = answers.iter().filter(|a| a.status != 200).collect();
    assert!(!answers.is_empty() && harmed.is_empty(), "{harmed:#?}");
}

async fn an_api_server_that_is_lost_in_mid_release_and_back_changes_nothing(expand: Expand) {
    let world = hurried(expand).await;
    let mut agent = Wired::start(&world).await;
    open_shop(&world, "1s").await;
    let users = world.users("hello", 20);

    let second = world.push("Greet two", &[hello("two")]);
    world
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    agent.cut().await;
    let away = world.until("hello", "still there", |_| true).await;
    // Longer than the confirmation may take, and many bakes.
    world.serves("hello", Duration::from_secs(12)).await;
    let before = world.until("hello", "still there", |_| true).await;
    assert_eq!((before.phase, before.weight), (away.phase, away.weight));
    agent.relay.mend();
    let status = world.promoted("hello", &second).await;
    let weights: Vec<u8> = status.evidence.iter().map(|e| e.weight).collect();
    assert_eq!(weights, [0, 50]);
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    nobody_was_harmed(users).await;
    agent.end(world).await;
}

async fn time_without_the_api_server_makes_no_deadline_pass(expand: Expand) {
    let world = hurried(expand).await;
    let mut agent = Wired::start(&world).await;
    open_shop(&world, "300ms").await;
    // Listens 28 s after its start; the deadline is 20 s, of which only the start of its Pod is seen.
    let slow = hello("two").env("LISTEN_AFTER_MS", "28000");
    let second = world.push("Start slowly", &[slow]);
    world
        .until("hello", "being made", |s| {
            s.phase == Phase::Staging && s.candidate.as_ref().is_some_and(|c| c.revision.is_some())
        })
        .await;
    agent.cut().await;
    world.serves("hello", Duration::from_secs(28)).await;
    agent.relay.mend();
    world.promoted("hello", &second).await;
    agent.end(world).await;
}

async fn a_bad_release_is_rolled_back_as_soon_as_a_lost_api_server_is_there_again(expand: Expand) {
    let world = hurried(expand).await;
    let mut agent = Wired::start(&world).await;
    open_shop(&world, "30s").await;
    // Well until it is asked to crash: while nobody can write.
    let bad = hello("two").env("CRASH_ON_PATH", "/crash");
    let second = world.push("Crash when asked to", &[bad]);
    world
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    agent.cut().await;
    for _ in 0..2 {
        world
            .ask_in(world.namespace(), "candidate-hello", "/crash")
            .await;
    }
    let still = world.until("hello", "still there", |_| true).await;
    assert_eq!(still.phase, Phase::Stepping, "nobody could write");
    agent.relay.mend();
    let status = world.rolled_back("hello", &second).await;
    assert_eq!(status.weight, 0);
    assert!(world.ask("hello").await.body.contains("one"));
    agent.end(world).await;
}

async fn the_whole_cluster_loses_its_api_server_and_users_do_not_notice(expand: Expand) {
    let mut world = hurried(expand).await;
    world.start_agent().await;
    open_shop(&world, "1s").await;
    let users = world.users("hello", 20);
    let second = world.push("Greet two", &[hello("two")]);
    world
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    let outage = world.cluster().api().outage();
    world.serves("hello", Duration::from_secs(5)).await;
    drop(outage);
    world.promoted("hello", &second).await;
    // And once more, now that all watches have lived through one.
    let outage = world.cluster().api().outage();
    let third = world.push("Greet three", &[hello("three")]);
    world.serves("hello", Duration::from_secs(3)).await;
    drop(outage);
    world.promoted("hello", &third).await;
    nobody_was_harmed(users).await;
    world.end().await;
}

async fn watches_that_expire_in_mid_release_miss_nothing(expand: Expand) {
    let mut world = hurried(expand).await;
    world.start_agent().await;
    open_shop(&world, "300ms").await;
    let second = world.push("Greet two", &[hello("two")]);
    let forget = async {
        let mut rest = tokio::time::interval(Duration::from_millis(50));
        loop {
            rest.tick().await;
            // Everybody's watches end, and what was is forgotten: each has to list again.
            drop(world.cluster().api().outage());
            for (group, plural) in [
                ("serving.knative.dev", "revisions"),
                ("serving.knative.dev", "routes"),
                ("serving.knative.dev", "configurations"),
                ("sluice.dev", "servicerollouts"),
                ("sluice.dev", "deliveries"),
                ("", "pods"),
            ] {
                world.cluster().api().compact(group, plural);
            }
        }
    };
    tokio::select! {
        status = world.promoted("hello", &second) => assert_eq!(status.history.len(), 2),
        () = forget => unreachable!("it forgets for ever"),
    }
    world.end().await;
}
