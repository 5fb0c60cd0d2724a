//! What people ask of a release: a write to the ServiceRollout's spec, which the agent answers in
//! its status; the command waits for that answer.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::bail;
use jiff::{Timestamp, Unit};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::super::connection::Session;
use super::super::{CommandOutcome, output, watching};
use super::{One, find, telling};
use crate::api::duration::HumanDuration;
use crate::api::rollout::{Action, Phase, Request, RolloutStatus, ServiceRollout};

/// How long a steering command waits for the agent's answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a request may wait for an agent: what was asked in one night is no wish of the next day.
const GOOD_FOR: Duration = Duration::from_secs(900);

/// Holds every release of the service: until somebody resumes, or for so long.
pub async fn pause(one: One, period: Option<HumanDuration>) -> anyhow::Result<CommandOutcome> {
    let (session, api, before) = find(&one).await?;
    let service = &one.service;
    let now = Timestamp::now();
    let until = period
        .map(|period| (now + period.get()).round(Unit::Second))
        .transpose()?;
    let change = json!({"spec": {"paused": true, "pausedUntil": until}});
    let rollout = patch(&session, &api, service, change).await?;
    output::print(one.output, &rollout, || {
        let already = before.spec.is_paused(now) && before.spec.paused_until == until;
        let until = telling::until(until);
        if already {
            return format!("{service} is paused already{until}");
        }
        format!(
            "{service} is paused{until}: its release holds where it is and a new one waits; a rollback still happens. `sluice rollout resume {service}` goes on"
        )
    })?;
    Ok(CommandOutcome::Done)
}

/// Lets the service's releases go on.
pub async fn resume(one: One) -> anyhow::Result<CommandOutcome> {
    let (session, api, before) = find(&one).await?;
    let service = &one.service;
    let change = json!({"spec": {"paused": false, "pausedUntil": null}});
    let rollout = patch(&session, &api, service, change).await?;
    output::print(one.output, &rollout, || {
        if before.spec.is_paused(Timestamp::now()) {
            format!("{service} goes on")
        } else {
            format!("{service} is not paused")
        }
    })?;
    Ok(CommandOutcome::Done)
}

/// Writes the request and waits until the agent has carried it out or refused it.
pub async fn ask(
    one: One,
    action: Action,
    revision: Option<String>,
) -> anyhow::Result<CommandOutcome> {
    let (session, api, before) = find(&one).await?;
    let service = &one.service;
    let id = uuid::Uuid::new_v4().to_string();
    let request = Request {
        id: id.clone(),
        action,
        revision,
        by: std::env::var("USER").ok().filter(|user| !user.is_empty()),
        expires: Some(Timestamp::now() + GOOD_FOR),
        seen: before.status.as_ref().map(RolloutStatus::seen),
    };
    add(&session, &api, before, request).await?;
    let handled = |status: &RolloutStatus| status.answer(&id).is_some();
    let answer = watching::follow(&session, api, service, |rollout: ServiceRollout| {
        Ok(if rollout.status.as_ref().is_some_and(handled) {
            ControlFlow::Break(rollout)
        } else {
            ControlFlow::Continue(())
        })
    });
    let Ok(answer) = tokio::time::timeout(ANSWER, answer).await else {
        let status = find(&one).await?.2.status.unwrap_or_default();
        if status.phase == Phase::Holding {
            bail!(
                "the request is written, and waits: {}; it is good for {} min",
                status.message,
                GOOD_FOR.as_secs() / 60
            );
        }
        bail!(
            "the request is written, but no agent answered within {} s; is one running? (`sluice status`) One that \
             comes within {} min still carries it out",
            ANSWER.as_secs(),
            GOOD_FOR.as_secs() / 60
        );
    };
    let rollout = answer?;
    let status = rollout.status.clone().unwrap_or_default();
    let refused = status
        .answer(&id)
        .and_then(|answer| answer.refused.as_ref());
    if let Some(why) = refused {
        bail!("{action} refused: {why}");
    }
    output::print(one.output, &rollout, || {
        let phase = telling::phase(status.phase);
        format!("{action}: {service} {phase}: {}", status.message)
    })?;
    Ok(CommandOutcome::Done)
}

/// Adds a request behind those that wait; what was answered goes. Others may add theirs at the same time.
async fn add(
    session: &Session,
    api: &Api<ServiceRollout>,
    mut rollout: ServiceRollout,
    request: Request,
) -> anyhow::Result<()> {
    let name = rollout.name_any();
    loop {
        let status = rollout.status.clone().unwrap_or_default();
        let mut requests = std::mem::take(&mut rollout.spec.requests);
        requests.retain(|known| status.answer(&known.id).is_none());
        requests.push(request.clone());
        let change = json!({
            "metadata": {"resourceVersion": rollout.metadata.resource_version},
            "spec": {"requests": requests},
        });
        match api.patch(&name, &by_hand(), &Patch::Merge(change)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = api.get(&name).await;
                rollout = found.map_err(|error| session.explain(error))?;
            }
            Err(error) => return Err(session.explain(error)),
        }
    }
}

fn by_hand() -> PatchParams {
    PatchParams {
        field_manager: Some("sluice-cli".to_owned()),
        ..Default::default()
    }
}

async fn patch(
    session: &Session,
    api: &Api<ServiceRollout>,
    name: &str,
    change: Value,
) -> anyhow::Result<ServiceRollout> {
    let mut rollout = api
        .patch(name, &by_hand(), &Patch::Merge(change))
        .await
        .map_err(|error| session.explain(error))?;
    rollout.metadata.managed_fields = None;
    Ok(rollout)
}
