//! What the evidence finds, and what it does where there is little or none.

use expect_test::expect;

use super::check;
use crate::rollout::tests::world::{Behaviour, World, failing, good, slow};

#[test]
fn a_release_that_answers_500_is_rolled_back_before_any_user_meets_it() {
    check(
        World::at_rest("fast").push("v2", failing(100)),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:06  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn half_of_the_answers_500_is_as_bad() {
    check(
        World::at_rest("fast").push("v2", failing(50)),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 50.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:06  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn five_percent_of_500_are_found_by_enough_probes() {
    check(
        World::at_rest("fast").push("v2", failing(5)),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 5.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:06  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn five_percent_that_only_users_meet_cost_a_handful_of_requests() {
    let bad = Behaviour {
        hidden: true,
        ..failing(5)
    };
    check(
        World::at_rest("fast").push("v2", bad),
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:41  hello-00002 rolled back from 20 % to hello-00001: at 20 %: error rate 5.7 % of the last 88 requests (limit 1 %), stable 0 of 352, p99 10-25 ms (stable 10-25 ms)
            00:42  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 5 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn a_release_that_is_800_ms_slower_is_rolled_back_before_any_user_meets_it() {
    check(
        World::at_rest("fast").push("v2", slow(820.0)),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:13  hello-00002 rolled back from 0 % to hello-00001: p99 820 ms is over the limit of 500 ms (stable 20 ms), probed at /
            00:14  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn what_only_users_meet_is_found_at_the_first_step() {
    let bad = Behaviour {
        hidden: true,
        ..failing(100)
    };
    check(
        World::at_rest("fast").push("v2", bad),
        40,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 rolled back from 5 % to hello-00001: at 5 %: error rate 100.0 % of 3 requests (limit 1 %), stable 0 of 57, p99 10-25 ms (stable 10-25 ms)
            00:11  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 5 of 800 requests harmed
        "#]],
    );
}

#[test]
fn slowness_that_only_users_meet_is_found_at_the_first_step() {
    let bad = Behaviour {
        hidden: true,
        ..slow(820.0)
    };
    check(
        World::at_rest("fast").push("v2", bad),
        40,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  hello-00002 rolled back from 5 % to hello-00001: at 5 %: 3 of 3 answers took over 500 ms (p99 limit; stable 0 of 57)
            00:13  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 7 of 800 requests harmed
        "#]],
    );
}

#[test]
fn a_revision_that_crashes_at_its_start_is_rolled_back_at_the_second_crash() {
    let bad = Behaviour {
        ready_after: None,
        crashes: vec![1, 7, 20],
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", bad),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:08  hello-00002 rolled back from 0 % to hello-00001: crashed 2 times, last with exit code 3
            00:08  hello-00001 has all traffic, confirmed after 0s
            end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn after_one_crash_of_a_pod_every_step_takes_twice_its_time() {
    let world = World::at_rest("fast").push(
        "v2",
        Behaviour {
            crashes: vec![10],
            ..good()
        },
    );
    check(
        world,
        160,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:30  hello-00002 to 20 %: error rate 0.0 % of 23 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:55  hello-00002 to 50 %: error rate 0.0 % of 92 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:20  hello-00002 to 100 %: error rate 0.0 % of 230 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:21  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 230 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 3200 requests harmed
        "#]],
    );
}

#[test]
fn a_revision_that_crashes_after_it_was_ready_is_rolled_back_at_the_second_crash() {
    let bad = Behaviour {
        crashes: vec![7, 16],
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", bad),
        40,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:17  hello-00002 rolled back from 5 % to hello-00001: crashed 2 times, last with exit code 3
            00:18  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 800 requests harmed
        "#]],
    );
}

#[test]
fn a_revision_that_is_never_ready_ends_at_the_progress_deadline_and_harms_nobody() {
    let bad = Behaviour {
        ready_after: None,
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", bad),
        150,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            02:00  hello-00002 rolled back from 0 % to hello-00001: not Ready after 2m: Deploying
            02:00  hello-00001 has all traffic, confirmed after 0s
            end    RolledBack; hello-00001 100 %; 0 of 3000 requests harmed
        "#]],
    );
}

#[test]
fn a_revision_that_the_cluster_gives_up_is_rolled_back_at_once() {
    let bad = Behaviour {
        ready_after: None,
        fails_at: Some((4, "ExitCode3")),
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", bad),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:05  hello-00002 rolled back from 0 % to hello-00001: not Ready: ExitCode3
            00:05  hello-00001 has all traffic, confirmed after 0s
            end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn a_revision_that_stops_being_ready_at_a_step_is_rolled_back_at_once() {
    let bad = Behaviour {
        fails_at: Some((12, "ExitCode5")),
        ..good()
    };
    check(
        World::at_rest("fast").push("v2", bad),
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:13  hello-00002 rolled back from 5 % to hello-00001: not Ready: ExitCode5
            00:14  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 1 of 600 requests harmed
        "#]],
    );
}

#[test]
fn a_service_without_users_is_judged_on_synthetic_probes() {
    let mut world = World::at_rest("fast").push("v2", good());
    world.users = 0;
    check(
        world,
        70,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:21  hello-00002 to 20 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 0 of 8
            00:37  hello-00002 to 50 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 0 of 8
            00:53  hello-00002 to 100 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 0 of 8
            00:54  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 0 of 8
            end    Stable; hello-00002 100 %; 0 of 0 requests harmed
        "#]],
    );
}

#[test]
fn a_bad_release_without_users_is_found_by_probes() {
    let mut world = World::at_rest("fast").push("v2", failing(100));
    world.users = 0;
    check(
        world,
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:06  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 0 requests harmed
        "#]],
    );
}

#[test]
fn where_nothing_speaks_the_release_holds_and_says_so_and_goes_on_when_something_does() {
    let mut world = World::at_rest("fast")
        .push("v2", good())
        .at(400, |world| world.blind = false);
    world.policy.analysis.synthetic_probes = 0;
    world.blind = true;
    check(
        world,
        460,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            05:05  hello-00002 held at 5 %: no verdict within 5m: no data: metrics from http://gateway:9000: connection refused; `sluice rollout promote hello` promotes it all the same
            06:48  hello-00002 goes on
            06:48  hello-00002 to 20 %: error rate 0.0 % of 8 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            07:02  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            07:16  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            07:17  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 9200 requests harmed
        "#]],
    );
}

#[test]
fn a_gateway_that_cannot_be_read_is_replaced_by_synthetic_probes() {
    let mut world = World::at_rest("fast").push("v2", good());
    world.blind = true;
    check(
        world,
        70,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 1200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); metrics from http://gateway:9000: connection refused
            00:33  hello-00002 to 50 %: error rate 0.0 % of 1200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); metrics from http://gateway:9000: connection refused
            00:47  hello-00002 to 100 %: error rate 0.0 % of 1200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); metrics from http://gateway:9000: connection refused
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 1200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); metrics from http://gateway:9000: connection refused
            end    Stable; hello-00002 100 %; 0 of 1400 requests harmed
        "#]],
    );
}

#[test]
fn a_stable_revision_that_is_as_bad_excuses_the_candidate_and_the_release_waits() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(22, |world| {
            for version in ["v1", "v2"] {
                world.behaves(version, failing(50));
            }
        })
        .at(60, |world| {
            for version in ["v1", "v2"] {
                world.behaves(version, good());
            }
        });
    check(
        world,
        330,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:12  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:26  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:27  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 380 of 6600 requests harmed
        "#]],
    );
}
