//! What the cluster's own word on a revision is worth: its Pods and its conditions.
//!
//! It is beyond doubt where it fails, and long before any user tells.

use std::time::Duration;

use crate::api::serving::KnativeCondition;

use super::finding::Finding;
use super::judge::Verdict;

/// Judges the most often that one container of one Pod has ended with an error, and how it ended last.
///
/// A restart may be bad luck; the second crash is a pattern, and Pods tell it minutes before any condition does. No
/// crash is no verdict: a revision without Pods has none either.
pub fn judge_pods(crashes: u32, last_exit: Option<&str>) -> Option<Verdict> {
    match crashes {
        0 => None,
        1 => Some(Verdict::Inconclusive(Finding::CrashedOnce)),
        crashes => Some(failed(Finding::Crashed {
            crashes,
            last_exit: last_exit.map(str::to_owned),
        })),
    }
}

/// Judges that of `running` Pods, which are there to serve, none has been Ready for `waited`. `cause` is why one waits.
///
/// Conditions do not tell: a Revision that was Ready stays so while its Pods fail their probes, and its users wait. Less
/// than `patience` may be a container that is restarted, or a cold start.
pub fn judge_unready(
    running: u32,
    waited: Duration,
    patience: Duration,
    cause: Option<&str>,
) -> Verdict {
    let cause = cause.map(str::to_owned);
    if waited < patience {
        return Verdict::Inconclusive(Finding::Unready {
            running,
            patience,
            cause,
        });
    }
    failed(Finding::StayedUnready {
        running,
        waited,
        cause,
    })
}

/// Judges a Revision's `Ready` condition; `None` before there is one. `settled`: it was Ready before.
pub fn judge_ready(ready: Option<&KnativeCondition>, settled: bool) -> Option<Verdict> {
    let ready = ready?;
    if ready.is_true() {
        return Some(Verdict::Pass(Finding::Ready));
    }
    if !ready.is_false() {
        return None;
    }
    // Before it was ever Ready these may still come right, and nobody is served by it:
    // an image that is pushed a minute late, a node that is on its way.
    let may_recover = matches!(
        ready.reason.as_str(),
        "ContainerMissing"
            | "ErrImagePull"
            | "ImagePullBackOff"
            | "Unschedulable"
            | "ResolvingDigests"
    );
    let finding = Finding::NotReady {
        cause: ready.cause(),
    };
    Some(if settled || !may_recover {
        failed(finding)
    } else {
        Verdict::Inconclusive(finding)
    })
}

/// A Revision that was there, and is not.
pub fn judge_gone() -> Verdict {
    failed(Finding::Gone)
}

fn failed(finding: Finding) -> Verdict {
    let at_once = true;
    Verdict::Fail { finding, at_once }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: &str, reason: &str) -> KnativeCondition {
        KnativeCondition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..KnativeCondition::default()
        }
    }

    fn said(verdict: Option<Verdict>) -> String {
        match verdict {
            None => "nothing".to_owned(),
            Some(Verdict::Pass(finding)) => format!("pass: {finding}"),
            Some(Verdict::Inconclusive(finding)) => format!("inconclusive: {finding}"),
            Some(Verdict::Fail { finding, at_once }) => format!("fail, {at_once}: {finding}"),
        }
    }

    #[test]
    fn one_crash_may_be_bad_luck_and_the_second_is_a_pattern() {
        assert_eq!(said(judge_pods(0, None)), "nothing");
        let once = "inconclusive: crashed once; it is watched twice as long at this weight";
        assert_eq!(said(judge_pods(1, Some("exit code 3"))), once);
        let twice = "fail, true: crashed 2 times, last with exit code 3";
        assert_eq!(said(judge_pods(2, Some("exit code 3"))), twice);
    }

    #[test]
    fn pods_that_are_not_ready_have_their_patience_and_no_more() {
        let told = |waited, cause| {
            let seconds = Duration::from_secs;
            said(Some(judge_unready(3, seconds(waited), seconds(20), cause)))
        };
        let waits =
            "inconclusive: is without a Ready Pod (0 of 3); it is rolled back after 20s of that";
        assert_eq!(told(19, None), waits);
        assert_eq!(told(20, None), "fail, true: 0 of 3 Pods Ready for 20s");
        let cause = "fail, true: 0 of 3 Pods Ready for 31s: ErrImagePull";
        assert_eq!(told(31, Some("ErrImagePull")), cause);
    }

    #[test]
    fn what_may_come_right_fails_only_what_was_ready_before() {
        let late = ready("False", "ImagePullBackOff");
        let told =
            |condition: &KnativeCondition, settled| said(judge_ready(Some(condition), settled));
        assert_eq!(
            told(&late, false),
            "inconclusive: not Ready: ImagePullBackOff"
        );
        assert_eq!(told(&late, true), "fail, true: not Ready: ImagePullBackOff");
        let broken = ready("False", "ExitCode1");
        assert_eq!(told(&broken, false), "fail, true: not Ready: ExitCode1");
        for settled in [false, true] {
            assert_eq!(told(&ready("Unknown", "Deploying"), settled), "nothing");
            assert_eq!(told(&ready("True", ""), settled), "pass: Ready");
            assert_eq!(said(judge_ready(None, settled)), "nothing");
        }
    }
}
