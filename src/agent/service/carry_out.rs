//! A decision is carried out: up is careful, down is unconditional.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::warn;

use super::refusals::traffic_refused_for_good;
use super::{DesiredService, ServiceLoop};
use crate::agent::rollout_store;
use crate::api::object::{ObjectKey, TemplateHash};
use crate::api::rollout::Phase;
use crate::api::serving::{API_VERSION, GROUP, TrafficTarget, annotation};
use crate::cluster::{Refusal, WriteError};
use crate::plan::{LiveObject, Manager, ServiceIntent, restored_template};
use crate::policy::Policy;
use crate::rollout::{Decision, Event, Live, Order, Write, asked_again};

/// How often a write is tried again in one pass where somebody else wrote the object in between.
const RACES: u32 = 8;

impl ServiceLoop {
    /// Stores the status and writes, in the decision's order; then says what is to be found out.
    pub(super) async fn carry_out(
        &mut self,
        wanted: &DesiredService,
        policy: &Policy,
        live: &Live,
        mut decided: Decision,
        now: Instant,
    ) -> Result<Option<Duration>, WriteError> {
        let intent = &wanted.intent;
        let mut writes = std::mem::take(&mut decided.writes);
        self.refusals.hold(&mut writes, now);
        let is_silent = writes.is_empty();
        let (first, later) = match decided.order {
            Order::StatusFirst => (Vec::new(), writes),
            Order::TrafficFirst => writes.into_iter().partition(is_urgent),
        };
        if !first.is_empty() {
            self.refusals.ask_no_more();
        }
        for write in &first {
            self.write(wanted, write, decided.order, now).await?;
        }
        let wake_after = decided.wake_after;
        let gather = std::mem::take(&mut decided.gather);
        let stored = self.remember(wanted, decided).await;
        let stored = stored.inspect_err(|error| {
            if !first.is_empty() {
                warn!(delivery = %intent.delivery, "the traffic is written; that is not remembered yet: {error}");
            }
        });
        // What is watched does not hang on what is remembered: the next fault may be a worse one.
        self.gatherer
            .wants(gather, policy, &intent.template.value())
            .await;
        stored?;
        if self.memory.problem.is_some() {
            return Ok(wake_after);
        }
        for write in &later {
            self.write(wanted, write, Order::StatusFirst, now).await?;
        }
        // What a deleted Delivery leaves behind stays as it is, and so does what is not Git's word.
        if is_silent && !wanted.withdrawn && wanted.source_problem.is_none() {
            self.follow_metadata(intent, live, wanted.drift).await?;
        }
        let others = self.refusals.others_due_in(now);
        Ok(wake_after.into_iter().chain(others).min())
    }

    /// Stores the status where it is due, and takes it for what is remembered: going down also where it cannot be
    /// stored, so that the next decision goes on from there.
    async fn remember(
        &mut self,
        wanted: &DesiredService,
        decided: Decision,
    ) -> Result<(), WriteError> {
        let intent = &wanted.intent;
        let order = decided.order;
        self.is_stored &= decided.status == self.status;
        // What cannot be read is not written over, but by the end of a release that had to be rolled back.
        let may_store = self.memory.problem.is_none()
            || matches!(decided.status.phase, Phase::RollingBack | Phase::RolledBack);
        if order == Order::TrafficFirst {
            self.adopt(wanted, &decided);
        }
        if may_store {
            self.store(intent, &decided).await?;
        }
        if order == Order::StatusFirst {
            self.adopt(wanted, &decided);
        }
        Ok(())
    }

    async fn store(
        &mut self,
        intent: &ServiceIntent,
        decided: &Decision,
    ) -> Result<(), WriteError> {
        let cluster = &self.context.cluster;
        // One that somebody deleted is written again: what is in quarantine must stay there.
        if cluster.get(&rollout_store::key(intent)).is_none() {
            rollout_store::create(cluster, intent).await?;
            self.is_stored = false;
        }
        if !self.is_stored && !decided.persist_deferred {
            rollout_store::store(cluster, intent, &self.memory, &decided.status).await?;
            self.is_stored = true;
        }
        Ok(())
    }

    /// Goes on from this decision's status, and says what happened.
    fn adopt(&mut self, wanted: &DesiredService, decided: &Decision) {
        let before = std::mem::replace(&mut self.status, decided.status.clone());
        self.count_endings(&wanted.intent.delivery, &before);
        for event in &decided.events {
            if matches!(event, Event::Retried { .. }) {
                self.refusals.retried();
            }
            self.tell(wanted, event);
        }
    }

