//! Leader election: of several agents on one cluster, one delivers a Delivery.
//!
//! The rules are client-go's: a Lease is renewed by its holder every few seconds, given up by it
//! when no renewal went through for ten, and taken by others when they saw it unchanged for
//! fifteen, measured on their own clocks. Beyond client-go's, an agent may ask for a Lease that
//! another one holds ([`TAKE_OVER`]): the holder ends what it is doing, and hands it over.

mod rules;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::rules::{Holder, TAKE_OVER};
use self::rules::{RENEW, RENEW_DEADLINE, claim, holder, may_claim, requester, time_left};
use super::Cluster;

/// Time between two tries of an agent that does not lead, or whose renewal failed.
const RETRY: Duration = Duration::from_secs(2);

/// What an agent stands for.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: String,
    /// The agent; it must differ between agents that run at the same time.
    pub identity: String,
    /// Whether the present holder is asked to hand the Lease over, once.
    pub take_over: bool,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Nobody that this agent knows of.
    Unknown,
    /// This agent.
    Ours,
    /// Another agent.
    Another(Holder),
}

/// An agent's part in the election. Dropped, it takes no more part, and its Lease runs out.
pub struct Election {
    lead: watch::Receiver<Lead>,
    at_rest: watch::Sender<bool>,
    cancel: CancellationToken,
    task: Option<JoinHandle<Ending>>,
}

/// What a candidate leaves behind.
struct Ending {
    api: Api<Lease>,
    lease: Option<Lease>,
}

impl Election {
    /// Who leads, now and as it changes.
    pub fn lead(&self) -> watch::Receiver<Lead> {
        self.lead.clone()
    }

    /// Says whether everything that only a leader may do has ended: before that, a Lease that
    /// another agent asked for is not handed over.
    pub fn at_rest(&self, at_rest: bool) {
        self.at_rest.send_replace(at_rest);
    }

    /// Steps down (the Lease is free at once for others) and ends.
    pub async fn end(self) {
        self.finish().await;
    }

    /// Ends, and deletes the Lease where this agent held it: what it was about is gone.
    pub async fn dissolve(self) {
        let Some(Ending { api, lease }) = self.finish().await else {
            return;
        };
        let Some(metadata) = lease.map(|lease| lease.metadata) else {
            return;
        };
        let params = DeleteParams::default().preconditions(Preconditions {
            resource_version: metadata.resource_version,
            uid: metadata.uid,
        });
        let name = metadata.name.unwrap_or_default();
        let deleted = api.delete(&name, &params);
        if !matches!(tokio::time::timeout(RETRY, deleted).await, Ok(Ok(_))) {
            tracing::debug!(lease = %name, "the Lease was not deleted");
        }
    }

