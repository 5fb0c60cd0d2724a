//! What people ask for, and what they do by hand.

use expect_test::expect;

use super::check;
use crate::api::rollout::Action;
use crate::rollout::tests::world::{World, failing, good};

#[test]
fn a_bad_template_stays_out_until_somebody_says_retry() {
    let world = World::at_rest("fast")
        .push("v2", failing(100))
        .at(20, |world| world.commit("v1", good()))
        .at(30, |world| world.commit("v2", good()))
        .at(40, |world| {
            world.behaves("v2", good());
            world.ask(Action::Retry, None);
        });
    check(
        world,
        110,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 rolled back from 0 % to hello-00001: error rate 100.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms): GET /: 500, expected below 500
            00:06  hello-00001 has all traffic, confirmed after 1s
            00:40  quarantine lifted, attempt 2, by ada
            00:40  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:42  hello-00004 staged, 0 %
            00:44  hello-00004 Ready after 3s
            00:46  hello-00004 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:46  hello-00004 to 5 %
            01:00  hello-00004 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:14  hello-00004 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:28  hello-00004 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:29  hello-00004 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00004 100 %; 0 of 2200 requests harmed
        "#]],
    );
}

#[test]
fn a_pause_stands_still_and_a_rollback_still_happens() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(10, |world| world.spec.paused = true)
        .at(60, |world| world.behaves("v2", failing(100)));
    check(
        world,
        90,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: paused; `sluice rollout resume` goes on
            01:02  hello-00002 rolled back from 5 % to hello-00001: at 5 %: error rate 100.0 % of the last 3 requests (limit 1 %), stable 0 of 57, p99 10-25 ms (stable 10-25 ms)
            01:03  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 3 of 1800 requests harmed
        "#]],
    );
}

#[test]
fn a_pause_and_a_resume_go_on_where_it_stood() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(10, |world| world.spec.paused = true)
        .at(60, |world| world.spec.paused = false);
    check(
        world,
        120,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: paused; `sluice rollout resume` goes on
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
fn nothing_new_begins_while_paused() {
    let world = World::at_rest("fast")
        .at(0, |world| world.spec.paused = true)
        .at(1, |world| world.commit("v2", good()))
        .at(30, |world| world.spec.paused = false);
    check(
        world,
        90,
        expect![[r#"
            00:30  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:31  hello-00002 staged, 0 %
            00:33  hello-00002 Ready after 3s
            00:35  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:35  hello-00002 to 5 %
            00:49  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:03  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:17  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:18  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1800 requests harmed
        "#]],
    );
}

#[test]
fn a_policy_that_cannot_be_read_holds_a_release_and_a_rollback_still_happens() {
    let problem = Some("there is no RolloutPolicy \"gone\"".to_owned());
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(10, {
            let problem = problem.clone();
            move |world| world.git.policy_problem = problem
        })
        .at(40, |world| world.behaves("v2", failing(100)))
        .at(60, |world| world.commit("v3", good()))
        .at(70, |world| world.git.policy_problem = None);
    check(
        world,
        90,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: there is no RolloutPolicy "gone"
            00:42  hello-00002 rolled back from 5 % to hello-00001: at 5 %: error rate 100.0 % of the last 3 requests (limit 1 %), stable 0 of 57, p99 10-25 ms (stable 10-25 ms)
            00:43  hello-00001 has all traffic, confirmed after 1s
            01:10  release of commit v3ccccc "v3" begins; hello-00001 keeps all traffic
            01:11  hello-00003 staged, 0 %
            01:13  hello-00003 Ready after 3s
            01:15  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:15  hello-00003 to 5 %
            01:29  hello-00003 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stepping with hello-00003; hello-00001 95 % #stable, hello-00003 5 % #candidate; 3 of 1800 requests harmed
        "#]],
    );
}

#[test]
fn a_suspended_delivery_freezes_the_release_and_a_rollback_still_happens() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(10, |world| world.git.suspended = true)
        .at(20, |world| {
            world.by_hand(&[("hello-00001", 90), ("hello-00002", 10)])
        })
        .at(60, |world| world.breaks("v2", Some("ExitCode3")));
    check(
        world,
        90,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: the Delivery is suspended
            01:00  hello-00002 rolled back from 5 % to hello-00001: not Ready: ExitCode3
            01:01  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 2 of 1800 requests harmed
        "#]],
    );
}

#[test]
fn a_release_whose_delivery_is_deleted_is_rolled_back_without_blame_and_none_begins() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(10, |world| world.git.withdrawn = true)
        .at(20, |world| world.commit("v3", good()))
        .at(40, |world| {
            assert!(world.status.quarantine.is_empty());
            world.git.withdrawn = false;
        });
    check(
        world,
        50,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 rolled back from 5 % to hello-00001: its Delivery was deleted
            00:11  hello-00001 has all traffic, confirmed after 1s
            00:40  release of commit v3ccccc "v3" begins; hello-00001 keeps all traffic
            00:41  hello-00003 staged, 0 %
            00:43  hello-00003 Ready after 3s
            00:45  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:45  hello-00003 to 5 %
            end    Stepping with hello-00003; hello-00001 95 % #stable, hello-00003 5 % #candidate; 0 of 1000 requests harmed
        "#]],
    );
}

#[test]
fn a_release_whose_delivery_is_deleted_is_rolled_back_though_it_is_suspended() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(10, |world| world.git.suspended = true)
        .at(15, |world| world.git.withdrawn = true);
    check(
        world,
        30,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:10  hello-00002 held at 5 %: the Delivery is suspended
            00:15  hello-00002 rolled back from 5 % to hello-00001: its Delivery was deleted
            00:16  hello-00001 has all traffic, confirmed after 1s
            end    Stable; hello-00001 100 %; 0 of 600 requests harmed
        "#]],
    );
}