    async fn write(
        &mut self,
        wanted: &DesiredService,
        write: &Write,
        order: Order,
        now: Instant,
    ) -> Result<(), WriteError> {
        let intent = &wanted.intent;
        let cluster = self.context.cluster.clone();
        match write {
            Write::Template { attempt } => {
                let object = intent.template_object(&intent.template_of(*attempt));
                if let Err(error) = cluster.apply(&object, Manager::Objects).await {
                    self.refuse(wanted, &error, now);
                    return Err(error);
                }
                self.refusals.template_taken();
            }
            Write::Traffic {
                targets,
                rolled_back,
                last_resort,
            } => {
                let mark = rolled_back.as_ref();
                let Err(error) = self.write_traffic(intent, targets, mark, order).await else {
                    self.refusals.traffic_taken();
                    return Ok(());
                };
                let Some(words) = traffic_refused_for_good(&error) else {
                    return Err(error);
                };
                self.refusals.traffic_refused(&intent.traffic, words, now);
                // Whatever else Git wants of the traffic: stable alone is what Knative takes.
                let Some(bare) = last_resort else {
                    return Err(error);
                };
                self.failed(wanted, &error);
                self.write_traffic(intent, bare, mark, order).await?;
            }
            Write::StableTemplate { revision, named } => {
                let key = ObjectKey::namespaced(GROUP, "Revision", &intent.namespace, revision);
                let Some(live) = cluster.get(&key) else {
                    return Ok(());
                };
                let template = restored_template(&live.value(), *named);
                let object = intent.restored_object(&template);
                self.write_other(wanted, write, &object, now).await?;
            }
            Write::KeepRevision { name, keep } => {
                let annotations = if *keep {
                    json!({annotation::NO_GC: "true"})
                } else {
                    json!({})
                };
                let object = json!({"apiVersion": API_VERSION, "kind": "Revision", "metadata":
                    {"name": name, "namespace": intent.namespace, "annotations": annotations}});
                self.write_other(wanted, write, &object, now).await?;
            }
        }
        Ok(())
    }

    /// Writes what nothing else waits for: where it is refused it costs itself, and is tried again later. (A revision
    /// that went away meanwhile needs no keeping.)
    async fn write_other(
        &mut self,
        wanted: &DesiredService,
        write: &Write,
        object: &Value,
        now: Instant,
    ) -> Result<(), WriteError> {
        match self.context.cluster.apply(object, Manager::Objects).await {
            Ok(_) => self.refusals.written(write),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                let (service, ..) = self.subject(wanted);
                warn!(delivery = %wanted.intent.delivery, service, "{error}; {}", asked_again());
                self.refusals.refused(write, error.to_string(), now);
            }
        }
        Ok(())
    }

    /// Writes the traffic over the object as it was read. Where somebody wrote it in between it is read again:
    /// going down, the write goes out again while this agent leads; going up, only over the same traffic.
    async fn write_traffic(
        &self,
        intent: &ServiceIntent,
        targets: &[TrafficTarget],
        mark: Option<&TemplateHash>,
        order: Order,
    ) -> Result<(), WriteError> {
        let cluster = &self.context.cluster;
        let key = intent.traffic_key();
        let mut object = intent.traffic_write(targets, mark);
        let mut read = cluster.get(&key);
        for _ in 0..RACES {
            set_version(
                &mut object,
                read.as_ref().map(|live| live.resource_version.as_str()),
            );
            let error = match cluster.apply(&object, Manager::Traffic).await {
                Ok(_) => return Ok(()),
                Err(error) if error.cause == Refusal::Changed => error,
                // It may have gone meanwhile: to make it anew, a version may not be named.
                Err(error) if read.is_some() && !error.is_transient() => error,
                Err(error) => return Err(error),
            };
            let now = cluster.refresh(&key, API_VERSION).await?;
            if error.cause != Refusal::Changed && now.is_some() {
                return Err(error);
            }
            let same = generation(read.as_deref()) == generation(now.as_deref());
            if self.cancel.is_cancelled() || (order == Order::StatusFirst && !same) {
                return Err(error);
            }
            read = now;
        }
        set_version(&mut object, None);
        cluster.apply(&object, Manager::Traffic).await.map(drop)
    }
}

/// What a rollback writes before anything is remembered.
fn is_urgent(write: &Write) -> bool {
    matches!(write, Write::Traffic { .. } | Write::StableTemplate { .. })
}

fn generation(live: Option<&LiveObject>) -> Option<i64> {
    live?.generation
}

/// The version of the object that a write is about; without one it is about any.
fn set_version(object: &mut Value, version: Option<&str>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    match version {
        Some(version) => metadata.insert("resourceVersion".to_owned(), version.into()),
        None => metadata.remove("resourceVersion"),
    };
}
