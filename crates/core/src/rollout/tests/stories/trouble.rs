//! When the cluster, the clock or the stable revision is the trouble.

use expect_test::expect;

use super::check;
use crate::api::rollout::Action;
use crate::rollout::tests::world::{Behaviour, World, failing, good};

#[test]
fn a_route_that_says_no_counts_against_the_release_and_the_rollback_is_watched() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(18, |world| world.denied = true)
        .at(120, |world| world.denied = false);
    check(
        world,
        150,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:38  hello-00002 rolled back from 5 % to hello-00001: its traffic was not confirmed after 20s: CertificateMissing
            00:58  the cluster does not confirm the rollback to hello-00001: CertificateMissing
            02:00  hello-00001 has all traffic, confirmed after 1m22s
            end    RolledBack; hello-00001 100 %; 0 of 3000 requests harmed
        "#]],
    );
}

#[test]
fn a_route_that_nobody_looks_at_is_no_release_s_fault() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(18, |world| world.stuck = true)
        .at(120, |world| world.stuck = false);
    check(
        world,
        150,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:39  hello-00002 held at 20 %: the cluster does not confirm its traffic: the Route's controller has not looked at it yet
            02:00  hello-00002 goes on
            02:13  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            02:27  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            02:28  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 3000 requests harmed
        "#]],
    );
}

#[test]
fn a_template_that_nobody_looks_at_is_no_release_s_fault() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(1, |world| world.stuck = true)
        .at(200, |world| world.stuck = false);
    check(
        world,
        280,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            02:00  the new template held at 0 %: Knative's controller has not looked at its template yet
            03:20  hello-00002 staged, 0 %
            03:20  hello-00002 goes on
            03:22  hello-00002 Ready after 2s
            03:24  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            03:24  hello-00002 to 5 %
            03:38  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            03:52  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            04:06  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            04:07  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 5600 requests harmed
        "#]],
    );
}

#[test]
fn a_template_that_the_controller_looked_at_and_did_not_take_up_is_not_waited_for() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(1, |world| world.foreign = true);
    check(
        world,
        150,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        02:00  the new template rolled back from 0 % to hello-00001: not Ready after 2m: the cluster has made no Revision of it
        02:00  hello-00001 has all traffic, confirmed after 0s
        end    RolledBack; hello-00001 100 %; 0 of 3000 requests harmed
    "#]],
    );
}

#[test]
fn a_stable_revision_that_breaks_in_the_middle_never_drives_the_release_forward() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(12, |world| world.breaks("v1", Some("ExitCode9")))
        .at(25, |world| world.breaks("v1", None));
    check(
        world,
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  hello-00002 held at 5 %: the stable revision is not well (hello-00001 is not Ready: ExitCode9), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00002
            00:25  hello-00002 goes on
            00:25  hello-00002 to 20 %: error rate 0.0 % of 18 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:39  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:53  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:54  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 247 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn a_stable_revision_that_is_gone_at_rest_is_replaced_by_the_best_one_left() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(60, |world| world.commit("v3", good()))
        .at(120, |world| world.commit("v4", failing(100)))
        .at(140, |world| world.delete_revision("hello-00003"));
    check(
        world,
        170,
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
            01:00  release of commit v3ccccc "v3" begins; hello-00002 keeps all traffic
            01:01  hello-00003 staged, 0 %
            01:03  hello-00003 Ready after 3s
            01:05  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:05  hello-00003 to 5 %
            01:19  hello-00003 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:33  hello-00003 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:47  hello-00003 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:48  hello-00003 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            02:00  release of commit v4ccccc "v4" begins; hello-00003 keeps all traffic
            02:01  hello-00004 staged, 0 %
            02:03  hello-00004 Ready after 3s
            02:05  hello-00004 rolled back from 0 % to hello-00003: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            02:06  hello-00003 has all traffic, confirmed after 1s
            02:20  the stable revision hello-00003 is not well: hello-00003 is gone
            02:21  hello-00002 is stable: hello-00003 is gone
            end    RolledBack; hello-00002 100 %; 20 of 3400 requests harmed
        "#]],
    );
}

