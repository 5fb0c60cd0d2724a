//! How releases end well, and what serves meanwhile.

use expect_test::expect;

use super::check;
use crate::api::rollout::Action;
use crate::rollout::tests::world::{Behaviour, World, failing, good};

#[test]
fn a_first_delivery_gets_its_route_when_it_is_ready_and_is_stable_when_it_is_probed() {
    check(
        World::new("fast"),
        20,
        expect![[r#"
        00:00  first release of commit 1111111 "v1" begins
        00:01  hello-00001 staged, 0 %
        00:03  hello-00001 Ready after 3s
        00:05  hello-00001 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
        end    Stable; hello-00001 100 %; 0 of 320 requests harmed
    "#]],
    );
}

#[test]
fn a_good_release_walks_every_step_within_a_minute() {
    check(
        World::at_rest("fast").push("v2", good()),
        60,
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
            end    Stable; hello-00002 100 %; 0 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn demo_tells_its_story_in_half_a_minute() {
    check(
        World::at_rest("demo").push("v2", good()),
        40,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 50 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  hello-00002 to 20 %: error rate 0.0 % of 5 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:19  hello-00002 to 50 %: error rate 0.0 % of 20 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:26  hello-00002 to 100 %: error rate 0.0 % of 50 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:27  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 50 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 800 requests harmed
        "#]],
    );
}

#[test]
fn an_image_that_is_pushed_a_minute_late_is_waited_for() {
    let late = Behaviour {
        ready_after: None,
        fails_at: Some((1, "ContainerMissing")),
        ..good()
    };
    let world = World::at_rest("fast")
        .push("v2", late)
        .at(60, |world| world.behaves("v2", good()));
    check(
        world,
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            01:00  hello-00002 Ready after 1m
            01:02  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:02  hello-00002 to 5 %
            01:16  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:30  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:44  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:45  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 2400 requests harmed
        "#]],
    );
}

#[test]
fn a_newer_commit_never_inherits_weight() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(25, |world| world.commit("v3", failing(100)));
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
            00:25  hello-00002 rolled back from 20 % to hello-00001: superseded by commit v3ccccc
            00:26  hello-00001 has all traffic, confirmed after 1s
            00:26  release of commit v3ccccc "v3" begins; hello-00001 keeps all traffic
            00:27  hello-00003 staged, 0 %
            00:29  hello-00003 Ready after 3s
            00:31  hello-00003 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:32  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_newer_commit_while_promoting_waits_for_the_promotion() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(48, |world| world.commit("v3", failing(100)));
    check(
        world,
        70,
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
            00:48  release of commit v3ccccc "v3" begins; hello-00002 keeps all traffic
            00:49  hello-00003 staged, 0 %
            00:51  hello-00003 Ready after 3s
            00:53  hello-00003 rolled back from 0 % to hello-00002: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:54  hello-00002 has all traffic, confirmed after 1s
            end    RolledBack; hello-00002 100 %; 0 of 1400 requests harmed
        "#]],
    );
}

#[test]
fn a_revert_in_the_middle_puts_stable_back_and_blames_nobody() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(25, |world| world.commit("v1", good()));
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
            00:25  hello-00002 rolled back from 20 % to hello-00001: reverted by commit v1ccccc
            00:26  hello-00001 has all traffic, confirmed after 1s
            end    Stable; hello-00001 100 %; 0 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn a_revert_after_the_release_puts_the_old_revision_back_at_once() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(60, |world| world.commit("v1", good()));
    check(
        world,
        80,
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
            01:01  hello-00001 is stable: commit v1ccccc goes back to its template
            end    Stable; hello-00001 100 %; 0 of 1600 requests harmed
        "#]],
    );
}

#[test]
fn a_user_s_tags_and_splits_are_kept_throughout() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.commit("v2", good());
        })
        .at(60, |world| {
            world.git.final_traffic = serde_json::from_value(serde_json::json!([
                {"latestRevision": true, "percent": 80, "tag": "current"},
                {"revisionName": "hello-00001", "percent": 20, "tag": "old"},
            ])).unwrap();
        })
        .at(70, |world| world.commit("v3", good()))
        .at(90, |world| {
            let traffic = crate::rollout::describe(&world.route.as_ref().unwrap().status);
            assert_eq!(traffic, "hello-00002 76 % #current, hello-00001 20 % #old, hello-00002 0 % #stable, hello-00003 4 % #candidate");
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
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:33  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:47  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:48  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:10  release of commit v3ccccc "v3" begins; hello-00002 keeps all traffic
            01:11  hello-00003 staged, 0 %
            01:13  hello-00003 Ready after 3s
            01:15  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:15  hello-00003 to 5 %
            01:29  hello-00003 to 20 %: error rate 0.0 % of 10 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:43  hello-00003 to 50 %: error rate 0.0 % of 39 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:57  hello-00003 to 100 %: error rate 0.0 % of 96 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:58  hello-00003 is stable: every step passed; at 50 %: error rate 0.0 % of 96 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00003 80 % #current, hello-00001 20 % #old; 0 of 2800 requests harmed
        "#]],
    );
}

