//! What our own requests say of a candidate, beside stable's answers to the same.

use expect_test::{Expect, expect};

use jiff::Timestamp;

use super::*;
use crate::policy::preset;

/// `counts` answers of each status at a path.
fn answers(path: &str, counts: &[(u16, u64)], ms: f64) -> ProbeReport {
    let sent = counts.iter().map(|(_, count)| count).sum();
    let failed = counts.iter().filter(|(status, _)| *status >= 500);
    let failed = failed.map(|(_, count)| count).sum();
    let passed = counts.iter().filter(|(status, _)| *status < 500).copied();
    let passed = passed.collect();
    ProbeReport {
        sent,
        failed,
        statuses: counts.iter().copied().collect(),
        paths: [(path.to_owned(), PathReport { passed, failed })].into(),
        latencies: Latencies::exact(vec![ms; usize::try_from(sent).unwrap()]),
        ..ProbeReport::default()
    }
}

fn says(candidate: ProbeReport, stable: Option<ProbeReport>, expected: Expect) {
    let round = ProbeRound {
        candidate,
        stable,
        ..ProbeRound::default()
    };
    judged(&preset("fast").unwrap(), &round, expected);
}

fn judged(policy: &Policy, round: &ProbeRound, expected: Expect) {
    let verdict = judge_probes(policy, round);
    let word = match &verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Fail { at_once: true, .. } => "fail at once",
        Verdict::Fail { .. } => "fail",
        Verdict::Inconclusive(_) => "inconclusive",
    };
    expected.assert_eq(&format!("{word}: {}", verdict.finding()));
}

#[test]
fn a_status_in_a_worse_class_than_stable_s_is_a_failure() {
    let stable = || Some(answers("/healthz", &[(200, 50)], 20.0));
    let at = |counts: &[(u16, u64)]| answers("/healthz", counts, 20.0);
    says(
        at(&[(404, 200)]),
        stable(),
        expect![
            "fail at once: error rate 100.0 % of 200 probes at /healthz (limit 1 %), p99 20 ms (stable 20 ms): GET /healthz: 404, where stable answers 200"
        ],
    );
    says(
        at(&[(302, 200)]),
        stable(),
        expect![
            "fail at once: error rate 100.0 % of 200 probes at /healthz (limit 1 %), p99 20 ms (stable 20 ms): GET /healthz: 302, where stable answers 200"
        ],
    );
    says(
        at(&[(200, 100), (404, 100)]),
        stable(),
        expect![
            "fail at once: error rate 50.0 % of 200 probes at /healthz (limit 1 %), p99 20 ms (stable 20 ms): GET /healthz: 404, where stable answers 200"
        ],
    );
    says(
        at(&[(204, 200)]),
        stable(),
        expect![
            "pass: error rate 0.0 % of 200 probes at /healthz (limit 1 %), p99 20 ms (stable 20 ms)"
        ],
    );
}

#[test]
fn where_stable_answers_the_same_or_there_is_none_what_is_below_500_passes() {
    let at = |counts: &[(u16, u64)]| answers("/", counts, 20.0);
    says(
        at(&[(404, 200)]),
        Some(at(&[(404, 50)])),
        expect!["pass: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)"],
    );
    says(
        at(&[(302, 200)]),
        Some(at(&[(404, 50)])),
        expect!["pass: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)"],
    );
    says(
        at(&[(404, 200)]),
        None,
        expect!["pass: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms"],
    );
    // Stable fails itself: no class of its is a measure.
    says(
        at(&[(404, 200)]),
        Some(at(&[(500, 50)])),
        expect!["pass: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)"],
    );
}

#[test]
fn a_policy_that_names_statuses_is_not_asked_what_stable_answers() {
    let mut policy = preset("fast").unwrap();
    policy.probes.expected_status = Some("200, 404".parse().unwrap());
    let round = ProbeRound {
        candidate: answers("/", &[(404, 200)], 20.0),
        stable: Some(answers("/", &[(200, 50)], 20.0)),
        ..ProbeRound::default()
    };
    judged(
        &policy,
        &round,
        expect!["pass: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)"],
    );
}

/// Answers of 800 ms, `early` while a slow start may last, and later ones that take `ms`.
fn slow_start(early: usize, later: usize, ms: f64) -> ProbeReport {
    ProbeReport {
        early: Latencies::exact(vec![800.0; early]),
        latencies: Latencies::exact(vec![ms; later]),
        ..answers("/", &[(200, u64::try_from(early + later).unwrap())], ms)
    }
}

#[test]
fn late_answers_of_a_slow_start_are_looked_at_again_before_they_blame() {
    let stable = || {
        Some(ProbeReport {
            early: Latencies::exact(vec![20.0; 50]),
            latencies: Latencies::default(),
            ..answers("/", &[(200, 50)], 20.0)
        })
    };
    says(
        slow_start(16, 0, 20.0),
        stable(),
        expect![
            "inconclusive: error rate 0.0 % of 16 probes at / (limit 1 %), p99 800 ms (stable 20 ms); late in its first 8s, which blames nobody: probed on"
        ],
    );
    says(
        slow_start(16, 100, 20.0),
        stable(),
        expect![
            "inconclusive: error rate 0.0 % of 116 probes at / (limit 1 %), p99 800 ms (stable 20 ms); late in its first 8s, which blames nobody: probed on"
        ],
    );
    says(
        slow_start(16, 200, 20.0),
        stable(),
        expect!["pass: error rate 0.0 % of 216 probes at / (limit 1 %), p99 800 ms (stable 20 ms)"],
    );
    // It stays slow.
    says(
        slow_start(16, 8, 800.0),
        stable(),
        expect!["fail at once: p99 800 ms is over the limit of 500 ms (stable 20 ms), probed at /"],
    );
}

#[test]
fn what_is_quick_from_its_first_answer_on_waits_for_nothing() {
    let quick = |sent: usize| ProbeReport {
        early: Latencies::exact(vec![20.0; sent]),
        latencies: Latencies::default(),
        ..answers("/", &[(200, u64::try_from(sent).unwrap())], 20.0)
    };
    says(
        quick(200),
        Some(quick(50)),
        expect!["pass: error rate 0.0 % of 200 probes at / (limit 1 %), p99 20 ms (stable 20 ms)"],
    );
}

#[test]
fn errors_of_a_slow_start_are_errors() {
    let mut failing = slow_start(16, 0, 20.0);
    failing.failed = 16;
    says(
        failing,
        None,
        expect!["fail at once: error rate 100.0 % of 16 probes at / (limit 1 %), p99 800 ms"],
    );
}

#[test]
fn a_heap_of_late_answers_is_blamed_only_where_stable_was_asked_enough() {
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
