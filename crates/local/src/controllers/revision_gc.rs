//! Which old Revisions go: those without traffic, by age and by number.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::config::RevisionGc;
use super::decision::{Decision, Step};
use super::kind::Kind;
use super::object::{Object, ObjectExt, key, routing_state, text};

/// What is to be removed of a Configuration's Revisions, and when to look again.
pub fn decide(
    configuration: &Object,
    revisions: &[&Object],
    rules: &RevisionGc,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    let by_time = rules.retain_since_create.is_some() || rules.retain_since_active.is_some();
    if revisions.len() <= rules.min_non_active || (!by_time && rules.max_non_active.is_none()) {
        return decision;
    }
    let latest_ready = text(configuration.status(), "latestReadyRevisionName");
    let mut idle: Vec<_> = revisions
        .iter()
        .filter(|revision| !is_kept(revision, latest_ready))
        .collect();
    idle.sort_by_key(|revision| (last_active(revision), revision.name().to_owned()));
    let surplus = idle.len().saturating_sub(rules.min_non_active);
    let (stale, mut fresh): (Vec<&&Object>, Vec<&&Object>) = idle
        .iter()
        .partition(|revision| stale_at(revision, rules).is_some_and(|due| due <= now));
    let gone = stale.len().min(surplus);
    for revision in stale.iter().take(gone) {
        remove(&mut decision, revision);
    }
    // Beyond the greatest number the oldest go, stale or not.
    if let Some(max) = rules.max_non_active {
        let excess = (idle.len() - gone).saturating_sub(max).min(fresh.len());
        for revision in fresh.drain(..excess) {
            remove(&mut decision, revision);
        }
    }
    let next = fresh
        .iter()
        .filter_map(|revision| stale_at(revision, rules))
        .min();
    if surplus > gone
        && let Some(next) = next
    {
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO);
        decision.again_within(wait + Duration::from_secs(1));
    }
    decision
}

fn remove(decision: &mut Decision, revision: &Object) {
    decision.then(Step::Delete(Kind::Revision, revision.name().to_owned()));
}

/// The latest ready one, one with traffic or about to have it, and one that a person marked.
fn is_kept(revision: &Object, latest_ready: &str) -> bool {
    revision.name() == latest_ready
        || revision
            .annotation(key::NO_GC)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || revision.label(key::ROUTING_STATE) != Some(routing_state::RESERVE)
        || revision.is_terminating()
}

/// When the rules of time no longer protect it; `None` where there are no such rules.
fn stale_at(revision: &Object, rules: &RevisionGc) -> Option<Timestamp> {
    let after = |from: Timestamp, wait: Duration| {
        SignedDuration::try_from(wait)
            .ok()
            .and_then(|wait| from.checked_add(wait).ok())
            .unwrap_or(Timestamp::MAX)
    };
    let by_creation = rules
        .retain_since_create
        .map(|wait| after(created(revision), wait));
    let by_traffic = rules
        .retain_since_active
        .map(|wait| after(last_active(revision), wait));
    by_creation.into_iter().chain(by_traffic).max()
}

fn created(revision: &Object) -> Timestamp {
    revision
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0)
}

fn last_active(revision: &Object) -> Timestamp {
    revision
        .annotation(key::ROUTING_STATE_MODIFIED)
        .and_then(|time| time.parse().ok())
        .unwrap_or_else(|| created(revision))
}
