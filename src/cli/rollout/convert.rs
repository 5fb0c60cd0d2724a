//! `sluice rollout convert NAME --to KIND`: a live service in the other form, with no request lost.
//!
//! What is to be done is [`convert::next`]'s to say; this carries one step after another out, with the rights of whoever
//! asks, and may be interrupted and begun again. The agent follows what it finds.

use std::time::Duration;

use anyhow::{Context, bail};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, Preconditions,
};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::super::connection::Session;
use super::super::{CommandOutcome, output, sync};
use super::{One, find};
use crate::api::annotations::{self, DeliveryId};
use crate::api::delivery::Expand;
use crate::api::object::ObjectKey;
use crate::api::rollout::ServiceRollout;
use crate::api::serving;
use crate::plan::convert::{self, Found, Next};

/// How long Knative has for one of its parts.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an agent has to follow.
const AGENT: Duration = Duration::from_secs(30);
/// How soon it is looked again.
const SOON: Duration = Duration::from_millis(200);
/// What Knative names a Configuration's revisions by.
const CONFIGURATION: &str = "serving.knative.dev/configuration";
const MANAGER: &str = "sluice-cli";

/// Converts the service where it rests.
pub async fn run(one: One, to: Expand) -> anyhow::Result<CommandOutcome> {
    let (session, _, rollout) = find(&one).await?;
    let delivery = rollout.annotations().get(annotations::DELIVERY);
    let delivery = delivery.and_then(|id| DeliveryId::parse(id));
    let status = rollout.status.unwrap_or_default();
    if !status.phase.rests() {
        bail!(
            "a release of {0} is on its way: wait for its end (sluice rollout watch {0}) and try again",
            one.service
        );
    }
    let service = Service {
        session: &session,
        name: &one.service,
        delivery: delivery.as_ref(),
    };
    service.convert(to).await?;
    let name = &one.service;
    output::line(match to {
        Expand::Service => format!("{name} is a Knative Service"),
        Expand::Routes => format!("{name} is a Configuration and a Route"),
    })?;
    Ok(CommandOutcome::Done)
}

struct Service<'a> {
    session: &'a Session,
    name: &'a str,
    /// Who delivers it.
    delivery: Option<&'a DeliveryId>,
}

impl Service<'_> {
    /// Asks the agent for a look: to it the Service is what it was, and whom a Route belongs to wakes nobody.
    async fn ask_for_a_look(&self) -> anyhow::Result<()> {
        let Some(delivery) = self.delivery else {
            return Ok(());
        };
        let api = Api::namespaced(self.session.client.clone(), &delivery.namespace);
        let id = uuid::Uuid::new_v4().to_string();
        match sync::ask(&api, &delivery.name, &id).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            asked => asked.map(drop).map_err(|error| self.session.explain(error)),
        }
    }

    /// Waits until the agent delivers the Configuration and the Route: one that still takes the Service for what it
    /// delivers would make it again. Where none says so, none is there.
    async fn is_followed(&self) -> anyhow::Result<()> {
        self.ask_for_a_look().await?;
        let api: Api<ServiceRollout> =
            Api::namespaced(self.session.client.clone(), &self.session.namespace);
        let since = tokio::time::Instant::now();
        while since.elapsed() < AGENT {
            let found = api.get_opt(self.name).await;
            let found = found.map_err(|error| self.session.explain(error))?;
            let status = found.and_then(|rollout| rollout.status);
            if status.is_none_or(|status| status.expand == Some(Expand::Routes)) {
                return Ok(());
            }
            tokio::time::sleep(SOON).await;
        }
        output::note(format_args!(
            "no agent has followed within {} s; one that comes later finds the Configuration and the Route",
            AGENT.as_secs()
        ));
        Ok(())
    }

    async fn convert(&self, to: Expand) -> anyhow::Result<()> {
        let namespace = &self.session.namespace;
        let mut waits_since = None;
        loop {
            let found = self.find().await?;
            let next = convert::next(to, namespace, self.name, &found);
            match next {
                Next::Done => return Ok(()),
                Next::Refused(why) => bail!("{} is left as it is: {why}", self.name),
                Next::Wait(what) => {
                    let since = waits_since.get_or_insert_with(tokio::time::Instant::now);
                    if since.elapsed() > PATIENCE {
                        bail!(
                            "{}: {what}, for {} s; the same command goes on from here",
                            self.name,
                            PATIENCE.as_secs()
                        );
                    }
                    tokio::time::sleep(SOON).await;
                    continue;
                }
                next => self.step(to, next).await?,
            }
            waits_since = None;
        }
    }

    /// Carries a step out; what somebody else wrote meanwhile is looked at again.
    async fn step(&self, to: Expand, next: Next) -> anyhow::Result<()> {
        let done = match next {
            Next::Patch { key, patch } => {
                output::note(format_args!(
                    "{} {} {}",
                    key.kind,
                    key.name,
                    becomes(&key, to)
                ));
                let params = PatchParams {
                    field_manager: Some(MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                let patch = Patch::Merge(patch);
                let patched = self.api(&key.kind).patch(&key.name, &params, &patch).await;
                patched.map(drop)
            }
            Next::Create(object) => {
                output::note(format_args!("Service {} is made", self.name));
                let object = serde_json::from_value(object).context("a Service is an object")?;
                let params = PostParams {
                    field_manager: Some(MANAGER.to_owned()),
                    ..PostParams::default()
                };
                self.api("Service").create(&params, &object).await.map(drop)
            }
            Next::Delete { key, uid } => {
                self.is_followed().await?;
                output::note(format_args!("Service {} is deleted", key.name));
                let params = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: Some(uid),
                        resource_version: None,
                    }),
                    ..DeleteParams::default()
                };
                let deleted = self.api("Service").delete(&key.name, &params).await;
                deleted.map(drop)
            }
            Next::Done | Next::Wait(_) | Next::Refused(_) => Ok(()),
        };
        match done {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            done => done.map_err(|error| self.session.explain(error)),
        }
    }

    async fn find(&self) -> anyhow::Result<Found> {
        let revisions = ListParams::default().labels(&format!("{CONFIGURATION}={}", self.name));
        let api = self.api("Revision");
        let revisions = api.list(&revisions).await;
        let revisions = revisions.map_err(|error| self.session.explain(error))?;
        Ok(Found {
            service: self.get("Service").await?,
            configuration: self.get("Configuration").await?,
            route: self.get("Route").await?,
            revisions: revisions.items.iter().map(value).collect(),
        })
    }

    async fn get(&self, kind: &str) -> anyhow::Result<Option<Value>> {
        let found = self.api(kind).get_opt(self.name).await;
        let found = found.map_err(|error| self.session.explain(error))?;
        Ok(found.as_ref().map(value))
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let client: Client = self.session.client.clone();
        let kind = GroupVersionKind::gvk(serving::GROUP, "v1", kind);
        Api::namespaced_with(
            client,
            &self.session.namespace,
            &ApiResource::from_gvk(&kind),
        )
    }
}

/// What a patch makes of an object, in words.
fn becomes(key: &ObjectKey, to: Expand) -> &'static str {
    match (key.kind.as_str(), to) {
        ("Revision", _) => "gets the Service's label",
        (_, Expand::Service) => "belongs to the Service",
        (_, Expand::Routes) => "stands alone",
    }
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
