//! What requests of our own decide, and what they do not.

use expect_test::expect;

use super::check;
use crate::api::rollout::Action;
use crate::rollout::tests::world::{Behaviour, World, failing, good};

#[test]
fn a_release_that_answers_404_where_stable_answers_200_is_rolled_back_before_any_user_meets_it() {
    let gone = Behaviour {
        status: 404,
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", gone),
        30,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 404, where stable answers 200
        00:06  hello-00001 has all traffic, confirmed after 1s
        end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
    "#]],
    );
}

#[test]
fn a_service_that_always_answered_404_may_go_on_doing_so() {
    let gone = || Behaviour {
        status: 404,
        ..good()
    };
    let mut world = World::at_rest("fast").push("v2", gone());
    world.behaves("v1", gone());
    check(
        world,
        50,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:47  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1000 requests harmed
        "#]],
    );
}

#[test]
fn a_good_release_that_is_slow_for_its_first_seconds_is_probed_on_and_harms_nobody() {
    let waking = Behaviour {
        slow_until: Some(7),
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", waking),
        60,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:13  hello-00002 probed: error rate 0.0 % of 1800 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:13  hello-00002 to 5 %
            00:27  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:41  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:55  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:56  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_readiness_path_alone_promotes_nothing_under_standard_and_users_or_a_person_free_it() {
    let mut world = World::at_rest("standard")
        .push("v2", good())
        .at(700, |world| world.users = 20);
    (world.users, world.readiness_only) = (0, true);
    check(
        world,
        760,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 probed: error rate 0.0 % of 20 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
        00:05  hello-00002 to 5 %
        05:09  hello-00002 held at 5 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 0 of 200; nobody named a path of probes, and a readiness path says nothing of what users ask for; `sluice rollout promote hello` promotes it all the same
        11:40  hello-00002 goes on
        11:40  hello-00002 to 20 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 1 of 200
        end    Stepping with hello-00002; hello-00001 80 % #stable, hello-00002 20 % #candidate; 0 of 1200 requests harmed
    "#]],
    );

    let mut world = World::at_rest("standard")
        .push("v2", good())
        .at(700, |world| world.ask(Action::Promote, None));
    (world.users, world.readiness_only) = (0, true);
    check(
        world,
        720,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 probed: error rate 0.0 % of 20 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
        00:05  hello-00002 to 5 %
        05:09  hello-00002 held at 5 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 0 of 200; nobody named a path of probes, and a readiness path says nothing of what users ask for; `sluice rollout promote hello` promotes it all the same
        11:40  hello-00002 goes on
        11:41  hello-00002 is stable: promoted from 5 % by ada
        end    Stable; hello-00002 100 %; 0 of 0 requests harmed
    "#]],
    );
}

#[test]
fn a_readiness_path_alone_promotes_where_the_policy_says_so_or_somebody_named_the_path() {
    for (policy, readiness_only) in [("fast", true), ("standard", false)] {
        let mut world = World::at_rest(policy).push("v2", good());
        (world.users, world.readiness_only) = (0, readiness_only);
        world.run(2000);
        let told = world.told();
        assert!(told.contains("end    Stable; hello-00002 100 %"), "{told}");
    }
}

#[test]
fn where_nobody_counts_a_readiness_path_promotes_nothing_under_standard() {
    let mut world = World::at_rest("standard").push("v2", good());
    (world.blind, world.readiness_only) = (true, true);
    check(
        world,
        700,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 probed: error rate 0.0 % of 20 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
        00:05  hello-00002 to 5 %
        05:07  hello-00002 held at 5 %: error rate 0.0 % of 30000 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); metrics from http://gateway:9000: connection refused; nobody named a path of probes, and a readiness path says nothing of what users ask for; `sluice rollout promote hello` promotes it all the same
        end    Holding with hello-00002; hello-00001 95 % #stable, hello-00002 5 % #candidate; 0 of 14000 requests harmed
    "#]],
    );
}

#[test]
fn under_cautious_too_few_users_are_said_to_be_too_few_with_the_command_that_frees_it() {
    let mut world = World::at_rest("cautious").push("v2", good());
    world.users = 0;
    check(
        world,
        8000,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 0.5 %), p99 20 ms (stable 20 ms)
        00:05  hello-00002 to 1 %
        120:05  hello-00002 held at 1 %: no verdict within 2h: users sent 0 of 500: too few to tell; `sluice rollout promote hello` promotes it all the same
        end    Holding with hello-00002; hello-00001 99 % #stable, hello-00002 1 % #candidate; 0 of 0 requests harmed
    "#]],
    );
}

#[test]
fn a_revision_that_is_tried_again_is_not_judged_on_the_probes_of_its_first_attempt() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.commit("v2", failing(100));
            world.git.revision_name = Some("hello-00002".to_owned());
        })
        .at(20, |world| world.behaves("v2", good()))
        .at(21, |world| world.ask(Action::Retry, None));
    check(
        world,
        70,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:06  hello-00001 has all traffic, confirmed after 1s
            00:21  quarantine lifted, attempt 1, by ada
            00:21  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:22  hello-00002 staged, 0 %
            00:22  hello-00002 Ready after 0s
            00:24  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:24  hello-00002 to 5 %
            00:38  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:52  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:06  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:07  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1400 requests harmed
        "#]],
    );
}
