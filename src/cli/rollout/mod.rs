//! `sluice rollout ...`: look at releases and steer them.

mod convert;
mod steering;
mod telling;

use std::ops::ControlFlow;

use anyhow::Context;
use jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;

use super::connection::Session;
use super::output::{self, Output};
use super::run::ExpandArg;
use super::{ClusterArgs, CommandOutcome, watching};
use crate::api::duration::HumanDuration;
use crate::api::rollout::{Action, Phase, ServiceRollout};

pub use telling::table;

/// Look at releases and steer them.
#[derive(Debug, clap::Args)]
pub struct RolloutArgs {
    #[command(subcommand)]
    command: RolloutCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RolloutCommand {
    /// Every service's release, a line each
    List {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Every namespace
        #[arg(long, short = 'A')]
        all_namespaces: bool,
        /// How to print
        #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
        output: Output,
    },
    /// One service's release with its evidence
    Get(One),
    /// Follow one service's release until it is at rest: status 0 when it serves what Git says, 1
    /// when it was rolled back
    Watch(One),
    /// Past releases and how they ended
    History(One),
    /// Hold the release where it is, and new ones with it; a rollback still happens
    Pause {
        #[command(flatten)]
        one: One,
        /// Go on by itself after this time: 30m, 2h; without it, at `resume`
        #[arg(long = "for", value_name = "DURATION")]
        period: Option<HumanDuration>,
    },
    /// Go on after a pause
    Resume(One),
    /// Go on now: past an approval to the next step, from anywhere else to 100 %
    Promote(One),
    /// Roll the candidate back and keep its template out
    Abort(One),
    /// Try a quarantined template again
    Retry(One),
    /// Roll back to an earlier revision and keep the present template out
    Undo {
        #[command(flatten)]
        one: One,
        /// Which revision; the one before the present when absent
        #[arg(long, value_name = "REVISION")]
        to: Option<String>,
    },
    /// Make a Service of a live Configuration and Route, or the other way, without losing a request
    Convert {
        #[command(flatten)]
        one: One,
        /// What it shall be
        #[arg(long, value_name = "KIND")]
        to: ExpandArg,
    },
}

#[derive(Debug, clap::Args)]
struct One {
    /// The service
    service: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How to print
    #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
    output: Output,
}

/// Carries the subcommand out.
pub async fn run(args: RolloutArgs) -> anyhow::Result<CommandOutcome> {
    match args.command {
        RolloutCommand::List {
            cluster,
            all_namespaces,
            output,
        } => list(cluster, all_namespaces, output).await,
        RolloutCommand::Get(one) => get(one).await,
        RolloutCommand::History(one) => history(one).await,
        RolloutCommand::Watch(one) => watch(one).await,
        RolloutCommand::Pause { one, period } => steering::pause(one, period).await,
        RolloutCommand::Resume(one) => steering::resume(one).await,
        RolloutCommand::Promote(one) => steering::ask(one, Action::Promote, None).await,
        RolloutCommand::Abort(one) => steering::ask(one, Action::Abort, None).await,
        RolloutCommand::Retry(one) => steering::ask(one, Action::Retry, None).await,
        RolloutCommand::Undo { one, to } => steering::ask(one, Action::Undo, to).await,
        RolloutCommand::Convert { one, to } => convert::run(one, to.into()).await,
    }
}

async fn list(
    cluster: ClusterArgs,
    all_namespaces: bool,
    output: Output,
) -> anyhow::Result<CommandOutcome> {
    let session = cluster.connect().await?;
    let api: Api<ServiceRollout> = if all_namespaces {
        Api::all(session.client.clone())
    } else {
        Api::namespaced(session.client.clone(), &session.namespace)
    };
    let found = api.list(&ListParams::default()).await;
    let mut rollouts = found.map_err(|error| session.explain(error))?.items;
    for rollout in &mut rollouts {
        rollout.metadata.managed_fields = None;
    }
    output::print(output, &rollouts, || {
        match (rollouts.is_empty(), all_namespaces) {
            (false, _) => telling::table(&rollouts),
            (true, true) => {
                "No service was delivered yet. Start with `sluice run --repo URL --path DIR`."
                    .to_owned()
            }
            (true, false) => format!(
                "No service was delivered in namespace {} yet; -A looks in all of them.",
                session.namespace
            ),
        }
    })?;
    Ok(CommandOutcome::Done)
}

async fn find(one: &One) -> anyhow::Result<(Session, Api<ServiceRollout>, ServiceRollout)> {
    let session = one.cluster.connect().await?;
    let api: Api<ServiceRollout> = Api::namespaced(session.client.clone(), &session.namespace);
    let found = api.get_opt(&one.service).await;
    let found = found.map_err(|error| session.explain(error))?;
    let mut rollout = found.with_context(|| {
        format!(
            "no service {} was delivered in namespace {}; `sluice rollout list -A` shows what there is",
            one.service, session.namespace
        )
    })?;
    rollout.metadata.managed_fields = None;
    Ok((session, api, rollout))
}

async fn get(one: One) -> anyhow::Result<CommandOutcome> {
    let (_, _, rollout) = find(&one).await?;
    output::print(one.output, &rollout, || telling::story(&rollout))?;
    Ok(CommandOutcome::Done)
}

async fn history(one: One) -> anyhow::Result<CommandOutcome> {
    let (_, _, rollout) = find(&one).await?;
    let past = rollout.status.clone().unwrap_or_default().history;
    output::print(one.output, &past, || telling::history(&rollout))?;
    Ok(CommandOutcome::Done)
}

/// Prints each change until the release rests; `Differs` when it was rolled back.
async fn watch(one: One) -> anyhow::Result<CommandOutcome> {
    let (session, api, _) = find(&one).await?;
    let mut last = String::new();
    watching::follow(
        &session,
        api,
        &one.service,
        |mut rollout: ServiceRollout| {
            rollout.metadata.managed_fields = None;
            let Some(status) = &rollout.status else {
                return Ok(ControlFlow::Continue(()));
            };
            let line = telling::line(status, Timestamp::now());
            if line != last {
                output::print_next(one.output, &rollout, || {
                    format!("{} {line}", Timestamp::now().strftime("%H:%M:%S"))
                })?;
                last = line;
            }
            Ok(match status.phase {
                Phase::Stable => ControlFlow::Break(CommandOutcome::Done),
                Phase::RolledBack | Phase::Failed => ControlFlow::Break(CommandOutcome::Differs),
                _ => ControlFlow::Continue(()),
            })
        },
    )
    .await
}
