//! After 100 %: a promoted revision is watched, and what is wrong with it by then rolls it back.

use std::time::Duration;

use expect_test::{Expect, expect};

use crate::api::condition::Condition;
use crate::api::rollout::{Action, Phase};
use crate::rollout::tests::world::{Behaviour, World, failing, good};

/// v2 is promoted at second 48, and watched for so long.
fn promoted(watch: u64) -> World {
    let mut world = World::at_rest("fast").push("v2", good());
    world.policy.watch = Duration::from_secs(watch);
    world
}

/// Runs a world for so many seconds, and compares what was told from the promotion on.
fn check(mut world: World, seconds: u64, expected: Expect) {
    world.run(seconds);
    let told = world.told();
    let lines = told
        .lines()
        .skip_while(|line| !line.contains("; watched for "));
    let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
    expected.assert_eq(&lines.concat());
}

fn crashing() -> Behaviour {
    Behaviour {
        crashes: vec![0, 0],
        ..good()
    }
}

fn condition(world: &World, type_: &str) -> Condition {
    let mut conditions = world.status.conditions.iter();
    let found = conditions.find(|condition| condition.type_ == type_);
    found.cloned().unwrap()
}

#[test]
fn a_good_release_is_done_at_100_percent_and_watched_from_there() {
    let mut world = promoted(60);
    world.run(50);
    assert_eq!(world.status.phase, Phase::Stable);
    assert!(condition(&world, "Ready").is_true());
    let message = &world.status.message;
    assert!(
        message.contains("serves what Git says; watched until "),
        "{message}"
    );
    check(
        world,
        80,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 1m, a fault rolls back to hello-00001
            01:48  hello-00002 was watched for 1m; from here on only `sluice rollout undo hello` rolls it back
            end    Stable; hello-00002 100 %; 0 of 2600 requests harmed
        "#]],
    );
}

#[test]
fn errors_that_begin_a_minute_after_the_promotion_are_rolled_back() {
    let world = promoted(300).at(108, |world| world.behaves("v2", failing(100)));
    check(
        world,
        130,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 5m, a fault rolls back to hello-00001
            01:49  hello-00002 rolled back from 100 % to hello-00001: at 100 %: error rate 100.0 % of the last 20 requests (limit 1 %), p99 10-25 ms
            01:50  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 40 of 2600 requests harmed
        "#]],
    );
}

#[test]
fn crashes_that_begin_forty_seconds_after_the_promotion_are_rolled_back() {
    let world = promoted(60).at(88, |world| world.behaves("v2", crashing()));
    check(
        world,
        100,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 1m, a fault rolls back to hello-00001
            01:28  hello-00002 rolled back from 100 % to hello-00001: crashed 2 times, last with exit code 3
            01:29  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 2000 requests harmed
        "#]],
    );
}

#[test]
fn late_answers_after_the_promotion_are_rolled_back() {
    let world = promoted(300).at(60, |world| {
        let behaviour = Behaviour {
            ms: 900.0,
            ..good()
        };
        world.behaves("v2", behaviour);
    });
    check(
        world,
        90,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 5m, a fault rolls back to hello-00001
            01:01  hello-00002 rolled back from 100 % to hello-00001: at 100 %: 20 of 398 answers took over 500 ms (p99 limit; stable 0 of 502)
            01:02  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 40 of 1800 requests harmed
        "#]],
    );
}

#[test]
fn what_the_previous_revision_fails_at_as_well_is_nobody_s_fault() {
    let both = |world: &mut World, behaviour: Behaviour| {
        world.behaves("v1", behaviour.clone());
        world.behaves("v2", behaviour);
    };
    let mut world = promoted(60)
        .at(60, move |world| both(world, failing(100)))
        .at(80, move |world| both(world, good()));
    world.run(70);
    let degraded = condition(&world, "Degraded");
    assert_eq!(degraded.reason, "SharedFault", "{}", degraded.message);
    check(
        world,
        100,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 1m, a fault rolls back to hello-00001
            01:01  hello-00002 has a fault and keeps its traffic: at 100 %: error rate 100.0 % of the last 20 requests (limit 1 %), p99 10-25 ms; shared: the previous revision fails as well (hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms: GET /: 500, expected below 500)
            01:21  hello-00002 rolled back from 100 % to hello-00001: at 100 %: error rate 50.0 % of the last 40 requests (limit 1 %)
            01:22  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 400 of 3400 requests harmed
        "#]],
    );
}

