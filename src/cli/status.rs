//! `sluice status`: where every delivery and service stands.

use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::connection::explain;
use super::output::{self, Output};
use super::{ClusterArgs, Outcome};
use crate::api::delivery::Delivery;
use crate::api::rollout::Rollout;

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
    rollouts: Vec<Rollout>,
}

/// Prints the status. Its outcome is `Differs` when something needs a person.
pub async fn run(args: StatusArgs) -> anyhow::Result<Outcome> {
    let (client, namespace) = args.cluster.connect().await?;
    let (deliveries, rollouts): (Api<Delivery>, Api<Rollout>) = if args.all_namespaces {
        (Api::all(client.clone()), Api::all(client))
    } else {
        (
            Api::namespaced(client.clone(), &namespace),
            Api::namespaced(client, &namespace),
        )
    };
    let all = ListParams::default();
    let mut status = Status {
        deliveries: deliveries.list(&all).await.map_err(explain)?.items,
        rollouts: rollouts.list(&all).await.map_err(explain)?.items,
    };
    for delivery in &mut status.deliveries {
        delivery.metadata.managed_fields = None;
    }
    for rollout in &mut status.rollouts {
        rollout.metadata.managed_fields = None;
    }
    output::print(args.output, &status, || table(&status))?;
    Ok(Outcome::Done)
}

fn table(status: &Status) -> String {
    if status.deliveries.is_empty() {
        return "No delivery here. Start one with `sluice run --repo URL --path DIR`, or look with -A.".to_owned();
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
