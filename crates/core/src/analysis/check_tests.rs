//! What several checks say together.

use proptest::prelude::*;

use super::*;

fn no_data(why: &str) -> Finding {
    Finding::NoData {
        why: why.to_owned(),
    }
}

fn fail(why: &str, at_once: bool) -> Option<Verdict> {
    let finding = no_data(why);
    Some(Verdict::Fail { finding, at_once })
}

fn pass(why: &str) -> Option<Verdict> {
    Some(Verdict::Pass(no_data(why)))
}

fn unclear(why: &str) -> Option<Verdict> {
    Some(Verdict::Inconclusive(no_data(why)))
}

fn says(checks: &[Check]) -> String {
    let of = |finding: Option<Finding>| finding.map_or("nothing".to_owned(), |f| f.to_string());
    match combine(checks) {
        Judgement::Pass(finding) => format!("pass: {}", of(finding)),
        Judgement::Wait { by, finding } => format!("wait for {by:?}: {}", of(finding)),
        Judgement::Fail {
            by,
            finding,
            at_once,
        } => format!("fail by {by:?}, at once: {at_once}: {finding}"),
    }
}

use CheckId::{Pods, Probes, Requests, Revision};

#[test]
fn one_that_fails_fails_them_all_and_the_one_beyond_doubt_speaks_first() {
    let slow = Check::asked(Requests, fail("slow", false));
    let fine = Check::asked(Probes, pass("fine"));
    assert_eq!(
        says(&[fine.clone(), slow.clone()]),
        "fail by Requests, at once: false: no data: slow"
    );
    let gone = Check::beside(Revision, fail("gone", true));
    let crashed = Check::beside(Pods, fail("crashed", true));
    assert_eq!(
        says(&[slow, fine, gone, crashed]),
        "fail by Revision, at once: true: no data: gone"
    );
}

#[test]
fn what_is_asked_for_and_has_no_verdict_is_waited_for_by_name() {
    let fine = Check::asked(Requests, pass("fine"));
    assert_eq!(
        says(&[fine.clone(), Check::asked(Probes, None)]),
        "wait for Probes: nothing"
    );
    assert_eq!(
        says(&[fine, Check::asked(Pods, unclear("one crash"))]),
        "wait for Pods: no data: one crash"
    );
}

#[test]
fn what_nobody_asked_for_and_nobody_knows_is_neither() {
    let unknown = [
        Check::beside(Pods, None),
        Check::beside(Revision, unclear("who knows")),
    ];
    let fine = Check::asked(Requests, pass("fine"));
    assert_eq!(
        says(&[unknown[0].clone(), unknown[1].clone(), fine]),
        "pass: no data: fine"
    );
    // It does not speak for the candidate either.
    let with = |check: Check| says(&[unknown[0].clone(), check]);
    assert_eq!(
        with(Check::asked(Requests, None)),
        "wait for Requests: nothing"
    );
    let healthy = Check::beside(Revision, pass("Ready"));
    assert_eq!(
        says(&[healthy, Check::asked(Requests, None)]),
        "wait for Requests: nothing"
    );
    assert_eq!(says(&[]), "pass: nothing", "nothing is asked for");
}

fn check() -> impl Strategy<Value = Check> {
    let id = prop::sample::select(vec![Pods, Revision, Probes, Requests]);
    let verdict = prop::sample::select(vec![
        None,
        pass("pass"),
        unclear("unclear"),
        fail("doubt", false),
        fail("bad", true),
    ]);
    (id, any::<bool>(), verdict).prop_map(|(id, asked, verdict)| Check { id, asked, verdict })
}

proptest! {
    #[test]
    fn whatever_the_checks_nothing_passes_that_should_not(checks in prop::collection::vec(check(), 0..6)) {
        let fails = |at_once: bool| {
            let bad = |check: &Check| matches!(check.verdict, Some(Verdict::Fail { at_once: a, .. }) if a || !at_once);
            checks.iter().any(bad)
        };
        let lacks = checks.iter().any(|check| check.asked && !matches!(check.verdict, Some(Verdict::Pass(_))));
        let judgement = combine(&checks);
        match &judgement {
            Judgement::Pass(finding) => {
                prop_assert!(!fails(false) && !lacks);
                prop_assert_eq!(finding.is_some(), checks.iter().any(|check| check.asked));
            }
            Judgement::Fail { at_once, .. } => {
                prop_assert!(fails(false));
                prop_assert_eq!(*at_once, fails(true));
            }
            Judgement::Wait { by, .. } => {
                prop_assert!(!fails(false) && lacks);
                prop_assert!(checks.iter().any(|check| check.asked && check.id == *by));
            }
        }
        // In whichever order they come.
        let mut turned = checks;
        turned.reverse();
        prop_assert_eq!(
            std::mem::discriminant(&combine(&turned)),
            std::mem::discriminant(&judgement)
        );
    }
}
