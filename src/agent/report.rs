//! What a Delivery says of itself: pure, from what its loops know.

use jiff::Timestamp;

use super::service::ServiceSummary;
use super::source::{Failure, SourceState};
use crate::api::condition::{Condition, set_condition};
use crate::api::delivery::{DeliveryStatus, Problem, ServiceCounts};
use crate::api::inventory;
use crate::api::object::ObjectKey;
use crate::api::rollout::Phase;

/// More problems than this help nobody.
const SHOWN: usize = 50;

/// Bytes of a message in the status's JSON: a server that prints the object it refuses would fill it.
/// With [`inventory::MOST`] a status has less than 1 MiB, whatever Git holds.
const LONGEST: usize = 2000;

/// The same of where a problem is.
const LONGEST_ORIGIN: usize = 500;

/// What a Delivery's loop knows.
pub struct Knowledge<'a> {
    /// The generation of the spec that it works on.
    pub generation: Option<i64>,
    /// Nothing is written.
    pub suspended: bool,
    /// The repository.
    pub source: &'a SourceState,
    /// The commit of the last plan.
    pub planned: Option<&'a str>,
    /// Everything of this commit is written, releases aside.
    pub applied: bool,
    /// Where the services stand.
    pub services: &'a [ServiceSummary],
    /// What needs a person.
    pub problems: Vec<Problem>,
    /// What may be pruned one day.
    pub inventory: Vec<ObjectKey>,
    /// What somebody changed by hand and the Delivery wants left so, in words.
    pub drifted: Option<String>,
    /// The last `sluice sync` that was answered by a look at the remote.
    pub handled_sync: Option<String>,
}

/// The status, on top of the last one. Pure.
pub fn status(before: &DeliveryStatus, knowledge: Knowledge<'_>, now: Timestamp) -> DeliveryStatus {
    let counts = count(knowledge.services);
    let head = knowledge
        .source
        .checkout
        .as_ref()
        .map(|checkout| checkout.snapshot.commit.to_string());
    let mut status = DeliveryStatus {
        observed_generation: knowledge.generation,
        // Others take it for "has said what is its own at this commit".
        observed_commit: knowledge
            .planned
            .map(str::to_owned)
            .or_else(|| before.observed_commit.clone()),
        services: Some(counts.clone()),
        inventory: knowledge.inventory.clone(),
        handled_sync: knowledge
            .handled_sync
            .clone()
            .or_else(|| before.handled_sync.clone()),
        ..before.clone()
    };
    let planned = knowledge.planned.map(str::to_owned);
    if knowledge.applied {
        status.applied_commit.clone_from(&planned);
    }
    let good = knowledge.applied && knowledge.problems.is_empty() && counts.ready == counts.total;
    if good {
        status.last_good_commit = planned;
    }
    let (ready, reason, message) = ready(&knowledge, &counts, head.as_deref());
    let reconciling = ready == "Unknown";
    let stalled = knowledge
        .source
        .failure
        .as_ref()
        .is_some_and(|failure| !failure.transient);
    let mut say = |type_: &str, state: &str, reason: &str, message: &str| {
        set_condition(
            &mut status.conditions,
            Condition {
                type_: type_.to_owned(),
                status: state.to_owned(),
                reason: reason.to_owned(),
                message: cut(message, LONGEST),
                observed_generation: knowledge.generation,
                last_transition_time: now,
            },
        );
    };
    say("Ready", ready, reason, &message);
    let truth = |yes: bool| if yes { "True" } else { "False" };
    say(
        "Reconciling",
        truth(reconciling),
        if reconciling { reason } else { "Settled" },
        "",
    );
    say(
        "Stalled",
        truth(stalled),
        if stalled { reason } else { "NotStalled" },
        "",
    );
    let (state, reason, message) = source(knowledge.source);
    say("SourceReady", state, reason, &message);
    match &knowledge.drifted {
        Some(drift) => say("Drifted", "True", "ChangedByHand", drift),
        None => say("Drifted", "False", "AsDelivered", ""),
    }
    status.problems = shown(knowledge.problems);
    status
}

/// The first problems, each of a bounded length, and how many more there are.
fn shown(mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.message = cut(&problem.message, LONGEST);
        problem.origin = problem
            .origin
            .as_deref()
            .map(|origin| cut(origin, LONGEST_ORIGIN));
    }
    problems.sort();
    problems.dedup();
    let more = problems.len().saturating_sub(SHOWN);
    problems.truncate(SHOWN);
    if more > 0 {
        problems.push(Problem {
            object: None,
            origin: None,
            message: format!("and {more} more, which are said once some of these are gone"),
        });
    }
    problems
}

/// A text of at most so many bytes as JSON, with what was cut off said by its sign.
fn cut(text: &str, most: usize) -> String {
    let mut bytes = 0;
    for (at, char) in text.char_indices() {
        bytes += match char {
            '"' | '\\' => 2,
            char if char.is_control() => 6,
            char => char.len_utf8(),
        };
        if bytes > most {
            return format!("{}…", text.get(..at).unwrap_or_default());
        }
    }
    text.to_owned()
}