#[test]
fn promote_skips_the_rest_of_the_steps() {
    let world = World::at_rest("standard")
        .push("v2", good())
        .at(60, |world| world.ask(Action::Promote, None));
    check(
        world,
        70,
        expect![[r#"
        00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:01  hello-00002 staged, 0 %
        00:03  hello-00002 Ready after 3s
        00:05  hello-00002 probed: error rate 0.0 % of 20 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
        00:05  hello-00002 to 5 %
        01:01  hello-00002 is stable: promoted from 5 % by ada
        end    Stable; hello-00002 100 %; 0 of 1400 requests harmed
    "#]],
    );
}

#[test]
fn an_approval_waits_for_a_person_and_then_goes_to_the_next_step() {
    let mut world = World::at_rest("fast")
        .push("v2", good())
        .at(100, |world| world.ask(Action::Promote, None));
    world.policy.steps[1].approval = true;
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
            00:33  hello-00002 held at 20 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms); this step waits for `sluice rollout promote`
            01:40  hello-00002 goes on
            01:40  hello-00002 to 50 %
            01:54  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:55  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 2800 requests harmed
        "#]],
    );
}

#[test]
fn abort_takes_it_back_and_keeps_it_out() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(25, |world| world.ask(Action::Abort, None));
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
            00:25  hello-00002 rolled back from 20 % to hello-00001: aborted by ada
            00:26  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 0 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn undo_rolls_back_to_the_revision_before_and_keeps_the_present_one_out() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(60, |world| world.ask(Action::Undo, None))
        .at(70, |world| world.ask(Action::Retry, None));
    check(
        world,
        130,
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
            01:01  hello-00001 is stable: undone by ada
            01:10  quarantine lifted, attempt 2, by ada
            01:10  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            01:12  hello-00003 staged, 0 %
            01:14  hello-00003 Ready after 3s
            01:16  hello-00003 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            01:16  hello-00003 to 5 %
            01:30  hello-00003 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:44  hello-00003 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:58  hello-00003 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:59  hello-00003 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00003 100 %; 0 of 2600 requests harmed
        "#]],
    );
}

#[test]
fn requests_that_make_no_sense_are_refused_with_a_reason_once() {
    let world = World::at_rest("fast")
        .at(1, |world| world.ask(Action::Promote, None))
        .at(2, |world| world.ask(Action::Abort, None))
        .at(3, |world| world.ask(Action::Retry, None))
        .at(4, |world| world.ask(Action::Undo, Some("hello-00007")));
    check(
        world,
        20,
        expect![[r#"
        00:01  promote refused: no release is on its way
        00:02  abort refused: no release is on its way; `sluice rollout undo` rolls back to the one before
        00:03  retry refused: Git's template is not in quarantine
        00:04  undo refused: hello-00007 is no revision to roll back to: none is left in the cluster
        end    Stable; hello-00001 100 %; 0 of 400 requests harmed
    "#]],
    );
}

#[test]
fn traffic_changed_by_hand_is_rolled_back_and_said() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(12, |world| world.by_hand(&[("hello-00002", 100)]))
        .at(70, |world| world.by_hand(&[("latest", 100)]));
    check(
        world,
        90,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  traffic was changed by hand to hello-00002 100 %; restored to hello-00001 95 % #stable, hello-00002 5 % #candidate
            00:26  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:40  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:54  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:55  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:10  traffic was changed by hand to latest 100 %; restored to hello-00002 100 %
            end    Stable; hello-00002 100 %; 0 of 1800 requests harmed
        "#]],
    );
}

#[test]
fn a_route_deleted_by_hand_is_written_again() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(12, |world| world.route = None);
    check(
        world,
        70,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:12  traffic was changed by hand to no Route at all; restored to hello-00001 95 % #stable, hello-00002 5 % #candidate
            00:26  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:40  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:54  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:55  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 0 of 1380 requests harmed
        "#]],
    );
}

