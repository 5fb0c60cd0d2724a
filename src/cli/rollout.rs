//! `sluice rollout ...`: look at releases and steer them.
//!
//! Steering is a write to the Rollout's spec; the agent answers in its status,
//! and the command waits for that answer.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::connection::explain;
use super::output::{self, Output, Tone, paint};
use super::{ClusterArgs, Outcome};
use crate::api::rollout::{Action, Phase, Release, Rollout};

/// How long a steering command waits for the agent's answer.
const ANSWER: Duration = Duration::from_secs(30);

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
    /// Follow one service's release until it is at rest
    Watch(One),
    /// Past releases and how they ended
    History(One),
    /// Hold where it is; a rollback still happens
    Pause(One),
    /// Go on after a pause
    Resume(One),
    /// Go to 100 % now, past an approval or the remaining steps
    Promote(One),
    /// Take the candidate back and keep its template out
    Abort(One),
    /// Try a quarantined template again
    Retry(One),
    /// Put an earlier revision back to 100 %
    Undo {
        #[command(flatten)]
        one: One,
        /// Which revision; the one before the present when absent
        #[arg(long, value_name = "REVISION")]
        to: Option<String>,
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
pub async fn run(args: RolloutArgs) -> anyhow::Result<Outcome> {
    match args.command {
        RolloutCommand::List {
            cluster,
            all_namespaces,
            output,
        } => list(cluster, all_namespaces, output).await,
        RolloutCommand::Get(one) => print_one(one, story).await,
        RolloutCommand::History(one) => print_one(one, history).await,
        RolloutCommand::Watch(one) => follow(one).await,
        RolloutCommand::Pause(one) => pause(one, true).await,
        RolloutCommand::Resume(one) => pause(one, false).await,
        RolloutCommand::Promote(one) => ask(one, Action::Promote, None).await,
        RolloutCommand::Abort(one) => ask(one, Action::Abort, None).await,
        RolloutCommand::Retry(one) => ask(one, Action::Retry, None).await,
        RolloutCommand::Undo { one, to } => ask(one, Action::Undo, to).await,
    }
}

async fn list(
    cluster: ClusterArgs,
    all_namespaces: bool,
    output: Output,
) -> anyhow::Result<Outcome> {
    let (client, namespace) = cluster.connect().await?;
    let api: Api<Rollout> = if all_namespaces {
        Api::all(client)
    } else {
        Api::namespaced(client, &namespace)
    };
    let mut rollouts = api
        .list(&ListParams::default())
        .await
        .map_err(explain)?
        .items;
    for rollout in &mut rollouts {
        rollout.metadata.managed_fields = None;
    }
    output::print(output, &rollouts, || {
        if rollouts.is_empty() {
            "No service was delivered here yet.".to_owned()
        } else {
            table(&rollouts)
        }
    })?;
    Ok(Outcome::Done)
}

/// One line a service.
pub fn table(rollouts: &[Rollout]) -> String {
    let rows = rollouts
        .iter()
        .map(|rollout| {
            let status = rollout.status.clone().unwrap_or_default();
            vec![
                format!(
                    "{}/{}",
                    rollout.namespace().unwrap_or_default(),
                    rollout.name_any()
                ),
                paint(tone(status.phase), &format!("{:?}", status.phase)),
                format!("{} %", status.weight),
                revision(status.stable.as_ref()),
                revision(status.candidate.as_ref()),
                status.message,
            ]
        })
        .collect();
    output::columns(
        &[
            "SERVICE",
            "PHASE",
            "WEIGHT",
            "STABLE",
            "CANDIDATE",
            "MESSAGE",
        ],
        rows,
    )
}

fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Stable => Tone::Good,
        Phase::RolledBack | Phase::RollingBack | Phase::Failed => Tone::Bad,
        _ => Tone::Busy,
    }
}

fn revision(release: Option<&Release>) -> String {
    release
        .and_then(|r| r.revision.clone())
        .unwrap_or_else(|| "-".to_owned())
}

async fn find(one: &One) -> anyhow::Result<(Api<Rollout>, Rollout)> {
    let (client, namespace) = one.cluster.connect().await?;
    let api: Api<Rollout> = Api::namespaced(client, &namespace);
    let rollout = api.get_opt(&one.service).await.map_err(explain)?.with_context(|| {
        format!(
            "no service {} was delivered in namespace {namespace}; `sluice rollout list -A` shows what there is",
            one.service
        )
    })?;
    Ok((api, rollout))
}

async fn print_one(one: One, table: fn(&Rollout) -> String) -> anyhow::Result<Outcome> {
    let (_, mut rollout) = find(&one).await?;
    rollout.metadata.managed_fields = None;
    output::print(one.output, &rollout, || table(&rollout))?;
    Ok(Outcome::Done)
}