/// Why nothing of a commit is applied whose inventory would not fit into the status.
pub fn too_many(inventory: &[ObjectKey]) -> Option<Problem> {
    let size = inventory::size(inventory);
    let message = format!(
        "this Delivery has {} objects, whose inventory takes {} kB of its status, and the limit is {} kB: nothing of this \
         commit was applied; split the Delivery into several (spec.source.path)",
        inventory.len(),
        size.div_ceil(1000),
        inventory::MOST / 1000
    );
    (size > inventory::MOST).then_some(Problem {
        object: None,
        origin: None,
        message,
    })
}

/// Whether a status says `Ready: True`.
pub fn is_ready(status: &DeliveryStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn count(services: &[ServiceSummary]) -> ServiceCounts {
    let mut counts = ServiceCounts::default();
    for summary in services {
        counts.total += 1;
        if summary.problem.is_some() || matches!(summary.phase, Phase::RolledBack | Phase::Failed) {
            counts.failed += 1;
        } else if summary.settled {
            counts.ready += 1;
        } else {
            counts.rolling += 1;
        }
    }
    counts
}

fn ready<'a>(
    knowledge: &Knowledge<'a>,
    counts: &ServiceCounts,
    head: Option<&str>,
) -> (&'static str, &'a str, String) {
    let short: String = head.unwrap_or_default().chars().take(12).collect();
    if knowledge.suspended {
        return (
            "Unknown",
            "Suspended",
            "suspended: nothing is written until spec.suspend is taken away".into(),
        );
    }
    if let Some(failure) = &knowledge.source.failure {
        return match head {
            Some(_) => (
                "False",
                failure.reason,
                format!("{}; still on {short}", failure.message),
            ),
            None => ("False", failure.reason, failure.message.clone()),
        };
    }
    if head.is_none() {
        return match knowledge.problems.first() {
            // A repository that is not looked at does not get here.
            Some(first) => ("False", "Problems", first.message.clone()),
            None => (
                "Unknown",
                "Fetching",
                "the repository is being fetched".into(),
            ),
        };
    }
    if let Some(first) = knowledge.problems.first() {
        let more = knowledge.problems.len() - 1;
        let more = if more > 0 {
            format!(" (and {more} more)")
        } else {
            String::new()
        };
        return (
            "False",
            "Problems",
            format!("{short}: {}{more}", first.message),
        );
    }
    if counts.failed > 0 {
        return (
            "False",
            "ReleaseFailed",
            format!(
                "{short}: {} of {} failed",
                counts.failed,
                services(counts.total)
            ),
        );
    }
    if !knowledge.applied {
        return ("Unknown", "Applying", format!("{short} is being applied"));
    }
    if counts.rolling > 0 {
        let rolling = format!(
            "{short}: {} of {} with a release on its way",
            counts.rolling,
            services(counts.total)
        );
        return ("Unknown", "Progressing", rolling);
    }
    (
        "True",
        "Delivered",
        delivered(&short, counts, knowledge.services),
    )
}

fn delivered(commit: &str, counts: &ServiceCounts, summaries: &[ServiceSummary]) -> String {
    let words = format!("{commit} delivered; {} at rest", services(counts.total));
    match summaries.iter().filter(|summary| summary.watched).count() {
        0 => words,
        watched => format!("{words}, {watched} of them still watched after a promotion"),
    }
}

fn services(number: u32) -> String {
    match number {
        1 => "1 service".to_owned(),
        many => format!("{many} services"),
    }
}

