//! Git's traffic names the candidate itself: blue and green.

use std::fmt::Write as _;

use expect_test::expect;
use serde_json::json;

use super::check;
use crate::rollout::describe;
use crate::rollout::tests::world::{World, failing, good};

/// A commit that names its revision `hello-00002`, with this traffic.
fn green(world: &mut World, traffic: serde_json::Value) {
    world.git.revision_name = Some("hello-00002".to_owned());
    world.git.final_traffic = serde_json::from_value(traffic).unwrap();
}

/// Writes the Route's split into the story.
fn look(world: &mut World) {
    let shown = world.route.as_ref().map(|route| describe(&route.status));
    let clock = world.clock();
    let _ = writeln!(world.story, "{clock}  shown: {}", shown.unwrap_or_default());
}

fn all_blue() -> serde_json::Value {
    json!([
        {"revisionName": "hello-00001", "percent": 100},
        {"revisionName": "hello-00002", "percent": 0, "tag": "green"},
    ])
}

#[test]
fn green_is_shown_at_its_tag_before_it_has_a_share_then_half_then_all() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.commit("v2", good());
            green(world, all_blue());
        })
        .at(2, look)
        .at(10, look)
        .at(30, |world| {
            green(
                world,
                json!([
                    {"revisionName": "hello-00001", "percent": 50},
                    {"revisionName": "hello-00002", "percent": 50, "tag": "green"},
                ]),
            );
        })
        .at(40, look)
        .at(100, look)
        .at(100, |world| {
            green(
                world,
                json!([
                    {"revisionName": "hello-00001", "percent": 0, "tag": "blue"},
                    {"revisionName": "hello-00002", "percent": 100, "tag": "green"},
                ]),
            );
        });
    check(
        world,
        110,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:02  shown: hello-00001 100 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 held at 0 %: the traffic in Git gives the newest revision no share
            00:10  shown: hello-00001 100 % #stable, hello-00002 0 % #green, hello-00002 0 % #candidate
            00:30  hello-00002 goes on
            00:30  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:30  hello-00002 to 5 %
            00:40  shown: hello-00001 97 % #stable, hello-00002 0 % #green, hello-00002 3 % #candidate
            00:45  hello-00002 to 20 %: error rate 0.0 % of 8 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:59  hello-00002 to 50 %: error rate 0.0 % of 24 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:13  hello-00002 to 100 %: error rate 0.0 % of 60 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:14  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 60 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:40  shown: hello-00001 50 %, hello-00002 50 % #green
            end    Stable; hello-00001 0 % #blue, hello-00002 100 % #green; 0 of 2200 requests harmed
        "#]],
    );
}

#[test]
fn a_green_that_is_rolled_back_is_not_shown_at_its_tag_either() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.commit("v2", failing(100));
            green(world, all_blue());
        })
        .at(4, look);
    check(
        world,
        30,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:04  shown: hello-00001 100 %
        00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
        00:06  hello-00001 has all traffic, confirmed after 1s
        end    RolledBack; hello-00001 100 %; 0 of 600 requests harmed
    "#]],
    );
}

#[test]
fn where_git_gives_the_newest_no_share_its_tag_shows_it_all_the_same() {
    let world = World::at_rest("fast").at(0, |world| {
        world.commit("v2", good());
        world.git.final_traffic = serde_json::from_value(json!([
            {"revisionName": "hello-00001", "percent": 100},
            {"latestRevision": true, "percent": 0, "tag": "newest"},
        ]))
        .unwrap();
    });
    check(
        world,
        20,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:02  hello-00002 staged, 0 %
        00:04  hello-00002 Ready after 3s
        00:06  hello-00002 held at 0 %: the traffic in Git gives the newest revision no share
        end    Holding with hello-00002; hello-00001 100 % #stable, hello-00002 0 % #newest, hello-00002 0 % #candidate; 0 of 400 requests harmed
    "#]],
    );
}

#[test]
fn a_traffic_block_that_turns_unusable_takes_no_tag_from_the_candidate() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.commit("v2", good());
            green(world, all_blue());
        })
        .at(20, |world| {
            world.git.final_traffic = vec![];
            world.git.traffic_problem = Some("it sums to 50, want 100".to_owned());
        });
    check(
        world,
        40,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 held at 0 %: the traffic in Git gives the newest revision no share
        00:20  hello-00002 held at 0 %: the traffic block in Git cannot be used: it sums to 50, want 100
        end    Holding with hello-00002; hello-00001 100 % #stable, hello-00002 0 % #green, hello-00002 0 % #candidate; 0 of 800 requests harmed
    "#]],
    );
}

#[test]
fn a_revision_that_git_names_and_nobody_has_is_said_until_it_is_mended() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.git.final_traffic = serde_json::from_value(json!([
                {"latestRevision": true, "percent": 60},
                {"revisionName": "hello-9999", "percent": 40},
            ]))
            .unwrap();
        })
        .at(10, |world| {
            let said = |condition: &&crate::api::condition::Condition| {
                condition.type_ == crate::rollout::LEFT_OUT && condition.is_true()
            };
            let found = world.status.conditions.iter().find(said);
            let words = found.map(|condition| condition.message.clone());
            let _ = writeln!(world.story, "00:10  {}", words.unwrap_or_default());
            world.git.final_traffic = vec![];
        })
        .at(20, |world| {
            let left = world.status.conditions.iter();
            let mut left = left.filter(|c| c.type_ == crate::rollout::LEFT_OUT);
            assert!(left.all(|condition| !condition.is_true()));
        });
    check(
        world,
        25,
        expect![[r#"
        00:00  Git's traffic names hello-9999, which is not there or not Ready; its share goes to the stable revision
        00:10  Git's traffic names hello-9999, which is not there or not Ready; its share goes to the stable revision
        end    Stable; hello-00001 100 %; 0 of 500 requests harmed
    "#]],
    );
}

#[test]
fn a_name_with_no_room_for_a_tag_is_held_before_the_first_step_unless_nothing_is_probed() {
    let mut world = World::new("fast")
        .at(10, |world| {
            world.commit("v2", good());
            world.git.revision_name = Some("hello-00002".to_owned());
        })
        .at(30, |world| world.policy.probes.count = 0);
    world.git.name = "x".repeat(62);
    world.git.revision_name = Some("hello-00001".to_owned());
    check(
        world,
        80,
        expect![[r#"
            00:00  first release of commit 1111111 "v1" begins
            00:01  hello-00001 staged, 0 %
            00:03  hello-00001 Ready after 3s
            00:05  hello-00001 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
            00:10  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:11  hello-00002 staged, 0 %
            00:13  hello-00002 Ready after 3s
            00:13  hello-00002 held at 0 %: it cannot be probed before its first step: its name has 62 characters, and the host of a tag, TAG-NAME, may have 63 at most; shorten the name, or set probes.count: 0 in its policy
            00:30  hello-00002 goes on
            00:30  hello-00002 to 5 %
            00:44  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:58  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:12  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:13  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1520 requests harmed
        "#]],
    );
}
