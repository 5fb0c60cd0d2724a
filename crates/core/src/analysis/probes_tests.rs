//! What our own requests say.

use expect_test::expect;
use jiff::Timestamp;

use super::evidence::{ProbeReport, ProbeRound};
use super::latency::Latencies;
use super::{Verdict, judge_probes};
use crate::policy::preset;

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
