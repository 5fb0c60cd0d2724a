//! The rules of the election: who holds a Lease, who may claim it, and for how long. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The annotation of a Lease that names the agent which asks its holder for it.
pub const TAKE_OVER: &str = "sluice.dev/take-over";

/// How long others leave an unchanged Lease alone.
const DURATION: Duration = Duration::from_secs(15);
/// How long a holder goes on without a renewal.
pub(super) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two renewals. A Lease a Delivery is many Leases: client-go's two seconds are for one a process.
pub(super) const RENEW: Duration = Duration::from_secs(4);
/// An agent that holds a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The agent.
    pub identity: String,
    /// Since when it holds it, by its own clock.
    pub since: Option<Timestamp>,
}

/// Who holds the Lease.
pub(super) fn holder(lease: &Lease) -> Option<Holder> {
    let spec = lease.spec.as_ref()?;
    let identity = spec.holder_identity.clone()?;
    (!identity.is_empty()).then(|| Holder {
        identity,
        since: spec.acquire_time.as_ref().map(|time| time.0),
    })
}

/// The agent that asks the holder for the Lease.
pub(super) fn requester(lease: &Lease) -> Option<&str> {
    let annotations = lease.metadata.annotations.as_ref()?;
    annotations.get(TAKE_OVER).map(String::as_str)
}

/// Whether the Lease is ours, nobody's, or was left unrenewed for too long. One that was given
/// up for somebody who asked for it is that agent's for as long as any Lease would be.
pub(super) fn may_claim(lease: &Lease, unchanged_for: Duration, identity: &str) -> bool {
    let Some(holder) = holder(lease) else {
        return requester(lease).is_none_or(|by| by == identity) || unchanged_for >= DURATION;
    };
    let duration = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DURATION, Duration::from_secs);
    holder.identity == identity || unchanged_for >= duration
}

/// What is left of the deadline so long after the last renewal.
pub(super) fn time_left(since_renewal: Option<Duration>) -> Duration {
    let passed = since_renewal.filter(|passed| *passed < RENEW_DEADLINE);
    RENEW_DEADLINE - passed.unwrap_or_default()
}

/// The spec with which an agent takes or renews a Lease.
pub(super) fn claim(before: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> LeaseSpec {
    let ours = before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(identity));
    let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: match before {
            Some(spec) if ours => spec.acquire_time.clone(),
            _ => Some(MicroTime(now)),
        },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if ours { transitions } else { transitions + 1 }),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str) -> Lease {
        Lease {
            spec: Some(claim(None, holder, Timestamp::UNIX_EPOCH)),
            ..Lease::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_ours_or_left_alone() {
        let (fresh, stale) = (Duration::from_secs(14), Duration::from_secs(15));
        assert!(may_claim(&lease("me"), fresh, "me"));
        assert!(!may_claim(&lease("you"), fresh, "me"));
        assert!(may_claim(&lease("you"), stale, "me"));
        assert!(may_claim(&lease(""), fresh, "me"));
        assert!(may_claim(&Lease::default(), fresh, "me"));
    }

    #[test]
    fn a_try_to_renew_has_what_is_left_of_the_ten_seconds_and_not_ten_of_its_own() {
        assert_eq!(time_left(None), RENEW_DEADLINE);
        assert_eq!(time_left(Some(RENEW)), RENEW_DEADLINE - RENEW);
        let just = Duration::from_millis(9_900);
        assert_eq!(time_left(Some(just)), Duration::from_millis(100));
        assert_eq!(
            time_left(Some(RENEW_DEADLINE)),
            RENEW_DEADLINE,
            "it is given up already"
        );
    }

    #[test]
    fn a_lease_that_was_given_up_for_somebody_is_left_to_that_agent_for_a_while() {
        let (fresh, stale) = (Duration::from_secs(14), Duration::from_secs(15));
        let mut freed = lease("");
        freed.metadata.annotations = Some([(TAKE_OVER.to_owned(), "you".to_owned())].into());
        assert!(!may_claim(&freed, fresh, "me"));
        assert!(may_claim(&freed, fresh, "you"));
        assert!(may_claim(&freed, stale, "me"), "it never came");
    }

    #[test]
    fn a_renewal_is_no_transition_and_a_takeover_is() {
        let first = claim(None, "a", Timestamp::UNIX_EPOCH);
        let later = Timestamp::from_second(60).unwrap();
        let renewed = claim(Some(&first), "a", later);
        assert_eq!(renewed.lease_transitions, first.lease_transitions);
        assert_eq!(renewed.acquire_time, first.acquire_time);
        assert_ne!(renewed.renew_time, first.renew_time);
        let taken = claim(Some(&renewed), "b", later);
        assert_eq!(
            taken.lease_transitions,
            renewed.lease_transitions.map(|n| n + 1)
        );
    }
}