fn story(rollout: &Rollout) -> String {
    let status = rollout.status.clone().unwrap_or_default();
    let mut lines = vec![
        format!(
            "Service    {}/{}",
            rollout.namespace().unwrap_or_default(),
            rollout.name_any()
        ),
        format!(
            "Phase      {}",
            paint(tone(status.phase), &format!("{:?}", status.phase))
        ),
        format!("Stable     {}", release(status.stable.as_ref())),
        format!(
            "Candidate  {} at {} %",
            release(status.candidate.as_ref()),
            status.weight
        ),
        format!("Message    {}", status.message),
    ];
    if rollout.spec.paused {
        lines.push("Paused     yes; `sluice rollout resume` goes on".to_owned());
    }
    if !status.evidence.is_empty() {
        lines.push(String::new());
        let rows = status.evidence.iter().map(|e| {
            vec![
                format!("{} %", e.weight),
                e.at.to_string(),
                e.verdict.to_string(),
                e.source.to_string(),
                e.reason.clone(),
            ]
        });
        lines.push(output::columns(
            &["WEIGHT", "AT", "VERDICT", "SOURCE", "EVIDENCE"],
            rows.collect(),
        ));
    }
    for quarantined in &status.quarantine {
        lines.push(format!(
            "Quarantined: template {} ({}) since {}: {}",
            quarantined.template_hash,
            quarantined.revision.as_deref().unwrap_or("no revision"),
            quarantined.since,
            quarantined.reason
        ));
    }
    lines.join("\n")
}

fn release(release: Option<&Release>) -> String {
    let Some(release) = release else {
        return "-".to_owned();
    };
    let commit = release
        .commit
        .as_ref()
        .map(|_| format!(" from {}", output::short(release.commit.as_ref())));
    let subject = release.subject.as_ref().map(|s| format!(" {s:?}"));
    format!(
        "{}{}{}",
        revision(Some(release)),
        commit.unwrap_or_default(),
        subject.unwrap_or_default()
    )
}

fn history(rollout: &Rollout) -> String {
    let status = rollout.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let rows = status
        .history
        .iter()
        .map(|entry| {
            vec![
                output::ago(entry.ended_at, now),
                entry.outcome.to_string(),
                revision(Some(&entry.release)),
                output::short(entry.release.commit.as_ref()),
                format!("{} %", entry.weight),
                entry.reason.clone(),
            ]
        })
        .collect();
    output::columns(
        &["AGO", "OUTCOME", "REVISION", "COMMIT", "REACHED", "REASON"],
        rows,
    )
}

/// Prints each change of the message until the release rests; `Differs` when it was taken back.
async fn follow(one: One) -> anyhow::Result<Outcome> {
    let (api, _) = find(&one).await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={}", one.service));
    let mut changes = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
    let mut last = String::new();
    while let Some(rollout) = changes.try_next().await? {
        let Some(status) = rollout.status else {
            continue;
        };
        let line = format!(
            "{:>3} %  {:<12} {}",
            status.weight,
            format!("{:?}", status.phase),
            status.message
        );
        if line != last {
            println!("{} {line}", Timestamp::now().strftime("%H:%M:%S"));
            last = line;
        }
        match status.phase {
            Phase::Stable => return Ok(Outcome::Done),
            Phase::RolledBack | Phase::Failed => return Ok(Outcome::Differs),
            _ => {}
        }
    }
    bail!("the watch on rollout {} ended", one.service)
}

async fn pause(one: One, paused: bool) -> anyhow::Result<Outcome> {
    let (api, _) = find(&one).await?;
    patch(&api, &one.service, json!({"spec": {"paused": paused}})).await?;
    println!(
        "rollout {} {}",
        one.service,
        if paused { "paused" } else { "resumed" }
    );
    Ok(Outcome::Done)
}

async fn patch(
    api: &Api<Rollout>,
    name: &str,
    change: serde_json::Value,
) -> anyhow::Result<Rollout> {
    let params = PatchParams {
        field_manager: Some("sluice-cli".to_owned()),
        ..Default::default()
    };
    api.patch(name, &params, &Patch::Merge(change))
        .await
        .map_err(explain)
}

/// Writes the request and waits until the agent has carried it out or refused it.
async fn ask(one: One, action: Action, revision: Option<String>) -> anyhow::Result<Outcome> {
    let (api, _) = find(&one).await?;
    let id = uuid::Uuid::new_v4().to_string();
    let by = std::env::var("USER").ok();
    let request = json!({"id": id, "action": action, "revision": revision, "by": by});
    patch(&api, &one.service, json!({"spec": {"request": request}})).await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={}", one.service));
    let mut changes = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
    let answer = async {
        while let Some(rollout) = changes.try_next().await? {
            if let Some(status) = rollout
                .status
                .filter(|s| s.handled_request.as_deref() == Some(id.as_str()))
            {
                return Ok(status);
            }
        }
        bail!("the watch on rollout {} ended", one.service)
    };
    let status = tokio::time::timeout(ANSWER, answer).await.map_err(|_| {
        anyhow::anyhow!(
            "the request is written, but no agent answered within {} s; is one running? (`sluice status`)",
            ANSWER.as_secs()
        )
    })??;
    println!(
        "{} {}: {}",
        one.service,
        paint(tone(status.phase), &format!("{:?}", status.phase)),
        status.message
    );
    Ok(Outcome::Done)
}