#[test]
fn a_service_deleted_as_a_whole_is_delivered_anew() {
    let world = World::at_rest("fast").at(5, World::delete_everything);
    check(
        world,
        30,
        expect![[r#"
            00:05  nothing of the service is left; delivered anew
            00:05  first release of commit 1111111 "v1" begins
            00:06  hello-00001 staged, 0 %
            00:08  hello-00001 Ready after 3s
            00:10  hello-00001 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            end    Stable; hello-00001 100 %; 0 of 520 requests harmed
        "#]],
    );
}

#[test]
fn a_first_delivery_that_fails_waits_for_git() {
    let world = World::new("fast")
        .at(0, |world| world.behaves("v1", failing(100)))
        .at(30, |world| world.commit("v2", good()));
    check(
        world,
        60,
        expect![[r#"
        00:00  first release of commit 1111111 "v1" begins
        00:01  hello-00001 staged, 0 %
        00:03  hello-00001 Ready after 3s
        00:05  hello-00001 failed, and there is no earlier revision: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms: GET /: 500, expected below 500
        00:30  first release of commit v2ccccc "v2" begins
        00:31  hello-00002 staged, 0 %
        00:33  hello-00002 Ready after 3s
        00:35  hello-00002 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
        end    Stable; hello-00002 100 %; 600 of 1120 requests harmed
    "#]],
    );
}

#[test]
fn a_first_delivery_that_fails_can_be_retried() {
    let world = World::new("fast")
        .at(0, |world| {
            world.behaves(
                "v1",
                Behaviour {
                    ready_after: None,
                    crashes: vec![1, 2],
                    ..good()
                },
            )
        })
        .at(30, |world| {
            world.behaves("v1", good());
            world.ask(Action::Retry, None);
        });
    check(
        world,
        60,
        expect![[r#"
        00:00  first release of commit 1111111 "v1" begins
        00:01  hello-00001 staged, 0 %
        00:03  hello-00001 failed, and there is no earlier revision: crashed 2 times, last with exit code 3
        00:30  quarantine lifted, attempt 2, by ada
        00:30  first release of commit 1111111 "v1" begins
        00:31  hello-00002 staged, 0 %
        00:33  hello-00002 Ready after 3s
        00:35  hello-00002 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
        end    Stable; hello-00002 100 %; 0 of 520 requests harmed
    "#]],
    );
}

#[test]
fn an_api_server_that_is_away_for_ten_minutes_blames_nobody() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(18, |world| world.away = true)
        .at(618, |world| {
            world.away = false;
            world.clock_jumps(0);
        });
    check(
        world,
        680,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            10:18  hello-00002 to 20 %: error rate 0.0 % of 611 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            10:32  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            10:46  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            10:47  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 13600 requests harmed
        "#]],
    );
}

#[test]
fn a_clock_that_jumps_blames_nobody_and_stops_nothing() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(2, |world| world.clock_jumps(3600))
        .at(15, |world| world.clock_jumps(-7200))
        .at(40, |world| world.clock_jumps(86_400));
    check(
        world,
        80,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 1s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:28  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:42  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:56  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:57  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1600 requests harmed
        "#]],
    );
}

#[test]
fn a_stable_revision_deleted_in_the_middle_is_replaced_by_an_older_one_and_the_release_begins_again()
 {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(60, |world| world.commit("v3", good()))
        .at(80, |world| world.delete_revision("hello-00002"));
    check(
        world,
        180,
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
            01:00  release of commit v3ccccc "v3" begins; hello-00002 keeps all traffic
            01:01  hello-00003 staged, 0 %
            01:03  hello-00003 Ready after 3s
            01:05  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:05  hello-00003 to 5 %
            01:19  hello-00003 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:20  hello-00003 held at 20 %: the stable revision is not well (hello-00002 is gone), and nothing goes up because of that; `sluice rollout promote hello` gives all traffic to hello-00003
            01:40  hello-00003 rolled back from 20 % to hello-00002: the stable revision hello-00002 was deleted, and another must take its place first
            01:40  the stable revision hello-00002 is not well: hello-00002 is gone
            01:41  hello-00001 has all traffic, confirmed after 1s
            01:41  release of commit v3ccccc "v3" begins; hello-00001 keeps all traffic
            01:41  hello-00003 staged, 0 %
            01:41  hello-00003 Ready after 0s
            01:43  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:43  hello-00003 to 5 %
            01:57  hello-00003 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            02:11  hello-00003 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            02:25  hello-00003 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            02:26  hello-00003 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00003 100 %; 399 of 3600 requests harmed
        "#]],
    );
}

#[test]
fn a_revision_with_the_name_of_one_that_was_deleted_is_another_one() {
    let mut world = World::at_rest("demo")
        .push("v3", failing(100))
        .at(5, World::delete_everything)
        .at(20, |world| world.commit("v1", good()))
        .at(40, |world| world.ask(Action::Undo, None));
    world.run(60);
    let told = world.told();
    assert!(
        told.contains("undo refused: there is no earlier good revision"),
        "{told}"
    );
    assert!(world.broken.is_empty(), "{told}");
}
