//! What evidence says what: the table behind the verdicts.

use std::time::Duration;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use proptest::prelude::*;

use super::evidence::{Counts, Metrics, ProbeReport, ProbeRound, Unmeasured, Window};
use super::finding::Finding;
use super::latency::{Bucket, Latencies};
use super::{Verdict, judge_probes, judge_window, wants_synthetic};
use crate::policy::preset;

/// `errors` of `requests`, each within the bucket up to `ms` of a gateway's histogram.
fn counts(errors: u64, requests: u64, ms: f64) -> Counts {
    let edges = [0.0, 25.0, 50.0, 250.0, 500.0, 1000.0, 2500.0];
    let bucket = |edge: &[f64]| Bucket {
        over: edge[0],
        up_to: edge[1],
        count: if ms > edge[0] && ms <= edge[1] {
            requests
        } else {
            0
        },
    };
    let latencies = Latencies::Buckets(edges.windows(2).map(bucket).collect());
    Counts {
        requests,
        errors,
        latencies,
        times_lag: false,
    }
}

fn window(seconds: u64, candidate: Counts, stable: Counts) -> Window {
    Window {
        revision: "hello-00002".to_owned(),
        weight: 5,
        since: Timestamp::UNIX_EPOCH,
        at: Timestamp::UNIX_EPOCH,
        elapsed: Duration::from_secs(seconds),
        metrics: Ok(Metrics { candidate, stable }),
        synthetic: None,
    }
}

fn judge(window: &Window) -> Verdict {
    let policy = preset("fast").unwrap();
    judge_window(&policy, &policy.steps[0], window)
}

fn says(window: Window, expected: Expect) {
    let verdict = judge(&window);
    let word = match &verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Fail { at_once: true, .. } => "fail at once",
        Verdict::Fail { .. } => "fail",
        Verdict::Inconclusive(_) => "inconclusive",
    };
    expected.assert_eq(&format!("{word}: {}", verdict.finding()));
}