#[test]
fn a_candidate_deleted_by_hand_is_rolled_back() {
    let world = World::at_rest("fast")
        .push("v2", good())
        .at(22, |world| world.delete_revision("hello-00002"));
    check(
        world,
        40,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:22  hello-00002 rolled back from 20 % to hello-00001: at 20 %: error rate 100.0 % of the last 4 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:23  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 4 of 800 requests harmed
        "#]],
    );
}

#[test]
fn a_template_changed_by_hand_is_corrected_and_gets_no_traffic() {
    let world = World::at_rest("fast").at(5, |world| world.edit_template("v9"));
    check(
        world,
        30,
        expect![[r#"
        00:05  the template was changed by hand; corrected
        end    Stable; hello-00001 100 %; 0 of 600 requests harmed
    "#]],
    );
}

#[test]
fn a_template_that_the_cluster_refuses_changes_nothing_and_can_be_retried() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.refuses = Some("admission webhook denied the request".to_owned())
        })
        .push("v2", good())
        .at(20, |world| {
            world.refuses = None;
            world.ask(Action::Retry, None);
        });
    check(
        world,
        40,
        expect![[r#"
            00:00  the new template rolled back from 0 % to hello-00001: refused by the cluster: admission webhook denied the request
            00:20  quarantine lifted, attempt 2, by ada
            00:20  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:21  hello-00002 staged, 0 %
            00:23  hello-00002 Ready after 3s
            00:25  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:25  hello-00002 to 5 %
            00:39  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stepping with hello-00002; hello-00001 95 % #stable, hello-00002 5 % #candidate; 0 of 800 requests harmed
        "#]],
    );
}

#[test]
fn a_template_that_the_cluster_refused_is_released_by_itself_once_it_is_taken() {
    let world = World::at_rest("fast")
        .at(0, |world| {
            world.refuses = Some("no images from there".to_owned());
            world.asked_again = true;
        })
        .push("v2", good())
        .at(10, |world| {
            world.refuses = Some("no images without a name".to_owned())
        })
        .at(12, |world| {
            let message = world.status.message.clone();
            world.say(&message);
        })
        .at(20, |world| world.refuses = None);
    check(
        world,
        30,
        expect![[r#"
        00:00  the new template rolled back from 0 % to hello-00001: refused by the cluster: no images from there
        00:12  hello-00001 serves; Git's template was rolled back (refused by the cluster: no images without a name): change it in Git, or `sluice rollout retry`; the cluster is asked again every 5m at the latest
        00:20  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
        00:21  hello-00002 staged, 0 %
        00:23  hello-00002 Ready after 3s
        00:25  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
        00:25  hello-00002 to 5 %
        end    Stepping with hello-00002; hello-00001 95 % #stable, hello-00002 5 % #candidate; 0 of 600 requests harmed
    "#]],
    );
}

#[test]
fn a_first_delivery_that_the_cluster_refused_begins_again_once_it_is_taken() {
    let mut world = World::new("fast");
    world.refuses = Some("no images from there".to_owned());
    world.asked_again = true;
    let world = world.at(10, |world| world.refuses = None);
    check(
        world,
        20,
        expect![[r#"
        00:00  first release of commit 1111111 "v1" begins
        00:00  the first template failed, and there is no earlier revision: refused by the cluster: no images from there
        00:10  first release of commit 1111111 "v1" begins
        00:11  hello-00001 staged, 0 %
        00:13  hello-00001 Ready after 3s
        00:15  hello-00001 is stable: first delivery; error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms
        end    Stable; hello-00001 100 %; 0 of 120 requests harmed
    "#]],
    );
}

#[test]
fn a_name_that_is_taken_is_no_template_that_is_taken() {
    let mut world = World::at_rest("fast").at(0, |world| {
        world.asked_again = true;
        world.reused = true;
        world.git.revision_name = Some("hello-00001".to_owned());
    });
    world = world.push("v2", good());
    world.run(30);
    assert_eq!(world.status.history.len(), 2, "{}", world.told());
    assert_eq!(world.status.quarantine.len(), 1, "{}", world.told());
}

#[test]
fn twenty_four_quick_commits_leave_something_to_undo_to() {
    let mut world = World::at_rest("demo").push("v2", good());
    world.run(40);
    for number in 3..27 {
        let version = format!("v{number}");
        world = world.at(0, move |world| world.commit(&version, good()));
        world.run(2);
    }
    world.run(60);
    assert!(world.status.history.len() > 20, "{}", world.told());
    world.ask(Action::Undo, None);
    world.run(10);
    assert_eq!(world.status.answers[0].refused, None, "{}", world.told());
    let stable = world.status.stable.clone().unwrap();
    assert_eq!(
        stable.revision.as_deref(),
        Some("hello-00002"),
        "{}",
        world.told()
    );
}
