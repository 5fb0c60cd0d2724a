//! A release in words: a line in a list, its story with its evidence, its history.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::duration::HumanDuration;
use crate::api::rollout::{Gate, Phase, Release, Request, RolloutStatus, ServiceRollout, Watch};

use super::super::output::{self, Tone, paint};

/// One line a service.
pub fn table(rollouts: &[ServiceRollout]) -> String {
    let rows = rollouts
        .iter()
        .map(|rollout| {
            let status = rollout.status.clone().unwrap_or_default();
            vec![
                full_name(rollout),
                phase(status.phase),
                format!("{} %", status.weight),
                revision(status.stable.as_ref()),
                revision(status.candidate.as_ref()),
                status.message,
            ]
        })
        .collect();
    let titles = [
        "SERVICE",
        "PHASE",
        "WEIGHT",
        "STABLE",
        "CANDIDATE",
        "MESSAGE",
    ];
    output::columns(&titles, rows)
}

/// The release with its evidence, and what people asked of it.
pub fn story(rollout: &ServiceRollout) -> String {
    let status = rollout.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let gates: Vec<&Gate> = status.hold.iter().flat_map(|hold| &hold.gates).collect();
    let mut facts = vec![
        ("Service", full_name(rollout)),
        ("Phase", phase(status.phase)),
        ("Stable", release(status.stable.as_ref())),
        ("Candidate", candidate(&status)),
        ("Traffic", status.traffic.clone()),
    ];
    facts.push((
        "Watched",
        status
            .watch
            .as_ref()
            .map(|watch| watched(watch, now))
            .unwrap_or_default(),
    ));
    // Each gate tells its part of the message.
    if gates.is_empty() {
        facts.push(("Message", status.message.clone()));
    }
    facts.extend(gates.into_iter().map(|gate| ("Waits for", waits_for(gate))));
    if rollout.spec.is_paused(Timestamp::now()) {
        let how = format!(
            "yes{}; `sluice rollout resume {}` goes on",
            until(rollout.spec.paused_until),
            rollout.name_any()
        );
        facts.push(("Paused", how));
    }
    for request in &rollout.spec.requests {
        facts.push(("Asked", asked(request, &status)));
    }
    let facts = facts
        .iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(title, words)| format!("{title:<10} {words}\n"));
    let mut text: String = facts.collect();
    if !status.evidence.is_empty() {
        let rows = status.evidence.iter().map(|e| {
            vec![
                format!("{} %", e.weight),
                e.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                e.verdict.to_string(),
                e.source.to_string(),
                e.reason.clone(),
            ]
        });
        let titles = ["WEIGHT", "AT", "VERDICT", "SOURCE", "EVIDENCE"];
        text = format!("{text}\n{}", output::columns(&titles, rows.collect()));
    }
    if !status.quarantine.is_empty() {
        let rows = status.quarantine.iter().map(|q| {
            vec![
                q.template_hash.to_string(),
                q.revision.clone().unwrap_or_else(|| "-".to_owned()),
                output::short(q.commit.as_ref()),
                output::ago(q.since, now),
                q.reason.clone(),
            ]
        });
        let titles = ["QUARANTINED", "REVISION", "COMMIT", "AGO", "REASON"];
        text = format!("{text}\n{}", output::columns(&titles, rows.collect()));
    }
    text
}

/// ` until 2026-01-02T03:04:05Z`, or nothing.
pub fn until(until: Option<Timestamp>) -> String {
    let words = until.map(|until| format!(" until {until:.0}"));
    words.unwrap_or_default()
}

/// `Approval for 4m: this step waits for ...`.
fn waits_for(gate: &Gate) -> String {
    let since = output::ago(gate.since, Timestamp::now());
    format!("{:?} for {since}: {}", gate.reason, gate.message)
}

/// `for 8m more; a fault rolls back to hello-00001`.
fn watched(watch: &Watch, now: Timestamp) -> String {
    let kept = revision(Some(&watch.previous));
    match &watch.held {
        Some(held) => {
            let since = output::ago(held.since, now);
            format!("{} for {since}: {}", held.reason, held.message)
        }
        None => format!("{}; a fault rolls back to {kept}", more(watch, now)),
    }
}

/// `for 8m more`.
fn more(watch: &Watch, now: Timestamp) -> String {
    let left = watch.until.duration_since(now);
    match Duration::try_from(left).unwrap_or_default().as_secs() {
        0 => "until the agent comes to it".to_owned(),
        left => format!("for {} more", HumanDuration::from_secs(left)),
    }
}

