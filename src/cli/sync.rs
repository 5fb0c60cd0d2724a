//! `sluice sync [DELIVERY] [--wait]`: have the repository looked at now.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::TryStreamExt;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::connection::explain;
use super::{ClusterArgs, Outcome};
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
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Asks for the look and, with `--wait`, follows what comes of it.
pub async fn run(args: SyncArgs) -> anyhow::Result<Outcome> {
    let (client, namespace) = args.cluster.connect().await?;
    let api: Api<Delivery> = Api::namespaced(client, &namespace);
    let name = match args.delivery {
        Some(name) => name,
        None => only(&api, &namespace).await?,
    };
    let id = uuid::Uuid::new_v4().to_string();
    let change = json!({"metadata": {"annotations": {SYNC: id}}});
    let params = PatchParams {
        field_manager: Some("sluice-cli".to_owned()),
        ..Default::default()
    };
    api.patch(&name, &params, &Patch::Merge(change))
        .await
        .map_err(explain)?;
    if !args.wait {
        println!("{name} is asked to look at its repository now");
        return Ok(Outcome::Done);
    }
    let settled = tokio::time::timeout(
        args.timeout.get().max(Duration::from_secs(1)),
        follow(&api, &name, &id),
    );
    settled
        .await
        .with_context(|| format!("{name} did not come to rest within {}", args.timeout))?
}

async fn only(api: &Api<Delivery>, namespace: &str) -> anyhow::Result<String> {
    let all = api
        .list(&ListParams::default())
        .await
        .map_err(explain)?
        .items;
    match all.as_slice() {
        [one] => Ok(one.name_any()),
        [] => bail!("there is no Delivery in namespace {namespace}"),
        many => {
            let names: Vec<String> = many.iter().map(ResourceExt::name_any).collect();
            bail!("which Delivery? there are {}", names.join(", "))
        }
    }
}

/// Prints each change of the Ready condition until the Delivery rests.
async fn follow(api: &Api<Delivery>, name: &str, id: &str) -> anyhow::Result<Outcome> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = std::pin::pin!(
        watcher(api.clone(), config)
            .default_backoff()
            .applied_objects()
    );
    let mut last = String::new();
    while let Some(delivery) = changes.try_next().await? {
        let Some(status) = delivery.status else {
            continue;
        };
        let Some(ready) = status.conditions.iter().find(|c| c.type_ == "Ready") else {
            continue;
        };
        if ready.message != last {
            println!("{}", ready.message);
            last.clone_from(&ready.message);
        }
        if status.handled_sync.as_deref() == Some(id) {
            match ready.status.as_str() {
                "True" => return Ok(Outcome::Done),
                "False" => return Ok(Outcome::Differs),
                _ => {}
            }
        }
    }
    bail!("the watch on Delivery {name} ended")
}
