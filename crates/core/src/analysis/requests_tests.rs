//! What users' requests say.

use std::time::Duration;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use proptest::prelude::*;

use super::finding::Finding;
use super::watched::{Answers, Watched, bad, good, late};
use super::{Verdict, judge_window, wants_synthetic};

fn judge(watched: &Watched) -> Verdict {
    judge_window(&watched.policy, &watched.policy.steps[0], &watched.seen())
}

fn says(watched: Watched, expected: Expect) -> Watched {
    let verdict = judge(&watched);
    let word = match &verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Fail { at_once: true, .. } => "fail at once",
        Verdict::Fail { .. } => "fail",
        Verdict::Inconclusive(_) => "inconclusive",
    };
    expected.assert_eq(&format!("{word}: {}", verdict.finding()));
    watched
}

fn fast() -> Watched {
    Watched::by("fast")
}

/// A second of 20 requests at 5 %, with one thing for both.
fn both(each: fn(u64) -> Answers) -> impl Fn(u64) -> [Answers; 2] {
    move |_| [each(1), each(19)]
}

#[test]
fn enough_clean_answers_after_the_bake_pass() {
    let watched = says(
        fast().seconds(11, both(good)),
        expect![
            "inconclusive: error rate 0.0 % of 11 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); baked 11s of 12s"
        ],
    );
    says(
        watched.seconds(1, both(good)),
        expect![
            "pass: error rate 0.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    says(
        fast().seconds(12, |second| [good(u64::from(second < 7)), good(19)]),
        expect!["inconclusive: users sent 7 of 8: too few to tell"],
    );
}

#[test]
fn three_early_errors_fail_at_once_and_one_asks_for_more_requests() {
    says(
        fast().seconds(3, |_| [bad(0, 1), good(19)]),
        expect![
            "fail at once: error rate 100.0 % of 3 requests (limit 1 %), stable 0 of 57, p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    let one = |second| [if second == 0 { bad(0, 1) } else { good(1) }, good(19)];
    let watched = says(
        fast().seconds(12, one),
        expect![
            "inconclusive: error rate 8.3 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); too few requests to tell"
        ],
    );
    says(
        watched.seconds(88, both(good)),
        expect![
            "pass: error rate 1.0 % of 100 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn an_hour_of_clean_answers_does_not_shield_what_turns_bad() {
    let watched = fast().seconds(3600, both(good));
    says(
        watched.seconds(3, |_| [bad(0, 1), good(19)]),
        expect![
            "fail at once: error rate 100.0 % of the last 3 requests (limit 1 %), stable 0 of 57, p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    // Nor does it where there is nobody to compare with.
    let alone = |each: fn(u64) -> Answers| move |_| [each(20), good(0)];
    let watched = fast().seconds(600, alone(good));
    says(
        watched.seconds(1, alone(|n| bad(0, n))),
        expect![
            "fail at once: error rate 100.0 % of the last 20 requests (limit 1 %), p99 25-50 ms"
        ],
    );
}

#[test]
fn fifty_times_what_stable_has_is_a_fault_below_the_limit_too() {
    // One in two hundred; stable one in twenty thousand.
    let watched = fast().seconds(1000, |second| {
        [
            bad(10, u64::from(second % 20 == 0)),
            bad(100, u64::from(second % 200 == 0)),
        ]
    });
    says(
        watched,
        expect![
            "fail at once: error rate 0.5 % of 10050 requests (limit 1 %), stable 5 of 100005, p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn a_fix_of_what_fails_passes() {
    let watched = fast().seconds(12, |_| [good(1), bad(13, 6)]);
    says(
        watched,
        expect![
            "pass: error rate 0.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn what_both_suffer_costs_no_time() {
    // Three seconds of an outage of both.
    let outage = |second| {
        if (3..6).contains(&second) {
            [bad(0, 1), bad(2, 17)]
        } else {
            [good(1), good(19)]
        }
    };
    says(
        fast().seconds(12, outage),
        expect![
            "pass: error rate 25.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    // Three in a hundred for good.
    let three = |second: u64| {
        [
            bad(1, u64::from(second.is_multiple_of(33))),
            bad(18, u64::from(second.is_multiple_of(2))),
        ]
    };
    says(
        fast().seconds(40, three),
        expect![
            "pass: error rate 4.8 % of 42 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn where_both_fail_altogether_nothing_is_known_of_the_candidate() {
    says(
        fast().seconds(20, |_| [bad(0, 1), bad(0, 19)]),
        expect![
            "inconclusive: error rate 100.0 % of 20 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms), but stable fails as well (380 of 380): not this release's fault"
        ],
    );
}

#[test]
fn late_answers_that_stable_does_not_have_are_the_candidates() {
    says(
        fast().seconds(4, |_| [late(0, 1), good(19)]),
        expect!["fail at once: 4 of 4 answers took over 500 ms (p99 limit; stable 0 of 76)"],
    );
    // Four of twelve.
    let some = |second| [if second % 3 == 0 { late(0, 1) } else { good(1) }, good(19)];
    says(
        fast().seconds(12, some),
        expect!["fail at once: 4 of 12 answers took over 500 ms (p99 limit; stable 0 of 228)"],
    );
}

#[test]
fn a_machine_that_stalls_is_slow_for_both() {
    let stall = |second| {
        if second == 5 {
            [late(0, 4), late(0, 16)]
        } else {
            [good(4), good(16)]
        }
    };
    says(
        fast().seconds(12, stall),
        expect![
            "pass: error rate 0.0 % of 48 requests (limit 1 %), p99 500-1000 ms (stable 500-1000 ms)"
        ],
    );
}

#[test]
fn a_stable_revision_that_is_as_slow_excuses_the_candidate() {
    says(
        fast().seconds(12, both(|n| late(0, n))),
        expect![
            "pass: error rate 0.0 % of 12 requests (limit 1 %), p99 500-1000 ms (stable 500-1000 ms)"
        ],
    );
}

#[test]
fn slower_than_the_limit_with_nothing_to_compare_neither_passes_nor_blames() {
    says(
        fast().seconds(12, |_| [late(0, 1), good(0)]),
        expect![
            "inconclusive: error rate 0.0 % of 12 requests (limit 1 %), p99 500-1000 ms; over the absolute limit, and stable was asked too little to compare with"
        ],
    );
}

#[test]
fn a_median_that_only_the_candidate_has_is_not_excused_by_stables_slowest_answers() {
    // One in ten of stable's answers is as slow.
    let half = |second| [late(1, 3), late(14, if second % 2 == 0 { 2 } else { 1 })];
    says(
        fast().seconds(12, half),
        expect!["fail at once: 36 of 48 answers took over 500 ms (p50 limit; stable 18 of 186)"],
    );
}

#[test]
fn one_request_in_twenty_that_never_ends_is_late_before_it_ends() {
    let hangs = |second: u64| {
        let open = |open, n| Answers { open, ..good(n) };
        [open(second / 4 + 1, 3), open(0, 16)]
    };
    says(
        fast().seconds(16, hangs),
        expect![
            "inconclusive: error rate 0.0 % of 48 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms), 3 open for longer than the limit; too few requests to tell"
        ],
    );
    says(
        fast().seconds(32, hangs),
        expect![
            "fail at once: 7 of 103 answers took over 500 ms, 7 of them have not come yet (p99 limit; stable 0 of 512)"
        ],
    );
}

#[test]
fn classes_of_status_are_stables_or_they_are_a_fault() {
    let half = |status| {
        move |second| {
            let other = Answers {
                other: (status, 1),
                ..good(0)
            };
            [if second % 2 == 0 { other } else { good(1) }, good(19)]
        }
    };
    says(
        fast().seconds(12, half(404)),
        expect!["fail at once: 6 of 12 answers were 4xx (stable 0 of 228)"],
    );
    says(
        fast().seconds(12, half(302)),
        expect!["fail at once: 6 of 12 answers were 3xx (stable 0 of 228)"],
    );
    // As many as stable has are none.
    let as_many = |second: u64| {
        let other = |good_ones, n| Answers {
            other: (404, n),
            ..good(good_ones)
        };
        [other(1, second % 2), other(10, 9)]
    };
    says(
        fast().seconds(12, as_many),
        expect![
            "pass: error rate 0.0 % of 18 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn no_data_is_neither_good_nor_bad() {
    let watched = fast().seconds(600, both(good));
    says(
        watched.blind("metrics from http://gateway:9000: HTTP 503"),
        expect!["inconclusive: no data: metrics from http://gateway:9000: HTTP 503"],
    );
}

#[test]
fn a_quiet_service_is_judged_on_our_own_requests_and_they_are_no_users() {
    let quiet = || fast().seconds(12, |second| [good(u64::from(second < 3)), good(2)]);
    says(
        quiet(),
        expect!["inconclusive: users sent 3 of 8: too few to tell"],
    );
    says(
        quiet().probed(100, 0),
        expect![
            "inconclusive: error rate 0.0 % of 100 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 3 of 8; too few requests to tell"
        ],
    );
    says(
        quiet().probed(200, 0),
        expect![
            "pass: error rate 0.0 % of 200 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 3 of 8"
        ],
    );
    says(
        quiet().probed(100, 5),
        expect![
            "fail at once: error rate 5.0 % of 100 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 3 of 8"
        ],
    );
    // And with enough users they speak for themselves.
    says(
        fast().seconds(12, both(good)).probed(100, 0),
        expect![
            "pass: error rate 0.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn failures_of_our_own_warm_up_are_not_users() {
    let watched = fast().seconds(12, |_| [good(0), good(19)]).probed(200, 0);
    let seen = watched.seen().metrics.unwrap();
    let candidate = seen.candidate.tally;
    assert_eq!((candidate.requests, candidate.errors), (0, 0));
    assert_eq!(seen.tests.seen.candidate.errors, 0);
    says(
        watched,
        expect![
            "pass: error rate 0.0 % of 200 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 0 of 8"
        ],
    );
}

#[test]
fn the_few_answers_that_users_got_are_not_overruled_by_our_own() {
    // Two errors of two are one too few to blame; the readiness path knows nothing of them.
    let two = || fast().seconds(12, |second| [bad(0, u64::from(second < 2)), good(19)]);
    says(
        two().probed(200, 0),
        expect![
            "inconclusive: error rate 100.0 % of 2 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); too few requests to tell"
        ],
    );
    // Nor does their silence afterwards acquit it.
    says(
        two().seconds(288, |_| [good(0), good(19)]),
        expect![
            "inconclusive: error rate 100.0 % of 2 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); too few requests to tell"
        ],
    );
    // The same is true of late ones, however many of ours were quick.
    let slow = |second| [if second < 3 { late(0, 1) } else { good(0) }, good(19)];
    says(
        fast().seconds(12, slow).probed(200, 0),
        expect!["fail at once: 3 of 3 answers took over 500 ms (p99 limit; stable 0 of 228)"],
    );
}

#[test]
fn our_own_requests_go_on_until_what_they_say_is_clear() {
    let asked = |watched: Watched| {
        let step = &watched.policy.steps[0];
        wants_synthetic(&judge(&watched), &watched.seen(), step)
    };
    let quiet = |seconds| fast().seconds(seconds, |_| [good(0), good(1)]);
    assert!(!asked(quiet(6)), "users may still come");
    assert!(asked(quiet(12)));
    assert!(asked(quiet(12).probed(100, 0)), "a hundred are not enough");
    assert!(asked(quiet(12).probed(300, 2)), "one way or the other");
    assert!(!asked(quiet(12).probed(200, 0)));
    let one = |second| [if second == 0 { bad(0, 1) } else { good(1) }, good(19)];
    assert!(
        !asked(fast().seconds(12, one)),
        "users speak for themselves"
    );
}

#[test]
fn a_step_is_not_passed_before_the_gateway_has_told_how_long_its_requests_took() {
    let mut watched = fast();
    // It counts, and tells no times.
    let untimed = |watched: &mut Watched, requests: u64| {
        for revision in ["hello-00002", "hello-00001"] {
            let counters = watched.gateway.of_mut("default", revision);
            *counters.by_status.entry(200).or_default() += requests;
        }
    };
    for _ in 0..60 {
        watched.second += 1;
        untimed(&mut watched, 7);
        watched.look();
    }
    let verdict = judge(&watched);
    assert!(
        matches!(verdict, Verdict::Inconclusive(Finding::Untimed(_))),
        "{verdict:?}"
    );
    let step = &watched.policy.steps[0];
    assert!(
        !wants_synthetic(&verdict, &watched.seen(), step),
        "users are there: nothing else is needed"
    );
}

#[test]
fn the_warm_up_s_failures_count_and_its_times_do_not() {
    let mut watched = fast();
    watched.warm_until = Some(Timestamp::UNIX_EPOCH + Duration::from_secs(5));
    let slow_first = |second| [if second < 5 { late(0, 1) } else { good(1) }, good(19)];
    says(
        watched.seconds(16, slow_first),
        expect![
            "pass: error rate 0.0 % of 16 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    let mut watched = fast();
    watched.warm_until = Some(Timestamp::UNIX_EPOCH + Duration::from_secs(5));
    says(
        watched.seconds(3, |_| [bad(0, 1), good(19)]),
        expect!["fail at once: error rate 100.0 % of 3 requests (limit 1 %), stable 0 of 57"],
    );
}

#[test]
fn what_users_met_while_no_agent_ran_is_not_forgotten() {
    let watched = fast().seconds(5, both(good));
    let watched = watched.dies(&[[bad(0, 10), good(190)]]);
    says(
        watched,
        expect![
            "fail at once: error rate 100.0 % of the last 10 requests (limit 1 %), stable 0 of 190"
        ],
    );
    // And an account that is of another release is none of this one's.
    let other = fast().seconds(5, |_| [bad(0, 1), good(19)]).seen().ledger;
    assert_eq!(other.candidate, "hello-00002");
    assert!(other.tests["errors"].won.iter().sum::<f64>() > 1.0);
}

#[test]
fn our_own_requests_of_a_window_that_ended_are_taken_off_once_and_hide_no_user_of_the_next() {
    let mut watched = fast().seconds(5, both(good));
    // A round that the window booked, and no look has seen in the counters yet.
    watched.probe(100, 0);
    let watched = watched.dies(&[[bad(2, 1), good(57)]]);
    let seen = watched.seen().metrics.unwrap().tests.seen.candidate;
    assert_eq!((seen.requests, seen.errors), (5 + 3, 1));
    let next = watched.seconds(12, both(good));
    assert_eq!(next.seen().metrics.unwrap().candidate.tally.requests, 12);
}

proptest! {
    /// No data never passes or fails, and what is remembered says what was said.
    #[test]
    fn a_memory_says_what_the_agent_knew(
        seconds in 1u64..40, errors in 0u64..4, stable in 0u64..4, share in 1u64..10,
    ) {
        let watched = fast().seconds(seconds, |second| {
            [bad(share, errors * (second % 2)), bad(20 - share, stable * (second % 2))]
        });
        let before = watched.seen().metrics.unwrap().tests;
        let after = watched.dies(&[]).seen().metrics.unwrap().tests;
        prop_assert_eq!(before.errors, after.errors);
        prop_assert_eq!(before.seen, after.seen);
        prop_assert_eq!(before.ceiling, after.ceiling);
        prop_assert_eq!(before.late, after.late);
        prop_assert_eq!(before.client_errors, after.client_errors);
    }
}