#[test]
fn what_both_fail_at_for_good_ends_the_watch_in_twice_its_time() {
    let world = promoted(60).at(60, |world| {
        world.behaves("v1", failing(100));
        world.behaves("v2", failing(100));
    });
    check(
        world,
        200,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 1m, a fault rolls back to hello-00001
            01:01  hello-00002 has a fault and keeps its traffic: at 100 %: error rate 100.0 % of the last 20 requests (limit 1 %), p99 10-25 ms; shared: the previous revision fails as well (hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms: GET /: 500, expected below 500)
            02:49  hello-00002 was watched for 2m1s and has a fault (at 100 %: error rate 100.0 % of the last 40 requests (limit 1 %); shared: the previous revision fails as well (hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms: GET /: 500, expected below 500)); from here on only `sluice rollout undo hello` rolls it back
            end    Stable; hello-00002 100 %; 2800 of 4000 requests harmed
        "#]],
    );
}

#[test]
fn nothing_is_rolled_back_onto_a_revision_that_cannot_take_requests() {
    let world = promoted(60)
        .at(55, |world| world.breaks("v1", Some("NodeLost")))
        .at(60, |world| world.behaves("v2", failing(100)))
        .at(90, |world| world.breaks("v1", None));
    check(
        world,
        120,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 1m, a fault rolls back to hello-00001
            01:00  hello-00002 has a fault and keeps its traffic: at 100 %: error rate 100.0 % of the last 20 requests (limit 1 %), p99 10-25 ms; not rolled back: hello-00001 is not Ready: NodeLost
            01:30  hello-00002 rolled back from 100 % to hello-00001: at 100 %: error rate 100.0 % of the last 620 requests (limit 1 %), p99 10-25 ms
            01:31  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 620 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn after_the_watch_only_a_person_moves_traffic_and_what_is_wrong_is_said() {
    let mut world = promoted(30).at(100, |world| world.behaves("v2", crashing()));
    world.run(110);
    let degraded = condition(&world, "Degraded");
    assert!(
        degraded.message.contains("`sluice rollout undo hello`"),
        "{}",
        degraded.message
    );
    let message = &world.status.message;
    assert!(message.contains("crash again and again"), "{message}");
    world = world
        .at(110, |world| world.breaks("v2", Some("ExitCode3")))
        .at(120, |world| world.ask(Action::Undo, None));
    world.run(5);
    assert!(!condition(&world, "Ready").is_true());
    check(
        world,
        30,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 30s, a fault rolls back to hello-00001
            01:18  hello-00002 was watched for 30s; from here on only `sluice rollout undo hello` rolls it back
            01:40  the stable revision hello-00002 is not well: the Pods of hello-00002 crash again and again, last with exit code 3; `sluice rollout undo hello` rolls back to hello-00001
            02:01  hello-00001 is stable: undone by ada
            end    RolledBack; hello-00001 100 %; 220 of 2900 requests harmed
        "#]],
    );
}

#[test]
fn a_commit_in_mid_watch_ends_it_and_begins_from_what_was_promoted() {
    let world = promoted(300).at(60, |world| world.commit("v3", good()));
    check(
        world,
        70,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 5m, a fault rolls back to hello-00001
            01:00  hello-00002 is watched no more: commit v3ccccc begins
            01:00  release of commit v3ccccc "v3" begins; hello-00002 keeps all traffic
            01:02  hello-00003 staged, 0 %
            01:04  hello-00003 Ready after 3s
            01:06  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:06  hello-00003 to 5 %
            end    Stepping with hello-00003; hello-00002 95 % #stable, hello-00003 5 % #candidate; 0 of 1400 requests harmed
        "#]],
    );
}

#[test]
fn undo_and_abort_in_mid_watch_lead_to_the_revision_before() {
    for action in [Action::Undo, Action::Abort] {
        let mut world = promoted(300).at(60, move |world| world.ask(action, None));
        world.run(90);
        let told = world.told();
        assert!(told.contains("hello-00001 100 %"), "{told}");
        assert_eq!(world.status.quarantine.len(), 1, "{told}");
        assert!(
            world.status.watch.is_none() && world.broken.is_empty(),
            "{told}"
        );
    }
}

#[test]
fn an_abort_that_was_asked_before_the_promotion_still_counts_after_it() {
    let mut world = promoted(300);
    world.run(42);
    world.ask(Action::Abort, None);
    let late = world.spec.requests.pop().unwrap();
    assert_eq!(
        late.seen.clone().unwrap().candidate.as_deref(),
        Some("hello-00002")
    );
    world = world.at(60, move |world| world.spec.requests.push(late));
    world.run(30);
    let told = world.told();
    assert!(told.contains("hello-00001 100 %"), "{told}");
}

#[test]
fn paused_and_suspended_a_fault_in_the_watch_is_rolled_back_all_the_same() {
    for suspended in [false, true] {
        let mut world = promoted(300)
            .at(60, move |world| {
                world.git.suspended = suspended;
                world.spec.paused = !suspended;
            })
            .at(70, |world| world.behaves("v2", failing(100)));
        world.run(120);
        let told = world.told();
        assert_eq!(world.status.phase, Phase::RolledBack, "{told}");
        assert!(told.contains("hello-00001 100 %"), "{told}");
    }
}

#[test]
fn a_delivery_that_is_deleted_in_mid_watch_leaves_what_was_promoted() {
    let world = promoted(300).at(60, |world| world.git.withdrawn = true);
    check(
        world,
        80,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 5m, a fault rolls back to hello-00001
            01:01  hello-00002 is watched no more: its Delivery was deleted
            end    Stable; hello-00002 100 %; 0 of 1600 requests harmed
        "#]],
    );
}

#[test]
fn an_agent_that_begins_anew_in_mid_watch_watches_on() {
    let world = promoted(60)
        .at(90, World::restart)
        .at(120, |world| world.behaves("v2", failing(100)));
    check(
        world,
        160,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 1m, a fault rolls back to hello-00001
            02:01  hello-00002 rolled back from 100 % to hello-00001: at 100 %: error rate 100.0 % of the last 20 requests (limit 1 %), p99 10-25 ms
            02:02  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 40 of 3200 requests harmed
        "#]],
    );
}

#[test]
fn a_rollback_of_the_watch_that_was_not_remembered_is_finished() {
    let mut world = promoted(300).at(60, |world| {
        world.stores_nothing = true;
        world.behaves("v2", crashing());
    });
    world.run(62);
    assert_eq!(world.status.phase, Phase::RolledBack);
    world.behaves("v2", good());
    world.stores_nothing = false;
    world.restart();
    check(
        world,
        60,
        expect![[r#"
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); watched for 5m, a fault rolls back to hello-00001
            01:00  hello-00002 rolled back from 100 % to hello-00001: crashed 2 times, last with exit code 3
            01:01  hello-00001 has all traffic, confirmed after 1s
            01:04  hello-00002 rolled back from 100 % to hello-00001: its rollback was found on the Route; the agent that began it ended before it could write why
            01:04  hello-00001 has all traffic, confirmed after 0s
            end    RolledBack; hello-00001 100 %; 0 of 2440 requests harmed
        "#]],
    );
}

#[test]
fn a_rollback_of_the_watch_that_was_not_remembered_is_finished_beside_a_request_that_is_refused() {
    let mut world = promoted(300).at(60, |world| {
        world.stores_nothing = true;
        world.behaves("v2", crashing());
    });
    world.run(62);
    world.behaves("v2", good());
    world.stores_nothing = false;
    world.restart();
    world.ask(Action::Undo, Some("hello-00007"));
    world.run(20);
    let told = world.told();
    assert!(told.contains("undo refused"), "{told}");
    assert!(world.broken.is_empty(), "{told}");
    assert!(
        told.contains("end    RolledBack; hello-00001 100 %;"),
        "{told}"
    );
}

#[test]
fn what_is_put_back_is_not_watched() {
    let mut world = promoted(300).at(60, |world| world.commit("v1", good()));
    world.run(80);
    assert!(world.status.watch.is_none(), "{}", world.told());
    assert!(
        world.told().contains("end    Stable; hello-00001 100 %;"),
        "{}",
        world.told()
    );
}

#[test]
fn what_was_rolled_back_in_its_watch_and_is_retried_is_no_revision_to_go_back_to() {
    let mut world = promoted(300)
        .at(60, |world| world.behaves("v2", crashing()))
        .at(80, |world| {
            world.behaves("v2", good());
            world.ask(Action::Retry, None);
        })
        .at(85, |world| world.commit("v3", good()))
        .at(90, |world| world.commit("v2", good()));
    world.run(100);
    let told = world.told();
    assert!(!told.contains("hello-00002 is stable: commit"), "{told}");
}