    async fn finish(mut self) -> Option<Ending> {
        self.at_rest(true);
        self.cancel.cancel();
        match self.task.take()?.await {
            Ok(ending) => Some(ending),
            Err(error) => {
                tracing::error!("the election broke: {error}");
                None
            }
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Cluster {
    /// Stands for election under a Lease.
    pub fn stand(&self, candidacy: Candidacy) -> Election {
        let (lead, seen) = watch::channel(Lead::Unknown);
        let (at_rest, resting) = watch::channel(true);
        let cancel = self.0.stop.child_token();
        let candidate = Candidate {
            api: Api::namespaced(self.0.client.clone(), &candidacy.namespace),
            candidacy,
            lead,
            resting,
            seen: None,
            renewed: None,
            trouble: None,
        };
        let task = tokio::spawn(candidate.run(cancel.clone()));
        Election {
            lead: seen,
            at_rest,
            cancel,
            task: Some(task),
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
    candidacy: Candidacy,
    lead: watch::Sender<Lead>,
    /// Whether nothing goes on that only a leader may do.
    resting: watch::Receiver<bool>,
    seen: Option<Seen>,
    renewed: Option<Instant>,
    /// Why the last try failed.
    trouble: Option<String>,
}

/// What a try came to.
enum Tried {
    /// The Lease is ours.
    Ours,
    /// It is another's, or another was faster.
    NotOurs,
    /// It is ours, and another agent asks for it.
    AskedFor,
}

impl Candidate {
    async fn run(mut self, cancel: CancellationToken) -> Ending {
        loop {
            // The Lease is renewed as of the beginning of the try, and given up when its time is over,
            // whatever a try is waiting for then.
            let begun = Instant::now();
            let tried = tokio::time::timeout_at(begun + self.time_left(begun), self.try_once());
            let answer = tokio::select! {
                () = cancel.cancelled() => break,
                answer = tried => answer,
            };
            let (tried, trouble) = match answer {
                Ok(Ok(tried)) => (tried, None),
                Ok(Err(error)) => (Tried::NotOurs, Some(error.to_string())),
                Err(_) => (Tried::NotOurs, Some("no answer in time".to_owned())),
            };
            self.say(trouble);
            let mut wait = RETRY;
            match tried {
                Tried::Ours => {
                    self.renewed = Some(begun);
                    wait = RENEW;
                }
                Tried::NotOurs => {}
                Tried::AskedFor => {
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = self.hand_over() => {}
                    }
                }
            }
            let now = Instant::now();
            self.publish(now);
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(wait.min(self.time_left(now))) => {}
            }
        }
        self.step_down().await;
        Ending {
            api: self.api,
            lease: self.seen.map(|seen| seen.lease),
        }
    }

    /// An agent that cannot even stand would wait for ever: that is said, once for each reason.
    fn say(&mut self, trouble: Option<String>) {
        if let Some(why) = trouble.as_ref().filter(|_| self.trouble != trouble) {
            tracing::warn!(lease = %self.candidacy.lease, namespace = %self.candidacy.namespace,
                "no part in the election: {why}");
        }
        self.trouble = trouble;
    }

    /// Tells whoever follows the election who leads.
    fn publish(&mut self, now: Instant) {
        let lead = if self.is_fresh(now) {
            self.candidacy.take_over = false;
            Lead::Ours
        } else {
            let another = self.seen.as_ref().and_then(|seen| holder(&seen.lease));
            another
                .filter(|holder| holder.identity != self.candidacy.identity)
                .map_or(Lead::Unknown, Lead::Another)
        };
        self.lead.send_if_modified(|known| {
            let changed = *known != lead;
            *known = lead;
            changed
        });
    }

    /// How long a holder may go on without a renewal; any try of others has the whole time.
    fn time_left(&self, now: Instant) -> Duration {
        let renewed = self.renewed.filter(|_| self.is_fresh(now));
        time_left(renewed.map(|at| now.duration_since(at)))
    }

    /// A try that failed costs the lead only once the deadline has passed; a Lease that
    /// is seen in another's hand, or in nobody's, costs it at once.
    fn is_fresh(&self, now: Instant) -> bool {
        let lost = self.seen.as_ref().is_some_and(|seen| {
            holder(&seen.lease).is_none_or(|holder| holder.identity != self.candidacy.identity)
        });
        !lost
            && self
                .renewed
                .is_some_and(|at| now.duration_since(at) < RENEW_DEADLINE)
    }

    /// Renews or takes the Lease.
    async fn try_once(&mut self) -> Result<Tried, kube::Error> {
        // The holder's own copy is good until someone else writes: a renewal is one request.
        if *self.lead.borrow() != Lead::Ours || self.seen.is_none() {
            let read = self.api.get_opt(&self.candidacy.lease).await?;
            self.look(read);
        }
        let identity = &self.candidacy.identity;
        let now = Timestamp::now();
        let params = PostParams::default();
        let (written, ours) = match &self.seen {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.candidacy.lease.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(claim(None, identity, now)),
                };
                (self.api.create(&params, &lease).await, true)
            }
            // The resource version goes along: of two who try, one gets a conflict.
            Some(seen) => {
                if self.asked_for() {
                    return Ok(Tried::AskedFor);
                }
                let mut lease = seen.lease.clone();
                let ours = may_claim(&lease, seen.since.elapsed(), identity);
                if ours {
                    lease.spec = Some(claim(lease.spec.as_ref(), identity, now));
                    // Who claims it has answered every request for it.
                    if let Some(annotations) = &mut lease.metadata.annotations {
                        annotations.remove(TAKE_OVER);
                    }
                } else if self.candidacy.take_over && requester(&lease) != Some(identity) {
                    let annotations = lease.metadata.annotations.get_or_insert_default();
                    annotations.insert(TAKE_OVER.to_owned(), identity.clone());
                } else {
                    return Ok(Tried::NotOurs);
                }
                let name = &self.candidacy.lease;
                (self.api.replace(name, &params, &lease).await, ours)
            }
        };
        match written {
            Ok(lease) => {
                self.look(Some(lease));
                Ok(if ours { Tried::Ours } else { Tried::NotOurs })
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let read = self.api.get_opt(&self.candidacy.lease).await?;
                self.look(read);
                Ok(match self.asked_for() {
                    true => Tried::AskedFor,
                    false => Tried::NotOurs,
                })
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                self.seen = None;
                Err(kube::Error::Api(status))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the Lease is ours, and another agent asks for it.
    fn asked_for(&self) -> bool {
        let identity = self.candidacy.identity.as_str();
        self.seen.as_ref().is_some_and(|seen| {
            holder(&seen.lease).is_some_and(|by| by.identity == identity)
                && requester(&seen.lease).is_some_and(|by| by != identity)
        })
    }

    /// Gives the Lease up for the agent that asked for it, once nothing is under way any more.
    async fn hand_over(&mut self) {
        let by = self.seen.as_ref().and_then(|seen| requester(&seen.lease));
        tracing::info!(lease = %self.candidacy.lease, to = by.unwrap_or_default(), "the lead is asked for, and handed over");
        self.lead.send_replace(Lead::Unknown);
        let rest = self.resting.wait_for(|resting| *resting);
        if tokio::time::timeout(RENEW_DEADLINE, rest).await.is_err() {
            // It is not renewed any more, and free after its time whatever happens.
            tracing::warn!(lease = %self.candidacy.lease, "what is under way takes long to end");
        } else {
            self.free().await;
        }
        self.renewed = None;
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
        if self.lead.send_replace(Lead::Unknown) == Lead::Ours {
            self.free().await;
        } else {
            self.seen = None;
        }
    }

    /// Writes that nobody holds the Lease.
    async fn free(&mut self) {
        let Some(seen) = self.seen.take() else { return };
        let mut lease = seen.lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        let params = PostParams::default();
        let freed = self.api.replace(&self.candidacy.lease, &params, &lease);
        match tokio::time::timeout(RETRY, freed).await {
            Ok(Ok(lease)) => self.look(Some(lease)),
            _ => {
                tracing::debug!(lease = %self.candidacy.lease, "the Lease was not freed; it runs out by itself")
            }
        }
    }
}
