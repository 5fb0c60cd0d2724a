//! `sluice validate PATH`: what is wrong with the manifests of a folder; needs no cluster.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use super::output::{self, Output};
use super::run::ExpandArg;
use super::{CommandOutcome, folder};
use crate::manifest::{Excerpt, Options};
use crate::plan::DeliveryId;
use crate::render::{Destination, NoCluster, render};

/// Which folder, and how to print.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// A folder or a file
    path: PathBuf,
    /// The namespace of objects that name none
    #[arg(long, short = 'n', value_name = "NAME", default_value = "default")]
    namespace: String,
    /// What a Service manifest is delivered as: its Delivery's spec.target.expand
    #[arg(long, value_name = "KIND", default_value = "service")]
    expand: ExpandArg,
    /// How to print
    #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
    output: Output,
}

#[derive(serde::Serialize)]
struct Report {
    objects: usize,
    errors: Vec<String>,
    notices: Vec<String>,
}

/// Prints every error with its place; exit status 2 when there is one.
pub fn run(args: ValidateArgs) -> anyhow::Result<CommandOutcome> {
    let options = Options {
        namespace: args.namespace.clone(),
        ..Options::default()
    };
    let loaded = folder::load(&args.path, &options)
        .with_context(|| format!("{} cannot be read", args.path.display()))?;
    let mut loaded = Arc::unwrap_or_clone(loaded);
    loaded.refuse_dangling(args.expand.into(), &options.namespace);
    let to = Destination::new(DeliveryId::new(args.namespace, "validate"));
    let rendered = render(&Arc::new(loaded), to, &NoCluster);
    let errors = rendered.errors();
    let notices = folder::notices(&rendered);
    let notices = notices.iter().map(ToString::to_string);
    let notes = rendered.notes().iter().map(ToString::to_string);
    let report = Report {
        objects: rendered.objects().len(),
        errors: errors.iter().map(ToString::to_string).collect(),
        notices: notices.chain(notes).collect(),
    };
    output::print(args.output, &report, || {
        let mut text = String::new();
        for error in errors {
            text.push_str(&format!(
                "{:?}\n",
                miette::Report::new(Excerpt::of(error.clone()))
            ));
        }
        for notice in &report.notices {
            text.push_str(&format!("note: {notice}\n"));
        }
        text.push_str(&format!(
            "{}, {}\n",
            output::count(report.objects, "object"),
            output::count(report.errors.len(), "error")
        ));
        text
    })?;
    if report.errors.is_empty() {
        Ok(CommandOutcome::Done)
    } else {
        Ok(CommandOutcome::Broken)
    }
}
