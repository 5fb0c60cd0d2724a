//! What a Delivery says of itself: pure, from what its loops know.

use jiff::Timestamp;

use super::service::ServiceSummary;
use super::source::{Failure, SourceState};
use crate::api::condition::{Condition, set_condition};
use crate::api::delivery::{DeliveryStatus, Problem, ServiceCounts};
use crate::api::object::ObjectKey;
use crate::api::rollout::Phase;

/// More problems than this help nobody.
const SHOWN: usize = 100;

/// Characters of a problem: a server that prints the object it refuses would fill the status.
const LONGEST: usize = 2000;

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
                message: message.to_owned(),
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
    status.problems = knowledge.problems;
    for problem in &mut status.problems {
        if let Some((end, _)) = problem.message.char_indices().nth(LONGEST) {
            problem.message.truncate(end);
            problem.message.push('…');
        }
    }
    status.problems.sort();
    status.problems.dedup();
    status.problems.truncate(SHOWN);
    status
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
        format!("{short} delivered; {} at rest", services(counts.total)),
    )
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

    #[test]
    fn a_server_that_says_too_much_does_not_fill_the_status() {
        let problem = |message: String| Problem {
            object: None,
            origin: None,
            message,
        };
        let said = status(
            &DeliveryStatus::default(),
            Knowledge {
                generation: None,
                suspended: false,
                source: &SourceState::default(),
                planned: None,
                applied: false,
                services: &[],
                problems: (0..500).map(|n| problem("ß".repeat(3000 + n))).collect(),
                inventory: Vec::new(),
                drifted: None,
                handled_sync: None,
            },
            at(1),
        );
        assert_eq!(said.problems.len(), 1, "they are all the same now");
        assert_eq!(said.problems[0].message.chars().count(), LONGEST + 1);
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