#[test]
fn revisions_named_in_git_move_the_share_that_names_them() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.commit("v2", good());
            world.git.revision_name = Some("hello-00002".to_owned());
            world.git.final_traffic = serde_json::from_value(serde_json::json!([
                {"revisionName": "hello-00001", "percent": 100},
            ]))
            .unwrap();
        })
        .at(30, |world| {
            world.git.final_traffic = serde_json::from_value(serde_json::json!([
                {"revisionName": "hello-00001", "percent": 50},
                {"revisionName": "hello-00002", "percent": 50},
            ]))
            .unwrap();
        });
    check(
        world,
        100,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 held at 0 %: the traffic in Git gives the newest revision no share
            00:30  hello-00002 goes on
            00:30  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:30  hello-00002 to 5 %
            00:45  hello-00002 to 20 %: error rate 0.0 % of 8 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:59  hello-00002 to 50 %: error rate 0.0 % of 24 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:13  hello-00002 to 100 %: error rate 0.0 % of 60 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:14  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 60 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00001 50 %, hello-00002 50 %; 0 of 2000 requests harmed
        "#]],
    );
}
#[test]
fn a_live_service_is_adopted_and_pinned_by_name() {
    let mut world = World::new("fast");
    world.foreign(&[("latest", 100)]);
    check(
        world,
        20,
        expect![[r#"
            00:00  adopted; hello-00002 is stable
            end    Stable; hello-00002 100 %; 0 of 400 requests harmed
        "#]],
    );
}

#[test]
fn a_service_whose_agent_was_killed_right_behind_its_first_write_is_delivered_and_not_adopted() {
    let mut world = World::new("fast");
    world.begun();
    check(
        world,
        20,
        expect![[r#"
            00:00  first release of commit 1111111 "v1" begins
            00:00  hello-00001 staged, 0 %
            00:00  hello-00001 Ready after 0s
            00:02  hello-00001 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            end    Stable; hello-00001 100 %; 0 of 400 requests harmed
        "#]],
    );
}

#[test]
fn a_split_found_at_adoption_is_kept_until_the_first_release() {
    let mut world = World::new("fast").at(20, |world| world.commit("v2", failing(100)));
    world.foreign(&[("hello-00001", 30), ("hello-00002", 70)]);
    check(
        world,
        50,
        expect![[r#"
            00:00  adopted; hello-00002 is stable, the split hello-00001 30 %, hello-00002 70 % is kept until the first release
            00:20  release of commit v2ccccc "v2" begins; hello-00002 keeps all traffic
            00:22  hello-00003 staged, 0 %
            00:24  hello-00003 Ready after 3s
            00:26  hello-00003 rolled back from 0 % to hello-00002: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:27  hello-00002 has all traffic, confirmed after 1s
            end    RolledBack; hello-00002 100 %; 0 of 1000 requests harmed
        "#]],
    );
}

#[test]
fn an_adopted_service_that_differs_from_git_begins_a_release_from_what_serves() {
    let mut world = World::new("fast").at(0, |world| world.commit("v9", good()));
    world.foreign(&[("latest", 100)]);
    check(
        world,
        70,
        expect![[r#"
            00:00  adopted; hello-00002 is stable
            00:00  release of commit v9ccccc "v9" begins; hello-00002 keeps all traffic
            00:02  hello-00003 staged, 0 %
            00:04  hello-00003 Ready after 3s
            00:06  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:06  hello-00003 to 5 %
            00:20  hello-00003 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:34  hello-00003 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:48  hello-00003 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:49  hello-00003 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00003 100 %; 0 of 1400 requests harmed
        "#]],
    );
}

#[test]
fn the_beginning_of_a_first_delivery_is_stored_with_what_comes_of_it_or_after_ten_seconds() {
    let mut world = World::new("fast");
    world.stuck = true;
    world.run(10);
    assert_eq!(world.calls, 1, "the template");
    world.run(20);
    assert_eq!(world.calls, 2, "and the status, once");

    let mut world = World::new("fast");
    world.run(3);
    assert_eq!(world.calls, 2, "the template; the status with its revision");
}

#[test]
fn the_beginning_of_a_first_delivery_is_stored_at_once_where_there_is_something_to_remember() {
    let mut world = World::new("fast");
    world.stuck = true;
    world.ask(Action::Undo, None);
    world.run(5);
    assert_eq!(world.calls, 2, "the answer to a person, then the template");
}
