//! What a rollback goes back to is warm, for the load of the moment and not just once.

use std::time::Duration;

use crate::api::rollout::Phase;
use crate::rollout::tests::world::{World, failing, good};

/// Two hundred requests a second, twenty of which one Pod takes: stable has ten.
fn busy(watch: u64) -> World {
    let mut world = World::at_rest("fast");
    world.policy.watch = Duration::from_secs(watch);
    world.per_pod = Some(20);
    world.users = 200;
    world.run(5);
    assert_eq!(world.ready("hello-00001"), 10);
    world
}

#[test]
fn stable_keeps_its_instances_while_the_candidate_takes_its_users_and_until_the_watch_ends() {
    let mut world = busy(60);
    world.commit("v2", good());
    world.run(45);
    assert_eq!(world.status.weight, 50, "{}", world.told());
    assert_eq!(world.ready("hello-00001"), 10);
    assert_eq!(
        world.min_scale("hello-00001"),
        (Some("10"), Some("/10".to_owned()))
    );
    world.run(10);
    // Promoted and watched: the one before it, with no user left, still has what all of them need.
    assert_eq!(
        (world.status.phase, world.status.watch.is_some()),
        (Phase::Stable, true)
    );
    assert_eq!(
        (world.ready("hello-00001"), world.ready("hello-00002")),
        (10, 10)
    );
    assert_eq!(world.min_scale("hello-00002"), (None, None));
    world.run(60);
    assert_eq!(world.ready("hello-00001"), 0, "{}", world.told());
    assert!(
        world.left_warm().is_empty() && world.broken.is_empty(),
        "{}",
        world.told()
    );
}

#[test]
fn a_rollback_of_the_watch_meets_as_many_instances_as_the_load_needs() {
    let mut world = busy(60);
    world.commit("v2", good());
    world.run(55);
    assert!(world.status.watch.is_some(), "{}", world.told());
    world.behaves("v2", failing(100));
    for _ in 0..10 {
        world.run(1);
        assert!(world.ready("hello-00001") >= 10, "{}", world.told());
    }
    assert_eq!(world.status.phase, Phase::RolledBack, "{}", world.told());
    assert!(world.left_warm().is_empty(), "{}", world.told());
}

#[test]
fn a_quiet_service_keeps_one_of_each_and_no_more_when_it_is_over() {
    let mut world = busy(60);
    world.users = 0;
    world.run(2);
    assert_eq!(world.ready("hello-00001"), 0);
    world.commit("v2", good());
    world.run(12);
    assert_eq!(world.status.phase, Phase::Stepping, "{}", world.told());
    assert_eq!(
        (world.ready("hello-00001"), world.ready("hello-00002")),
        (1, 1)
    );
    world.run(160);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.told());
    assert_eq!(
        (world.ready("hello-00001"), world.ready("hello-00002")),
        (0, 0)
    );
    assert!(world.left_warm().is_empty(), "{}", world.told());
}

#[test]
fn a_users_own_bounds_are_respected_and_come_back() {
    let mut world = busy(60);
    world.most = Some(4);
    world.min_scales.insert("v2".to_owned(), "3".to_owned());
    world.commit("v2", good());
    world.run(30);
    // Ten were Ready, and no more than four may be asked for; three are more than the one that is wanted.
    assert_eq!(
        world.min_scale("hello-00001"),
        (Some("4"), Some("/4".to_owned()))
    );
    assert_eq!(world.min_scale("hello-00002"), (Some("3"), None));
    world.run(30);
    world.commit("v3", good());
    world.run(30);
    assert_eq!(
        world.min_scale("hello-00002"),
        (Some("4"), Some("3/4".to_owned()))
    );
    world.run(90);
    assert_eq!(world.min_scale("hello-00002"), (Some("3"), None));
    assert!(world.left_warm().is_empty(), "{}", world.told());
}

#[test]
fn an_agent_that_remembers_nothing_puts_back_what_it_finds() {
    let mut world = busy(300);
    world.commit("v2", good());
    world.run(60);
    assert!(!world.left_warm().is_empty(), "{}", world.told());
    world.forgets(Default::default());
    world.run(10);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.told());
    assert!(world.left_warm().is_empty(), "{}", world.told());
}

#[test]
fn a_delivery_that_is_deleted_puts_back_what_it_kept_warm_before_it_is_let_go() {
    let mut world = busy(300);
    world.commit("v2", good());
    world.run(60);
    world.git.withdrawn = true;
    world.dies_after = Some(world.calls + 1);
    world.run(1);
    // Killed behind its first write, it is still on its way, so that another takes it up.
    assert!(world.status.watch.is_some(), "{}", world.told());
    world.run(10);
    assert!(world.status.watch.is_none(), "{}", world.told());
    assert!(world.left_warm().is_empty(), "{}", world.told());
}
