//! A stable revision that serves nobody keeps no fix out.

use expect_test::expect;

use super::check;
use crate::api::rollout::Action;
use crate::rollout::serves_nobody;
use crate::rollout::tests::world::{Behaviour, World, failing, good};

/// `v1` is stable and loses its readiness for good.
fn unready_stable(world: &mut World) {
    world.loses_readiness("v1");
}

#[test]
fn a_fix_for_a_stable_revision_that_is_not_ready_is_probed_as_a_first_delivery_is() {
    let world = World::at_rest("fast")
        .at(0, |world| world.breaks("v1", Some("ExitCode9")))
        .at(10, |world| world.commit("v2", good()));
    check(
        world,
        60,
        expect![[r#"
            00:00  the stable revision hello-00001 is not well: hello-00001 is not Ready: ExitCode9
            00:10  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:11  hello-00002 staged, 0 %
            00:13  hello-00002 Ready after 3s
            00:13  hello-00002 held at 0 %: the stable revision is not well (hello-00001 is not Ready: ExitCode9), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:21  hello-00002 goes on
            00:22  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            00:22  no further step is needed beside stable: hello-00001 is not Ready: ExitCode9
            00:22  hello-00002 to 100 %
            00:23  hello-00002 is stable: no further step was needed: hello-00001 is not Ready: ExitCode9; at 0 %: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            end    Stable; hello-00002 100 %; 420 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_fix_that_fails_its_probes_beside_a_dead_stable_is_rolled_back_and_the_next_one_passes() {
    let world = World::at_rest("fast")
        .at(0, |world| world.breaks("v1", Some("ExitCode9")))
        .at(10, |world| world.commit("v2", failing(100)))
        .at(70, |world| world.commit("v3", good()));
    check(
        world,
        130,
        expect![[r#"
            00:00  the stable revision hello-00001 is not well: hello-00001 is not Ready: ExitCode9
            00:10  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:11  hello-00002 staged, 0 %
            00:13  hello-00002 Ready after 3s
            00:13  hello-00002 held at 0 %: the stable revision is not well (hello-00001 is not Ready: ExitCode9), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:21  hello-00002 goes on
            00:22  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms: GET /: 500, expected below 500
            00:42  the cluster does not confirm the rollback to hello-00001: RevisionMissing: Revision "hello-00001" is not yet ready.
            01:10  release of commit v3ccccc "v3" begins; hello-00001 keeps all traffic
            01:11  hello-00003 staged, 0 %
            01:13  hello-00003 Ready after 3s
            01:15  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            01:15  no further step is needed beside stable: hello-00001 is not Ready: ExitCode9
            01:15  hello-00003 to 100 %
            01:16  hello-00003 is stable: no further step was needed: hello-00001 is not Ready: ExitCode9; at 0 %: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            end    Stable; hello-00003 100 %; 1480 of 2600 requests harmed
        "#]],
    );
}

#[test]
fn a_fix_for_a_stable_revision_without_a_ready_pod_goes_straight_up_once_it_is_probed() {
    let world = World::at_rest("fast")
        .at(0, unready_stable)
        .at(30, |world| world.commit("v2", good()));
    check(
        world,
        60,
        expect![[r#"
            00:20  the stable revision hello-00001 is not well: hello-00001 has had no Ready Pod for 20s (0 of 1)
            00:30  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:31  hello-00002 staged, 0 %
            00:33  hello-00002 Ready after 3s
            00:35  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:35  no further step is needed beside stable: hello-00001 has had no Ready Pod for 20s (0 of 1)
            00:35  hello-00002 to 100 %
            00:36  hello-00002 is stable: no further step was needed: hello-00001 has had no Ready Pod for 20s (0 of 1); at 0 %: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            end    Stable; hello-00002 100 %; 720 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_fix_for_a_stable_revision_that_fails_every_request_goes_straight_up_after_a_step() {
    let world = World::at_rest("fast")
        .at(0, |world| world.fails_from_now("v1", 100))
        .at(10, |world| world.commit("v2", good()));
    check(
        world,
        60,
        expect![[r#"
            00:10  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:11  hello-00002 staged, 0 %
            00:13  hello-00002 Ready after 3s
            00:15  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:15  hello-00002 to 5 %
            00:29  no further step is needed beside stable: hello-00001 failed 228 of 228 requests, and hello-00002 0 of 12
            00:29  hello-00002 to 100 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:30  hello-00002 is stable: no further step was needed: hello-00001 failed 228 of 228 requests, and hello-00002 0 of 12; at 5 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 586 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_stable_revision_that_fails_some_requests_leaves_no_step_out() {
    let world = World::at_rest("fast")
        .at(0, |world| world.fails_from_now("v1", 30))
        .at(10, |world| world.commit("v2", good()));
    check(
        world,
        80,
        expect![[r#"
            00:10  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:11  hello-00002 staged, 0 %
            00:13  hello-00002 Ready after 3s
            00:15  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:15  hello-00002 to 5 %
            00:29  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:43  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:57  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:58  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 535 of 1600 requests harmed
        "#]],
    );
}

#[test]
fn a_stable_revision_that_dies_in_the_middle_lets_what_has_passed_go_straight_up() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(12, |world| world.breaks("v1", Some("ExitCode9")));
    check(
        world,
        60,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  hello-00002 held at 5 %: the stable revision is not well (hello-00001 is not Ready: ExitCode9), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:32  hello-00002 goes on
            00:32  no further step is needed beside stable: hello-00001 is not Ready: ExitCode9
            00:32  hello-00002 to 100 %: error rate 0.0 % of 25 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 is stable: no further step was needed: hello-00001 is not Ready: ExitCode9; at 5 %: error rate 0.0 % of 25 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 399 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_stable_revision_that_is_deleted_and_was_the_only_one_is_followed_by_what_has_passed() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(12, |world| world.delete_revision("hello-00001"));
    check(
        world,
        60,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  hello-00002 held at 5 %: the stable revision is not well (hello-00001 is gone), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:32  hello-00002 goes on
            00:32  no further step is needed beside stable: hello-00001 is gone
            00:32  hello-00002 to 100 %: error rate 0.0 % of 25 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 is stable: no further step was needed: hello-00001 is gone; at 5 %: error rate 0.0 % of 25 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 399 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_candidate_that_fails_as_well_never_goes_up_beside_a_dead_stable() {
    let world = World::at_rest("fast")
        .push(
            "v2",
            Behaviour {
                hidden: true,
                ..failing(50)
            },
        )
        .at(8, |world| world.breaks("v1", Some("ExitCode9")));
    check(
        world,
        60,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:08  hello-00002 held at 5 %: the stable revision is not well (hello-00001 is not Ready: ExitCode9), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:28  hello-00002 goes on
            00:28  no further step is needed beside stable: hello-00001 is not Ready: ExitCode9
            00:28  hello-00002 to 100 %: error rate 47.6 % of 21 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:29  hello-00002 is stable: no further step was needed: hello-00001 is not Ready: ExitCode9; at 5 %: error rate 47.6 % of 21 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 720 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn promote_is_named_in_the_hold_and_works_in_it() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(12, |world| world.breaks("v1", Some("ExitCode9")))
        .at(15, |world| world.ask(Action::Promote, None));
    check(
        world,
        40,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  hello-00002 held at 5 %: the stable revision is not well (hello-00001 is not Ready: ExitCode9), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:15  hello-00002 goes on
            00:16  hello-00002 is stable: promoted from 5 % by ada
            end    Stable; hello-00002 100 %; 76 of 800 requests harmed
        "#]],
    );
}

#[test]
fn a_service_that_serves_nobody_is_not_ready() {
    let mut world = World::at_rest("fast").at(0, unready_stable);
    let ready = |world: &World| {
        let conditions = &world.status.conditions;
        let ready = conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        (ready.is_true(), ready.reason.clone(), ready.message.clone())
    };
    world.run(15);
    assert!(ready(&world).0, "a moment is no outage");
    world.run(10);
    let cause = "hello-00001 has had no Ready Pod for 20s (0 of 1)".to_owned();
    assert_eq!(serves_nobody(&world.status), Some(cause.as_str()));
    let down = (false, "ServesNobody".to_owned(), cause);
    assert_eq!(ready(&world), down);
}