fn source(state: &SourceState) -> (&'static str, &'static str, String) {
    match (&state.failure, &state.checkout) {
        (
            Some(Failure {
                reason,
                message,
                since,
                ..
            }),
            _,
        ) => (
            "False",
            reason,
            format!("{message} (since {})", since.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ),
        (None, Some(checkout)) => {
            let snapshot = &checkout.snapshot;
            (
                "True",
                "Fetched",
                format!("{} {:?}", snapshot.commit.short(), snapshot.subject),
            )
        }
        (None, None) => ("Unknown", "Fetching", String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(phase: Phase, settled: bool) -> ServiceSummary {
        ServiceSummary {
            phase,
            settled,
            ..ServiceSummary::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn say(
        source: &SourceState,
        services: &[ServiceSummary],
        second: i64,
        before: &DeliveryStatus,
    ) -> DeliveryStatus {
        let knowledge = Knowledge {
            generation: Some(1),
            suspended: false,
            source,
            planned: None,
            applied: false,
            services,
            problems: Vec::new(),
            inventory: Vec::new(),
            drifted: None,
            handled_sync: None,
        };
        status(before, knowledge, at(second))
    }

    #[test]
    fn a_lost_repository_is_said_and_the_time_it_was_lost_does_not_move() {
        let lost = SourceState {
            failure: Some(Failure {
                reason: "GitUnreachable",
                message: "the remote does not answer".into(),
                transient: true,
                since: at(5),
            }),
            ..SourceState::default()
        };
        let first = say(&lost, &[], 10, &DeliveryStatus::default());
        let second = say(&lost, &[], 20, &first);
        assert_eq!(first, second, "nothing new, nothing to write");
        let ready = second
            .conditions
            .iter()
            .find(|c| c.type_ == "Ready")
            .unwrap();
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("False", "GitUnreachable")
        );
        assert_eq!(ready.last_transition_time, at(10));
    }

    /// What is said of a Delivery with these problems and this inventory, everything else as long as can be.
    fn said(problems: Vec<Problem>, inventory: Vec<ObjectKey>) -> DeliveryStatus {
        let long = "\u{1}ß\"".repeat(500_000);
        let source = SourceState {
            failure: Some(Failure {
                reason: "GitUnreachable",
                message: long.clone(),
                transient: true,
                since: at(5),
            }),
            ..SourceState::default()
        };
        let knowledge = Knowledge {
            generation: None,
            suspended: false,
            source: &source,
            planned: None,
            applied: false,
            services: &[],
            problems,
            inventory,
            drifted: Some(long),
            handled_sync: None,
        };
        status(&DeliveryStatus::default(), knowledge, at(1))
    }

    fn problem(message: String) -> Problem {
        Problem {
            object: None,
            origin: None,
            message,
        }
    }

    #[test]
    fn a_server_that_says_too_much_does_not_fill_the_status() {
        let same = (0..500).map(|n| problem("ß".repeat(3000 + n))).collect();
        let problems = said(same, Vec::new()).problems;
        assert_eq!(problems.len(), 1, "they are all the same now");
        let message = format!("{}…", "ß".repeat(LONGEST / 2));
        assert_eq!(problems, [problem(message)]);
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let problems = (0..120).map(|n| problem(format!("{n:03}"))).collect();
        let problems = said(problems, Vec::new()).problems;
        assert_eq!(problems.len(), SHOWN + 1);
        assert_eq!(problems[SHOWN - 1].message, "049");
        assert!(problems[SHOWN].message.starts_with("and 70 more"));
    }

    #[test]
    fn a_status_is_bounded_whatever_git_holds() {
        let key = |n: usize| {
            let long = |length| format!("{n:0length$}");
            ObjectKey::namespaced(&long(253), &long(63), &long(63), &long(253))
        };
        let problems = (0..500)
            .map(|n| Problem {
                object: Some(key(n)),
                origin: Some("\u{2}".repeat(5000)),
                message: format!("{n} {}", "\u{1}".repeat(5000)),
            })
            .collect();
        let name =
            |n| ObjectKey::namespaced("", "ConfigMap", "shop", &format!("a-name-of-20-{n:07}"));
        // As many as are let in.
        let mut inventory: Vec<ObjectKey> = (0..30_500).map(name).collect();
        while too_many(&inventory).is_some() {
            inventory.truncate(inventory.len() - 20);
        }
        assert!(inventory.len() > 15_000, "{}", inventory.len());
        let status = said(problems, inventory);
        let bytes = serde_json::to_vec(&status).unwrap().len();
        assert!(bytes < 1 << 20, "{bytes}");
        assert!(
            bytes > inventory::MOST,
            "it is the worst that may be: {bytes}"
        );
    }

    #[test]
    fn an_inventory_that_does_not_fit_is_refused_with_its_numbers() {
        let name = |n| ObjectKey::namespaced("", "ConfigMap", "shop", &format!("{n:0200}"));
        let problem = too_many(&(0..15_000).map(name).collect::<Vec<_>>()).unwrap();
        assert_eq!(
            problem.message,
            "this Delivery has 15000 objects, whose inventory takes 3046 kB of its status, and the limit is 700 kB: \
             nothing of this commit was applied; split the Delivery into several (spec.source.path)"
        );
    }

    #[test]
    fn what_is_delivered_and_still_watched_is_said() {
        let counts = ServiceCounts {
            total: 2,
            ..ServiceCounts::default()
        };
        let mut services = vec![summary(Phase::Stable, true), summary(Phase::Stable, true)];
        assert_eq!(
            delivered("abc", &counts, &services),
            "abc delivered; 2 services at rest"
        );
        services[0].watched = true;
        assert_eq!(
            delivered("abc", &counts, &services),
            "abc delivered; 2 services at rest, 1 of them still watched after a promotion"
        );
    }

    #[test]
    fn services_are_counted_by_where_they_stand() {
        let services = [
            summary(Phase::Stable, true),
            summary(Phase::Stable, false),
            summary(Phase::Stepping, false),
            summary(Phase::RolledBack, false),
            ServiceSummary {
                problem: Some("rejected".into()),
                ..summary(Phase::Stable, true)
            },
        ];
        let said = say(
            &SourceState::default(),
            &services,
            1,
            &DeliveryStatus::default(),
        );
        assert_eq!(
            said.services,
            Some(ServiceCounts {
                total: 5,
                ready: 1,
                rolling: 2,
                failed: 2
            })
        );
    }
}
