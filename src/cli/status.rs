//! `sluice status`: where every delivery and service stands.

use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::output::{self, Output};
use super::{ClusterArgs, CommandOutcome};
use crate::api::delivery::Delivery;
use crate::api::rollout::ServiceRollout;

/// Which deliveries, and how to print them.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Every namespace
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// How to print
    #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
    output: Output,
}

#[derive(Serialize)]
struct Status {
    deliveries: Vec<Delivery>,
    rollouts: Vec<ServiceRollout>,
}

/// Prints the status.
pub async fn run(args: StatusArgs) -> anyhow::Result<CommandOutcome> {
    let session = args.cluster.connect().await?;
    let client = session.client.clone();
    let (deliveries, rollouts): (Api<Delivery>, Api<ServiceRollout>) = if args.all_namespaces {
        (Api::all(client.clone()), Api::all(client))
    } else {
        (
            Api::namespaced(client.clone(), &session.namespace),
            Api::namespaced(client, &session.namespace),
        )
    };
    let all = ListParams::default();
    let deliveries = deliveries.list(&all).await;
    let rollouts = rollouts.list(&all).await;
    let mut status = Status {
        deliveries: deliveries.map_err(|error| session.explain(error))?.items,
        rollouts: rollouts.map_err(|error| session.explain(error))?.items,
    };
    for delivery in &mut status.deliveries {
        delivery.metadata.managed_fields = None;
    }
    for rollout in &mut status.rollouts {
        rollout.metadata.managed_fields = None;
    }
    output::print(args.output, &status, || {
        table(&status, &session.namespace, args.all_namespaces)
    })?;
    Ok(CommandOutcome::Done)
}

fn table(status: &Status, namespace: &str, all: bool) -> String {
    if status.deliveries.is_empty() {
        let place = if all {
            String::new()
        } else {
            format!(" in namespace {namespace}; -A looks in all of them")
        };
        return format!(
            "There is no Delivery{place}. `sluice run --repo URL --path DIR` makes one."
        );
    }
    let rows = status
        .deliveries
        .iter()
        .map(|delivery| {
            let state = delivery.status.clone().unwrap_or_default();
            let ready = state.conditions.iter().find(|c| c.type_ == "Ready");
            let counts = state.services.unwrap_or_default();
            vec![
                format!(
                    "{}/{}",
                    delivery.namespace().unwrap_or_default(),
                    delivery.name_any()
                ),
                ready.map_or_else(|| "Unknown".to_owned(), |c| c.status.clone()),
                output::short(state.applied_commit.as_ref()),
                format!("{}/{}", counts.ready, counts.total),
                ready.map_or_else(String::new, |c| c.message.clone()),
            ]
        })
        .collect();
    let mut text = output::columns(&["DELIVERY", "READY", "COMMIT", "SERVICES", "STATUS"], rows);
    for delivery in &status.deliveries {
        for problem in delivery.status.iter().flat_map(|s| &s.problems) {
            let origin = problem
                .origin
                .as_deref()
                .map(|o| format!("{o}: "))
                .unwrap_or_default();
            text.push_str(&format!(
                "{} {origin}{}\n",
                output::paint(output::Tone::Bad, "!"),
                problem.message
            ));
        }
    }
    if !status.rollouts.is_empty() {
        text.push('\n');
        text.push_str(&super::rollout::table(&status.rollouts));
    }
    text
}