#[test]
fn enough_clean_answers_after_the_bake_pass() {
    says(
        window(12, counts(0, 12, 40.0), counts(0, 228, 40.0)),
        expect![
            "pass: error rate 0.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    says(
        window(11, counts(0, 12, 40.0), counts(0, 228, 40.0)),
        expect![
            "inconclusive: error rate 0.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); baked 11s of 12s"
        ],
    );
    says(
        window(12, counts(0, 7, 40.0), counts(0, 228, 40.0)),
        expect!["inconclusive: users sent 7 of 8: too few to tell"],
    );
}

#[test]
fn four_early_errors_fail_at_once_and_one_asks_for_more_requests() {
    says(
        window(3, counts(4, 4, 40.0), counts(0, 70, 40.0)),
        expect![
            "fail at once: error rate 100.0 % of 4 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    says(
        window(12, counts(1, 12, 40.0), counts(0, 228, 40.0)),
        expect![
            "inconclusive: error rate 8.3 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); too few requests to tell"
        ],
    );
    says(
        window(90, counts(1, 100, 40.0), counts(0, 1900, 40.0)),
        expect![
            "pass: error rate 1.0 % of 100 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn gross_slowness_is_found_within_one_judgement() {
    says(
        window(4, counts(0, 4, 800.0), counts(0, 76, 40.0)),
        expect!["fail at once: p99 500-1000 ms is over the limit of 500 ms (stable 25-50 ms)"],
    );
}

/// `late` of `requests` over a second, the others quick.
fn some_late(late: u64, requests: u64) -> Counts {
    let mut counts = counts(0, requests, 40.0);
    if let Latencies::Buckets(buckets) = &mut counts.latencies {
        for bucket in buckets {
            bucket.count = match bucket.over {
                25.0 => requests - late,
                1000.0 => late,
                _ => 0,
            };
        }
    }
    counts
}

#[test]
fn a_machine_that_stalls_for_a_second_is_slow_for_both_and_blames_nobody() {
    // One second of twelve: a twelfth of everybody's answers came late.
    says(
        window(12, some_late(4, 48), some_late(16, 192)),
        expect![
            "pass: error rate 0.0 % of 48 requests (limit 1 %), p99 1000-2500 ms (stable 1000-2500 ms)"
        ],
    );
    // A heap of late answers, and too few of stable's to rule that out.
    let probed = |late: usize| {
        let times = |late: usize| {
            let mut times = vec![1219.0; late];
            times.resize(10, 30.0);
            Latencies::exact(times)
        };
        let mut round = round(10, 0);
        round.candidate.latencies = times(late);
        round.stable.as_mut().unwrap().latencies = times(0);
        round
    };
    let mut policy = preset("fast").unwrap();
    policy.probes.count = 10;
    assert!(matches!(
        judge_probes(&policy, &probed(3)),
        Verdict::Pass(_)
    ));
    assert!(matches!(
        judge_probes(&policy, &probed(10)),
        Verdict::Fail { at_once: true, .. }
    ));
}

#[test]
fn late_answers_that_stable_does_not_have_are_the_candidate_s() {
    says(
        window(12, some_late(4, 48), some_late(0, 192)),
        expect!["fail: p99 1000-2500 ms is over the limit of 500 ms (stable 25-50 ms)"],
    );
}

#[test]
fn a_stable_revision_that_is_as_slow_excuses_the_candidate() {
    says(
        window(12, counts(0, 12, 800.0), counts(0, 228, 800.0)),
        expect![
            "pass: error rate 0.0 % of 12 requests (limit 1 %), p99 500-1000 ms (stable 500-1000 ms)"
        ],
    );
}

#[test]
fn a_ratio_of_two_small_figures_condemns_nobody() {
    says(
        window(12, counts(0, 500, 240.0), counts(0, 500, 20.0)),
        expect![
            "pass: error rate 0.0 % of 500 requests (limit 1 %), p99 50-250 ms (stable 0-25 ms)"
        ],
    );
}

#[test]
fn slower_than_the_limit_with_nothing_to_compare_neither_passes_nor_blames() {
    says(
        window(12, counts(0, 12, 800.0), counts(0, 0, 40.0)),
        expect![
            "inconclusive: error rate 0.0 % of 12 requests (limit 1 %), p99 500-1000 ms; over the absolute limit, and stable was asked too little to compare with"
        ],
    );
}

#[test]
fn errors_that_stable_has_as_well_are_not_the_candidate_s() {
    says(
        window(12, counts(6, 12, 40.0), counts(114, 228, 40.0)),
        expect![
            "inconclusive: error rate 50.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms), but stable fails as well (114 of 228): not this release's fault"
        ],
    );
    says(
        window(12, counts(12, 12, 40.0), counts(20, 228, 40.0)),
        expect![
            "fail at once: error rate 100.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
}

#[test]
fn a_stable_revision_that_hardly_anybody_asked_excuses_nobody() {
    says(
        window(12, counts(6, 12, 40.0), counts(4, 4, 40.0)),
        expect![
            "fail at once: error rate 50.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"
        ],
    );
    says(
        window(12, counts(6, 12, 40.0), counts(5, 5, 40.0)),
        expect![
            "inconclusive: error rate 50.0 % of 12 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms), but stable fails as well (5 of 5): not this release's fault"
        ],
    );
}

#[test]
fn no_data_is_neither_good_nor_bad() {
    let blind = Window {
        metrics: Err(Unmeasured::Unread(
            "metrics from http://gateway:9000: HTTP 503".to_owned(),
        )),
        ..window(600, Counts::default(), Counts::default())
    };
    says(
        blind,
        expect!["inconclusive: no data: metrics from http://gateway:9000: HTTP 503"],
    );
}

fn round(sent: u64, failed: u64) -> ProbeRound {
    let report = |failed| ProbeReport {
        sent,
        failed,
        latencies: Latencies::exact(vec![30.0; usize::try_from(sent).unwrap()]),
        ..ProbeReport::default()
    };
    ProbeRound {
        revision: "hello-00002".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        candidate: report(failed),
        stable: Some(report(0)),
        ..ProbeRound::default()
    }
}

#[test]
fn a_quiet_service_is_judged_on_our_own_requests_and_they_are_no_users() {
    let quiet = |sent, failed, users: u64| Window {
        synthetic: Some(round(sent, failed)),
        ..window(12, counts(0, users, 30.0), counts(0, users, 30.0))
    };
    says(
        quiet(100, 0, 3),
        expect![
            "inconclusive: error rate 0.0 % of 100 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 3 of 8; too few requests to tell"
        ],
    );
    says(
        quiet(200, 0, 3),
        expect![
            "pass: error rate 0.0 % of 200 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 3 of 8"
        ],
    );
    says(
        quiet(100, 5, 0),
        expect![
            "fail at once: error rate 5.0 % of 100 synthetic probes (limit 1 %), p99 30 ms (stable 30 ms); users sent 0 of 8"
        ],
    );
    says(
        quiet(100, 0, 8),
        expect!["pass: error rate 0.0 % of 8 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms)"],
    );
}

#[test]
fn the_few_answers_that_users_got_are_not_overruled_by_our_own() {
    // Three errors of three are one too few for the test; the readiness path knows nothing of them.
    says(
        Window {
            synthetic: Some(round(200, 0)),
            ..window(12, counts(3, 3, 30.0), counts(0, 230, 30.0))
        },
        expect![
            "inconclusive: error rate 100.0 % of 3 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); too few requests to tell"
        ],
    );
    // Nor does their silence afterwards acquit it.
    says(
        window(300, counts(1, 3, 30.0), counts(0, 230, 30.0)),
        expect![
            "inconclusive: error rate 33.3 % of 3 requests (limit 1 %), p99 25-50 ms (stable 25-50 ms); too few requests to tell"
        ],
    );
}

#[test]
fn a_median_that_only_the_candidate_has_is_not_excused_by_stables_slowest_answers() {
    // Stable's slowest answers are as slow, on a busy cluster.
    let stable = Counts {
        latencies: Latencies::exact([vec![30.0; 90], vec![900.0; 10]].concat()),
        ..counts(0, 100, 30.0)
    };
    says(
        window(12, counts(0, 12, 800.0), stable),
        expect!["fail: p50 500-1000 ms is over the limit of 500 ms"],
    );
}

#[test]
fn our_own_requests_go_on_until_what_they_say_is_clear() {
    let policy = preset("fast").unwrap();
    let step = &policy.steps[0];
    let asked =
        |window: &Window| wants_synthetic(&judge_window(&policy, step, window), window, step);
    let quiet = |seconds, synthetic: Option<ProbeRound>| Window {
        synthetic,
        ..window(seconds, Counts::default(), Counts::default())
    };
    assert!(!asked(&quiet(6, None)), "users may still come");
    assert!(asked(&quiet(12, None)));
    assert!(
        asked(&quiet(12, Some(round(100, 0)))),
        "a hundred are not enough"
    );
    assert!(
        asked(&quiet(12, Some(round(300, 2)))),
        "one way or the other"
    );
    assert!(!asked(&quiet(12, Some(round(200, 0)))));
    let busy = window(12, counts(1, 12, 40.0), counts(0, 228, 40.0));
    assert!(!asked(&busy), "users speak for themselves");
}

#[test]
fn where_nobody_answers_a_probe_the_way_is_broken_and_not_the_candidate() {
    let policy = preset("fast").unwrap();
    let dead = |stable_too| {
        let unanswered = |n| ProbeReport {
            sent: 10,
            failed: n,
            unanswered: n,
            errors: vec!["connection refused".to_owned()],
            ..ProbeReport::default()
        };
        let stable = Some(unanswered(if stable_too { 10 } else { 0 }));
        ProbeRound {
            candidate: unanswered(10),
            stable,
            ..round(0, 0)
        }
    };
    expect!["no data: neither revision answers a probe: connection refused"]
        .assert_eq(&judge_probes(&policy, &dead(true)).finding().to_string());
    assert!(matches!(
        judge_probes(&policy, &dead(false)),
        Verdict::Fail { at_once: true, .. }
    ));
}

proptest! {
    /// More errors never turn a fail into a pass; no data never passes or fails.
    #[test]
    fn worse_evidence_never_gives_a_better_verdict(
        requests in 0u64..400, errors in 0u64..400, more in 1u64..50, seconds in 0u64..30, ms in 1.0f64..2000.0,
    ) {
        let errors = errors.min(requests);
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Pass(_) => 0,
            Verdict::Inconclusive(_) => 1,
            Verdict::Fail { .. } => 2,
        };
        let at = |errors: u64| judge(&window(seconds, counts(errors.min(requests), requests, ms), counts(0, 500, 40.0)));
        prop_assert!(rank(&at(errors)) <= rank(&at(errors + more)));
        let blind = Window { metrics: Err(Unmeasured::Unread("gone".to_owned())), ..window(seconds, Counts::default(), Counts::default()) };
        prop_assert_eq!(rank(&judge(&blind)), 1);
        let nobody = judge(&window(seconds, Counts::default(), counts(0, 500, 40.0)));
        prop_assert_eq!(rank(&nobody), 1);
    }
}

#[test]
fn a_step_is_not_passed_before_the_gateway_has_told_how_long_its_requests_took() {
    let policy = preset("fast").unwrap();
    let step = &policy.steps[0];
    let mut candidate = counts(0, 400, 25.0);
    candidate.times_lag = true;
    let early = window(600, candidate.clone(), counts(0, 400, 25.0));
    let verdict = judge_window(&policy, step, &early);
    assert!(
        matches!(verdict, Verdict::Inconclusive(Finding::Untimed(_))),
        "{verdict:?}"
    );
    assert!(
        !wants_synthetic(&verdict, &early, step),
        "users are there: nothing else is needed"
    );
    candidate.times_lag = false;
    let mut warm_up_only = candidate.clone();
    warm_up_only.latencies = counts(0, 3, 25.0).latencies;
    let early = window(600, warm_up_only, counts(0, 400, 25.0));
    let verdict = judge_window(&policy, step, &early);
    assert!(
        matches!(verdict, Verdict::Inconclusive(Finding::Untimed(_))),
        "three times of 400, where 8 requests are the least: {verdict:?}"
    );
    let told = window(600, candidate, counts(0, 400, 25.0));
    let verdict = judge_window(&policy, step, &told);
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
}
