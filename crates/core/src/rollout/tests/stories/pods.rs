//! What Pods say while the Revision's conditions say that all is well.

use expect_test::expect;

use super::check;
use crate::rollout::tests::world::{Behaviour, World, good};

/// Whose readiness probe fails between these seconds of its age.
fn unready(from: u64, to: u64) -> Behaviour {
    Behaviour {
        unready: Some((from, to)),
        ..good()
    }
}

#[test]
fn a_candidate_whose_pods_lose_their_readiness_is_rolled_back() {
    let world = World::at_rest("fast").push("v2", unready(20, 1000));
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
            00:41  hello-00002 rolled back from 20 % to hello-00001: 0 of 1 Pods Ready for 20s
            00:42  hello-00001 has all traffic, confirmed after 1s
            end    RolledBack; hello-00001 100 %; 84 of 1200 requests harmed
        "#]],
    );
}

#[test]
fn no_step_passes_while_no_pod_of_the_candidate_is_ready() {
    let world = World::at_rest("fast").push("v2", unready(12, 25));
    check(
        world,
        80,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:26  hello-00002 to 20 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 6 of 8
            00:40  hello-00002 to 50 %: error rate 0.0 % of 48 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:54  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:55  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 13 of 1600 requests harmed
        "#]],
    );
}

#[test]
fn patience_with_pods_is_not_for_the_time_in_which_nobody_looked() {
    let world = World::at_rest("fast")
        .push("v2", unready(20, 45))
        .at(22, |world| world.away = true)
        .at(42, |world| {
            world.away = false;
            world.clock_jumps(0);
        });
    check(
        world,
        90,
        expect![[r#"
            00:00  release of commit v2ccccc "v2" begins; hello-00001 keeps all traffic
            00:01  hello-00002 staged, 0 %
            00:03  hello-00002 Ready after 3s
            00:05  hello-00002 probed: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)
            00:05  hello-00002 to 5 %
            00:19  hello-00002 to 20 %: error rate 0.0 % of 12 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            00:46  hello-00002 to 50 %: error rate 0.0 % of 200 synthetic probes at / (limit 1 %), p99 20 ms (stable 20 ms); users sent 4 of 8
            01:00  hello-00002 to 100 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            01:01  hello-00002 is stable: every step passed; at 50 %: error rate 0.0 % of 120 requests (limit 1 %), p99 10-25 ms (stable 10-25 ms)
            end    Stable; hello-00002 100 %; 100 of 1800 requests harmed
        "#]],
    );
}
