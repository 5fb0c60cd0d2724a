//! Releases that stand before several gates at once, and before gates with a time.

use std::time::Duration;

use expect_test::expect;

use super::check;
use crate::api::rollout::{Action, HoldReason, Phase};
use crate::rollout::tests::world::{World, good};

fn gates(world: &World) -> Vec<HoldReason> {
    let hold = world.status.hold.as_ref();
    hold.map(|hold| hold.gates.iter().map(|gate| gate.reason).collect())
        .unwrap_or_default()
}

#[test]
fn no_gate_hides_another_and_it_goes_on_when_the_last_opens() {
    let world = || {
        World::at_rest("fast")
            .push("v2", good())
            .at(10, |world| world.spec.paused = true)
            .at(20, |world| {
                world.git.policy_problem = Some("the policy cannot be read".to_owned());
            })
            .at(30, |world| world.git.suspended = true)
            .at(40, |world| world.spec.paused = false)
            .at(50, |world| world.git.suspended = false)
            .at(60, |world| world.git.policy_problem = None)
    };
    let mut all = world();
    all.run(35);
    assert_eq!(
        gates(&all),
        [
            HoldReason::Suspended,
            HoldReason::Paused,
            HoldReason::Policy
        ]
    );
    let since: Vec<_> = all
        .status
        .hold
        .iter()
        .flat_map(|hold| &hold.gates)
        .map(|gate| gate.since)
        .collect();
    assert!(since[1] < since[2] && since[2] < since[0], "{since:?}");
    all.run(20);
    assert_eq!(gates(&all), [HoldReason::Policy]);
    check(
        world(),
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: paused; `sluice rollout resume` goes on
            00:20  hello-00002 held at 5 %: the policy cannot be read
            00:30  hello-00002 held at 5 %: the Delivery is suspended
            01:00  hello-00002 goes on
            01:00  hello-00002 to 20 %: error rate 0.0 % of 53 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:14  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:28  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:29  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn a_pause_with_a_time_ends_by_itself() {
    let world = World::at_rest("fast").push("v2", good()).at(10, |world| {
        world.spec.paused = true;
        world.spec.paused_until = Some(world.now() + Duration::from_secs(60));
    });
    check(
        world,
        140,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: paused until 2023-11-14T22:15:30Z; `sluice rollout resume` goes on
            01:10  hello-00002 goes on
            01:10  hello-00002 to 20 %: error rate 0.0 % of 63 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:24  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:38  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:39  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 2800 requests harmed
        "#]],
    );
}

#[test]
fn a_pause_with_a_time_holds_what_has_not_begun_as_well() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.spec.paused = true;
            world.spec.paused_until = Some(world.now() + Duration::from_secs(30));
        })
        .at(1, |world| world.commit("v2", good()));
    check(
        world,
        35,
        expect![[r#"
        00:30  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:31  hello-00002 staged, 0 %
        00:33  hello-00002 Ready after 3s
        end    Probing with hello-00002; hello-00001 100 % #stable, hello-00002 0 % #candidate; 0 of 700 requests harmed
    "#]],
    );
}

#[test]
fn an_approval_beside_a_pause_waits_for_the_pause_to_end() {
    let mut world = World::at_rest("fast")
        .push("v2", good())
        .at(40, |world| world.spec.paused = true)
        .at(50, |world| world.ask(Action::Promote, None))
        .at(70, |world| world.spec.paused = false);
    world.policy.steps[1].approval = true;
    world.run(60);
    assert_eq!(gates(&world), [HoldReason::Paused, HoldReason::Approval]);
    assert_eq!(world.status.answers, []);
    world.run(15);
    assert_eq!(
        (world.status.phase, world.status.weight),
        (Phase::Stepping, 50)
    );
    assert_eq!(world.status.answers.len(), 1);
}

#[test]
fn an_approval_that_was_asked_for_is_not_forgotten_while_nothing_is_seen() {
    let mut world = World::at_rest("fast")
        .push("v2", good())
        .at(40, |world| world.spec.paused = true)
        .at(41, |world| world.blind = true)
        .at(70, |world| world.spec.paused = false)
        .at(80, |world| world.ask(Action::Promote, None));
    world.policy.steps[1].approval = true;
    world.policy.analysis.synthetic_probes = 0;
    world.run(60);
    assert_eq!(gates(&world), [HoldReason::Paused, HoldReason::Approval]);
    world.run(15);
    assert_eq!(gates(&world), [HoldReason::Approval]);
    world.run(6);
    // To the next step and not to 100 %.
    assert_eq!(world.status.weight, 50, "{}", world.told());
}
