//! Leader election: of several agents on one cluster, one writes.
//!
//! The rules and times are client-go's: a Lease is renewed every two seconds, given
//! up by its holder when no renewal went through for ten, and taken by others when
//! they saw it unchanged for fifteen, measured on their own clocks.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Cluster;

/// How long others leave an unchanged Lease alone.
const DURATION: Duration = Duration::from_secs(15);
/// How long a holder goes on without a renewal.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// An agent's part in the election.
pub struct Election {
    /// Whether this agent leads, now and as it changes.
    pub leading: watch::Receiver<bool>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Election {
    /// Steps down (the Lease is free at once for others) and ends.
    pub async fn end(self) {
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the election broke: {error}");
        }
    }
}

impl Cluster {
    /// Stands for election under a Lease. `identity` must differ between agents.
    pub fn stand(&self, namespace: &str, lease: &str, identity: &str) -> Election {
        let (leading, seen) = watch::channel(false);
        let cancel = self.0.stop.child_token();
        let candidate = Candidate {
            api: Api::namespaced(self.0.client.clone(), namespace),
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            leading,
            seen: None,
            renewed: None,
            trouble: None,
        };
        let task = tokio::spawn(candidate.run(cancel.clone()));
        Election {
            leading: seen,
            cancel,
            task,
        }
    }
}

/// A Lease as it was last read, and when it was first seen so.
struct Seen {
    lease: Lease,
    since: Instant,
}

struct Candidate {
    api: Api<Lease>,
    lease: String,
    identity: String,
    leading: watch::Sender<bool>,
    seen: Option<Seen>,
    renewed: Option<Instant>,
    /// Why the last try failed.
    trouble: Option<String>,
}

impl Candidate {
    async fn run(mut self, cancel: CancellationToken) {
        loop {
            let tried = tokio::time::timeout(RENEW_DEADLINE, self.try_once());
            let answer = tokio::select! {
                () = cancel.cancelled() => break,
                answer = tried => answer,
            };
            let (leads, trouble) = match answer {
                Ok(Ok(leads)) => (leads, None),
                Ok(Err(error)) => (false, Some(error.to_string())),
                Err(_) => (false, Some("no answer in time".to_owned())),
            };
            self.say(trouble);
            let now = Instant::now();
            if leads {
                self.renewed = Some(now);
            }
            let still = leads || self.is_fresh(now);
            if self
                .leading
                .send_if_modified(|leading| std::mem::replace(leading, still) != still)
            {
                tracing::info!(lease = %self.lease, identity = %self.identity, leading = still, "election");
            }
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        self.step_down().await;
    }

    /// An agent that cannot even stand would wait for ever: that is said, once for each reason.
    fn say(&mut self, trouble: Option<String>) {
        if let Some(why) = trouble.as_ref().filter(|_| self.trouble != trouble) {
            tracing::warn!(lease = %self.lease, "no part in the election: {why}");
        }
        self.trouble = trouble;
    }

    /// A try that failed costs the lead only once the deadline has passed; a Lease that
    /// is seen in another's hand costs it at once.
    fn is_fresh(&self, now: Instant) -> bool {
        let lost = self
            .seen
            .as_ref()
            .is_some_and(|seen| holder(&seen.lease).is_some_and(|holder| holder != self.identity));
        !lost
            && self
                .renewed
                .is_some_and(|at| now.duration_since(at) < RENEW_DEADLINE)
    }

    /// Renews or takes the Lease; `true` where it is ours then.
    async fn try_once(&mut self) -> Result<bool, kube::Error> {
        // The holder's own copy is good until someone else writes: a renewal is one request.
        if !*self.leading.borrow() || self.seen.is_none() {
            let read = self.api.get_opt(&self.lease).await?;
            self.look(read);
        }
        let now = Timestamp::now();
        let written = match &self.seen {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.lease.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(claim(None, &self.identity, now)),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            Some(seen) => {
                if !may_claim(&seen.lease, seen.since.elapsed(), &self.identity) {
                    return Ok(false);
                }
                // The resource version goes along: of two who try, one gets a conflict.
                let mut lease = seen.lease.clone();
                lease.spec = Some(claim(lease.spec.as_ref(), &self.identity, now));
                self.api
                    .replace(&self.lease, &PostParams::default(), &lease)
                    .await
            }
        };
        match written {
            Ok(lease) => {
                self.look(Some(lease));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let read = self.api.get_opt(&self.lease).await?;
                self.look(read);
                Ok(false)
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                self.seen = None;
                Err(kube::Error::Api(status))
            }
            Err(error) => Err(error),
        }
    }

    fn look(&mut self, lease: Option<Lease>) {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        self.seen = lease.map(|lease| match self.seen.take() {
            Some(seen) if version(&seen.lease) == version(&lease) => seen,
            _ => Seen {
                lease,
                since: Instant::now(),
            },
        });
    }

    async fn step_down(&mut self) {
        if !self.leading.send_replace(false) {
            return;
        }
        let Some(seen) = self.seen.take() else { return };
        let mut lease = seen.lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        let params = PostParams::default();
        let freed = self.api.replace(&self.lease, &params, &lease);
        if !matches!(tokio::time::timeout(RETRY, freed).await, Ok(Ok(_))) {
            tracing::debug!(lease = %self.lease, "the Lease was not freed; it runs out by itself");
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

/// Whether the Lease is ours, nobody's, or was left unrenewed for too long.
fn may_claim(lease: &Lease, unchanged_for: Duration, identity: &str) -> bool {
    let Some(holder) = holder(lease) else {
        return true;
    };
    let duration = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DURATION, Duration::from_secs);
    holder == identity || unchanged_for >= duration
}

fn claim(before: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> LeaseSpec {
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
