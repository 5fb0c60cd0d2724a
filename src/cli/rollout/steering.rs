//! What people ask of a release: a write to the ServiceRollout's spec, which the agent answers in
//! its status; the command waits for that answer.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::bail;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::super::connection::Session;
use super::super::{CommandOutcome, output, watching};
use super::{One, find, telling};
use crate::api::rollout::{Action, RolloutStatus, ServiceRollout};

/// How long a steering command waits for the agent's answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Holds every release of the service, or lets them go on.
pub async fn pause(one: One, paused: bool) -> anyhow::Result<CommandOutcome> {
    let (session, api, before) = find(&one).await?;
    let service = &one.service;
    let change = json!({"spec": {"paused": paused}});
    let rollout = patch(&session, &api, service, change).await?;
    output::print(one.output, &rollout, || {
        match (paused, before.spec.paused) {
            (true, true) => format!("{service} is paused already"),
            (true, false) => format!(
                "{service} is paused: its release holds where it is and a new one waits; a rollback still happens. `sluice rollout resume {service}` goes on"
            ),
            (false, true) => format!("{service} goes on"),
            (false, false) => format!("{service} is not paused"),
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
    let (session, api, _) = find(&one).await?;
    let service = &one.service;
    let id = uuid::Uuid::new_v4().to_string();
    let by = std::env::var("USER").ok().filter(|user| !user.is_empty());
    let request = json!({"id": id, "action": action, "revision": revision, "by": by});
    let change = json!({"spec": {"request": request}});
    patch(&session, &api, service, change).await?;
    let handled = |status: &RolloutStatus| status.handled_request.as_deref() == Some(id.as_str());
    let answer = watching::follow(&session, api, service, |rollout: ServiceRollout| {
        Ok(if rollout.status.as_ref().is_some_and(handled) {
            ControlFlow::Break(rollout)
        } else {
            ControlFlow::Continue(())
        })
    });
    let Ok(answer) = tokio::time::timeout(ANSWER, answer).await else {
        bail!(
            "the request is written, but no agent answered within {} s; is one running? (`sluice status`)",
            ANSWER.as_secs()
        );
    };
    let rollout = answer?;
    let status = rollout.status.clone().unwrap_or_default();
    if let Some(why) = &status.refused_request {
        bail!("{action} refused: {why}");
    }
    output::print(one.output, &rollout, || {
        let phase = telling::phase(status.phase);
        format!("{action}: {service} {phase}: {}", status.message)
    })?;
    Ok(CommandOutcome::Done)
}

async fn patch(
    session: &Session,
    api: &Api<ServiceRollout>,
    name: &str,
    change: Value,
) -> anyhow::Result<ServiceRollout> {
    let params = PatchParams {
        field_manager: Some("sluice-cli".to_owned()),
        ..Default::default()
    };
    let mut rollout = api
        .patch(name, &params, &Patch::Merge(change))
        .await
        .map_err(|error| session.explain(error))?;
    rollout.metadata.managed_fields = None;
    Ok(rollout)
}
