//! `sluice sync [DELIVERY] [--wait]`: have the repository looked at now.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::connection::Session;
use super::output::{self, Output};
use super::{ClusterArgs, CommandOutcome, watching};
use crate::api::delivery::{Delivery, SYNC};
use crate::api::duration::HumanDuration;

/// Which Delivery, and whether to wait.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    /// The Delivery; the only one there is when absent
    delivery: Option<String>,
    /// Wait until everything is at rest: status 0 when it is delivered, 1 when it is not
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    timeout: HumanDuration,
    /// How to print: JSON and YAML are the Delivery, at the end
    #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Asks for the look and, with `--wait`, follows what comes of it.
pub async fn run(args: SyncArgs) -> anyhow::Result<CommandOutcome> {
    let session = args.cluster.connect().await?;
    let api: Api<Delivery> = Api::namespaced(session.client.clone(), &session.namespace);
    let name = match args.delivery {
        Some(name) => name,
        None => only(&session, &api).await?,
    };
    let id = uuid::Uuid::new_v4().to_string();
    let delivery = ask(&api, &name, &id).await.map_err(|error| match error {
        kube::Error::Api(status) if status.is_not_found() && status.message.contains(&name) => {
            anyhow::anyhow!(
                "there is no Delivery {name} in namespace {}; `sluice status -A` shows what there is",
                session.namespace
            )
        }
        error => session.explain(error),
    })?;
    if !args.wait {
        output::print(args.output, &plain(delivery), || {
            format!("{name} is asked to look at its repository now")
        })?;
        return Ok(CommandOutcome::Done);
    }
    let talks = args.output == Output::Table;
    let settled = tokio::time::timeout(
        args.timeout.get().max(Duration::from_secs(1)),
        settled(&session, api, &name, &id, talks),
    );
    let (delivery, outcome) = settled
        .await
        .with_context(|| format!("{name} did not come to rest within {}", args.timeout))??;
    if !talks {
        output::print(args.output, &plain(delivery), String::new)?;
    }
    Ok(outcome)
}

/// Writes the wish for a look.
pub async fn ask(api: &Api<Delivery>, name: &str, id: &str) -> kube::Result<Delivery> {
    let change = json!({"metadata": {"annotations": {SYNC: id}}});
    let params = PatchParams {
        field_manager: Some("sluice-cli".to_owned()),
        ..Default::default()
    };
    api.patch(name, &params, &Patch::Merge(change)).await
}

fn plain(mut delivery: Delivery) -> Delivery {
    delivery.metadata.managed_fields = None;
    delivery
}

async fn only(session: &Session, api: &Api<Delivery>) -> anyhow::Result<String> {
    let all = api.list(&ListParams::default()).await;
    let all = all.map_err(|error| session.explain(error))?.items;
    let namespace = &session.namespace;
    match all.as_slice() {
        [one] => Ok(one.name_any()),
        [] => bail!(
            "there is no Delivery in namespace {namespace}; `sluice status -A` shows what there is"
        ),
        many => {
            let names: Vec<String> = many.iter().map(ResourceExt::name_any).collect();
            bail!("which Delivery? There are {}", names.join(", "))
        }
    }
}

/// Waits until the Delivery rests after the look that was asked for; `talks`: each change of
/// its Ready condition is printed.
async fn settled(
    session: &Session,
    api: Api<Delivery>,
    name: &str,
    id: &str,
    talks: bool,
) -> anyhow::Result<(Delivery, CommandOutcome)> {
    let mut last = String::new();
    watching::follow(session, api, name, |delivery: Delivery| {
        let status = delivery.status.clone().unwrap_or_default();
        let Some(ready) = status.conditions.iter().find(|c| c.type_ == "Ready") else {
            return Ok(ControlFlow::Continue(()));
        };
        if talks && ready.message != last {
            output::line(&ready.message)?;
            last.clone_from(&ready.message);
        }
        if status.handled_sync.as_deref() != Some(id) {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(match (ready.status.as_str(), ready.reason.as_str()) {
            ("True", _) => ControlFlow::Break((delivery, CommandOutcome::Done)),
            // Nothing comes of it before a person lets it go on.
            ("False", _) | (_, "Suspended") => {
                ControlFlow::Break((delivery, CommandOutcome::Differs))
            }
            _ => ControlFlow::Continue(()),
        })
    })
    .await
}
