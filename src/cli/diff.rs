//! `sluice diff PATH`: what delivering a folder would change, as a unified diff.

use std::path::PathBuf;

use anyhow::Context;
use kube::Api;
use tokio_util::sync::CancellationToken;

use super::connection::Session;
use super::output::{self, Output};
use super::{ClusterArgs, CommandOutcome, folder};
use crate::api::delivery::{Delivery, DeliverySpec};
use crate::api::serving;
use crate::cluster::{Cluster, WatchError};
use crate::manifest::{Loaded, ManifestError, Options};
use crate::plan::{self, Claims, DeliveryId, Input, LeftAlone, Why, diff};
use crate::render::{Destination, Rendered, render};

/// Which folder, and as which Delivery.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The folder that would be delivered
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The Delivery that it belongs to; its target, prune and inventory count
    #[arg(long, value_name = "NAME")]
    delivery: Option<String>,
    /// How to print: a unified diff, or the objects before and after
    #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Prints the diff; `Differs` when there is one, exit status 2 when a manifest is broken.
pub async fn run(args: DiffArgs) -> anyhow::Result<CommandOutcome> {
    let session = args.cluster.connect().await?;
    let delivery = match &args.delivery {
        Some(name) => find_delivery(&session, name).await?,
        None => Delivery::new("diff", DeliverySpec::default()),
    };
    let named = delivery.spec.target.namespace.as_ref();
    let target = named.unwrap_or(&session.namespace).clone();
    let loaded = folder::load(
        &args.path,
        &Options {
            namespace: target.clone(),
            ..Options::default()
        },
    )
    .with_context(|| format!("{} cannot be read", args.path.display()))?;
    // No cluster is needed to say so, and it may be far away.
    tell_broken(&loaded.errors);
    let stop = CancellationToken::new();
    let cluster = Cluster::over(session.client.clone(), stop.clone());
    look(&cluster, &loaded, &target)
        .await
        .map_err(|error| match error {
            WatchError::Unavailable(words) => session.unreachable(&words),
            error => error.into(),
        })?;
    let id = DeliveryId::new(
        &session.namespace,
        delivery.metadata.name.as_deref().unwrap_or_default(),
    );
    let to = Destination {
        namespace: target,
        expand: delivery.spec.target.expand,
        ..Destination::new(id)
    };
    let rendered = render(&loaded, to, &cluster);
    let plan = make_plan(&cluster, &delivery, &rendered);
    let differences = diff::differences(&plan, &cluster);
    stop.cancel();
    cluster.join().await;
    for notice in folder::notices(&rendered) {
        output::note(notice);
    }
    let dangling = rendered.dangling(plan.dangling());
    tell_broken(&dangling);
    let is_told = |left: &&LeftAlone| matches!(left.why, Why::Dangling(_));
    for left in plan.left.iter().filter(|left| !is_told(left)) {
        output::note(left);
    }
    for step in plan.steps.iter().filter(|step| step.takes_over()) {
        output::note(step);
    }
    print(args.output, &differences)?;
    let well = rendered.errors().is_empty() && dangling.is_empty();
    Ok(match (well, differences.is_empty()) {
        (false, _) => CommandOutcome::Broken,
        (true, false) => CommandOutcome::Differs,
        (true, true) => CommandOutcome::Done,
    })
}

fn tell_broken(errors: &[ManifestError]) {
    for error in errors {
        let broken = output::paint_note(output::Tone::Bad, "broken:");
        output::note(format_args!("{broken} {error}"));
    }
}

async fn find_delivery(session: &Session, name: &str) -> anyhow::Result<Delivery> {
    let namespace = &session.namespace;
    let api: Api<Delivery> = Api::namespaced(session.client.clone(), namespace);
    let found = api.get_opt(name).await;
    found
        .map_err(|error| session.explain(error))?
        .with_context(|| format!("there is no Delivery {name} in namespace {namespace}; `sluice status -A` shows what there is"))
}

fn print(format: Output, differences: &[diff::Difference]) -> anyhow::Result<()> {
    if format != Output::Table {
        let listed: Vec<Listed> = differences.iter().map(Listed::of).collect();
        return output::print(format, &listed, String::new);
    }
    let style = if output::colours() {
        diff::Style::Coloured
    } else {
        diff::Style::Plain
    };
    output::text(diff::render(differences, style))
}

/// A difference for programs; secrets are masked.
#[derive(serde::Serialize)]
struct Listed<'a> {
    object: String,
    origin: Option<&'a str>,
    before: Option<&'a serde_json::Value>,
    after: Option<&'a serde_json::Value>,
}

impl<'a> Listed<'a> {
    fn of(difference: &'a diff::Difference) -> Self {
        Self {
            object: difference.key.to_string(),
            origin: difference.origin.as_deref(),
            before: difference.before.as_ref(),
            after: difference.after.as_ref(),
        }
    }
}

/// Fills the caches with every kind that the folder has.
async fn look(cluster: &Cluster, loaded: &Loaded, namespace: &str) -> Result<(), WatchError> {
    let mut kinds = loaded.kinds();
    kinds.insert(("v1".to_owned(), "Namespace".to_owned()));
    for kind in ["Service", "Configuration", "Route", "Revision"] {
        kinds.insert((serving::API_VERSION.to_owned(), kind.to_owned()));
    }
    for (api_version, kind) in kinds {
        match cluster.watch(&api_version, &kind, Some(namespace)).await {
            // The plan says so of each object.
            Ok(()) | Err(WatchError::NoSuchKind { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn make_plan(cluster: &Cluster, delivery: &Delivery, rendered: &Rendered) -> plan::Plan {
    let status = delivery.status.clone().unwrap_or_default();
    plan::plan(&Input {
        rendered,
        inventory: &status.inventory,
        elsewhere: &Claims::default(),
        awaits: None,
        prune: delivery.spec.prune,
        drift: delivery.spec.drift,
        live: cluster,
    })
}
