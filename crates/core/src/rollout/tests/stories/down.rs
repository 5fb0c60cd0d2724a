//! Down is unconditional: no store, no memory and no traffic block of Git's keeps a bad release up.

use expect_test::expect;

use super::check;
use crate::api::rollout::{Action, Phase, RolloutStatus};
use crate::api::serving::TrafficTarget;
use crate::rollout::tests::world::{Behaviour, World, failing, good};

/// Fails for users and not for probes, so that it is found out at a step.
fn hidden() -> Behaviour {
    Behaviour {
        hidden: true,
        ..failing(100)
    }
}

/// Well until it is told otherwise.
fn turns_bad_at(second: u64) -> World {
    World::at_rest("fast")
        .push("v2", good())
        .at(second, |world| world.behaves("v2", hidden()))
}

#[test]
fn a_store_that_refuses_keeps_no_bad_release_up() {
    let world = turns_bad_at(40)
        .at(40, |world| world.stores_nothing = true)
        .at(90, |world| world.stores_nothing = false);
    check(
        world,
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:40  hello-00002 rolled back from 50 % to hello-00001: at 50 %: error rate 100.0 % of the last 10 requests (limit 1 %), stable 0 of 10, p99 10-25 ms (stable 10-25 ms)
            00:41  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 10 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn a_store_that_refuses_lets_nothing_go_up() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(0, |world| world.stores_nothing = true);
    check(
        world,
        60,
        expect![[r#"
        end    Stable; hello-00001 100 %; 0 of 1200 requests harmed
    "#]],
    );
}

#[test]
fn a_rollback_that_was_never_stored_is_known_by_what_the_route_carries() {
    // The write is out, the store refused, and the agent was killed: its memory says 20 %.
    let world = turns_bad_at(40)
        .at(40, |world| world.stores_nothing = true)
        .at(60, |world| {
            world.stores_nothing = false;
            world.restart();
        });
    check(
        world,
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:40  hello-00002 rolled back from 50 % to hello-00001: at 50 %: error rate 100.0 % of the last 10 requests (limit 1 %), stable 0 of 10, p99 10-25 ms (stable 10-25 ms)
            00:41  hello-00001 has all traffic, confirmed after 1s
            01:02  hello-00002 rolled back from 50 % to hello-00001: its rollback was found on the Route; the agent that began it ended before it could write why
            01:02  hello-00001 has all traffic, confirmed after 0s
            end    RolledBack; hello-00001 100 %; 10 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn a_memory_that_is_lost_forgets_no_quarantine() {
    let world = World::at_rest("demo")
        .push("v2", failing(100))
        .at(60, |world| world.forgets(RolloutStatus::default()));
    check(
        world,
        120,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 50 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
        00:06  hello-00001 has all traffic, confirmed after 1s
        01:02  adopted; hello-00001 is stable
        end    RolledBack; hello-00001 100 %; 0 of 2400 requests harmed
    "#]],
    );
}

#[test]
fn a_retry_of_what_was_rolled_back_is_no_rollback() {
    let mut world = World::at_rest("demo")
        .push("v2", failing(100))
        .at(60, |world| {
            world.behaves("v2", good());
            world.ask(Action::Retry, None);
        });
    world.run(150);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.told());
    assert_eq!(world.route.as_ref().unwrap().rolled_back, None);
}

#[test]
fn a_block_of_git_s_that_is_refused_gives_way_to_stable_alone_at_once() {
    let world = turns_bad_at(40).at(41, |world| {
        world.refuses_splits = true;
        world.git.final_traffic = vec![TrafficTarget {
            latest_revision: Some(true),
            percent: Some(90),
            ..TrafficTarget::default()
        }];
    });
    check(
        world,
        60,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:40  hello-00002 rolled back from 50 % to hello-00001: at 50 %: error rate 100.0 % of the last 10 requests (limit 1 %), stable 0 of 10, p99 10-25 ms (stable 10-25 ms)
            00:42  hello-00001 has all traffic, confirmed after 2s
            end    RolledBack; hello-00001 100 %; 10 of 1200 requests harmed
        "#]],
    );
}