/// Past releases and how they ended.
pub fn history(rollout: &ServiceRollout) -> String {
    let status = rollout.status.clone().unwrap_or_default();
    if status.history.is_empty() {
        return format!("{} has no past releases yet.", rollout.name_any());
    }
    let now = Timestamp::now();
    let rows = status.history.iter().map(|entry| {
        vec![
            output::ago(entry.ended_at, now),
            entry.outcome.to_string(),
            revision(Some(&entry.release)),
            output::short(entry.release.commit.as_ref()),
            format!("{} %", entry.weight),
            entry.reason.clone(),
        ]
    });
    let titles = ["AGO", "OUTCOME", "REVISION", "COMMIT", "REACHED", "REASON"];
    output::columns(&titles, rows.collect())
}

/// Where it stands now, in a line.
pub fn line(status: &RolloutStatus, now: Timestamp) -> String {
    if let (Phase::Stable, Some(watch)) = (status.phase, &status.watch) {
        let stable = revision(status.stable.as_ref());
        let rest = match &watch.held {
            Some(held) => held.message.clone(),
            None => format!("watched {}", more(watch, now)),
        };
        return format!(
            "100 %  {:<12} {stable} has 100 %; {rest}",
            status.phase.to_string()
        );
    }
    format!(
        "{:>3} %  {:<12} {}",
        status.weight,
        status.phase.to_string(),
        status.message
    )
}

/// A phase in its colour.
pub fn phase(phase: Phase) -> String {
    let tone = match phase {
        Phase::Stable => Tone::Good,
        Phase::RolledBack | Phase::RollingBack | Phase::Failed => Tone::Bad,
        _ => Tone::Busy,
    };
    paint(tone, &phase.to_string())
}

fn full_name(rollout: &ServiceRollout) -> String {
    let namespace = rollout.namespace().unwrap_or_default();
    format!("{namespace}/{}", rollout.name_any())
}

fn revision(release: Option<&Release>) -> String {
    release
        .and_then(|r| r.revision.clone())
        .unwrap_or_else(|| "-".to_owned())
}

fn candidate(status: &RolloutStatus) -> String {
    match &status.candidate {
        None => "-".to_owned(),
        some => format!("{} at {} %", release(some.as_ref()), status.weight),
    }
}

fn release(release: Option<&Release>) -> String {
    let Some(release) = release else {
        return "-".to_owned();
    };
    let commit = release
        .commit
        .as_ref()
        .map(|_| format!(" from {}", output::short(release.commit.as_ref())));
    let subject = release.subject.as_ref().map(|s| format!(" {s:?}"));
    format!(
        "{}{}{}",
        revision(Some(release)),
        commit.unwrap_or_default(),
        subject.unwrap_or_default()
    )
}

/// `promote by ada: refused, no release is on its way`.
fn asked(request: &Request, status: &RolloutStatus) -> String {
    let by = request
        .by
        .as_ref()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    let answer = match status.answer(&request.id).map(|answer| &answer.refused) {
        Some(Some(why)) => format!("refused, {why}"),
        Some(None) => "done".to_owned(),
        None => "not answered yet".to_owned(),
    };
    format!("{}{by}: {answer}", request.action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rollout::{WatchHold, WatchHoldReason};

    fn watched_status() -> RolloutStatus {
        let named = |name: &str| Release {
            revision: Some(name.to_owned()),
            ..Release::default()
        };
        RolloutStatus {
            phase: Phase::Stable,
            message: "hello-00002 serves what Git says".to_owned(),
            stable: Some(named("hello-00002")),
            watch: Some(Watch {
                previous: named("hello-00001"),
                since: Timestamp::UNIX_EPOCH,
                until: Timestamp::from_second(600).unwrap(),
                held: None,
            }),
            ..RolloutStatus::default()
        }
    }

    #[test]
    fn a_promotion_that_is_still_watched_says_so_and_for_how_long() {
        let mut status = watched_status();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            line(&status, at(120)),
            "100 %  Stable       hello-00002 has 100 %; watched for 8m more"
        );
        assert!(line(&status, at(601)).ends_with("; watched until the agent comes to it"));
        let watch = status.watch.clone().unwrap();
        assert_eq!(
            watched(&watch, at(120)),
            "for 8m more; a fault rolls back to hello-00001"
        );
        if let Some(watch) = &mut status.watch {
            watch.held = Some(WatchHold {
                reason: WatchHoldReason::SharedFault,
                since: at(60),
                message: "both fail".to_owned(),
            });
        }
        assert!(line(&status, at(120)).ends_with("hello-00002 has 100 %; both fail"));
        let watch = status.watch.clone().unwrap();
        assert_eq!(watched(&watch, at(120)), "SharedFault for 60s: both fail");
        status.watch = None;
        assert_eq!(
            line(&status, at(120)),
            "  0 %  Stable       hello-00002 serves what Git says"
        );
    }
}
