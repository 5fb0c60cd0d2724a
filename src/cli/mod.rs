//! Holds the command line, one file a command; the only code that prints.
//!
//! Exit status: 0 nothing to do or done, 1 differences (`diff`) or a release that
//! did not end well (`sync --wait`, `demo --exit`), 2 an error.

mod completions;
mod connection;
#[cfg(feature = "local")]
mod demo;
mod diff;
mod folder;
#[cfg(feature = "local")]
mod hidden;
#[cfg(feature = "local")]
mod local;
mod memory;
mod output;
mod rollout;
mod run;
mod shutdown;
mod status;
mod sync;
mod validate;
mod watching;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use connection::ClusterArgs;

/// Delivers Knative Services from Git, a few percent of traffic at a time, and takes a bad
/// release back by itself.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole main job on this machine, with real requests, told as it happens
    #[cfg(feature = "local")]
    Demo(demo::DemoArgs),
    /// The embedded cluster
    #[cfg(feature = "local")]
    Local(local::LocalArgs),
    /// Run the agent on a cluster
    Run(Box<run::RunArgs>),
    /// Where every delivery and service stands
    Status(status::StatusArgs),
    /// Look at releases and steer them
    Rollout(rollout::RolloutArgs),
    /// Have a repository looked at now
    Sync(sync::SyncArgs),
    /// What delivering a folder would change, as a diff
    Diff(diff::DiffArgs),
    /// What is wrong with the manifests of a folder; needs no cluster
    Validate(validate::ValidateArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// What is logged where nothing is asked for: the demo tells the same story on standard output.
    fn default_log(&self) -> &'static str {
        match self {
            #[cfg(feature = "local")]
            Self::Demo(_) => "error",
            // What the client of the API says of a lost connection is said in our own words.
            Self::Run(_) => "info,kube_client=off",
            _ => "warn,kube_client=off,kube_runtime=off",
        }
    }

    /// Whether the process stays beside what it runs or delivers.
    #[cfg(feature = "local")]
    fn stays(&self) -> bool {
        matches!(self, Self::Demo(_) | Self::Local(_) | Self::Run(_))
    }
}

/// How the program's own log is written (to standard error).
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log")]
struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or a filter such as `sluice::agent=debug`
    #[arg(long, global = true, env = "SLUICE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How: `text` for people, `json` for machines
    #[arg(
        long,
        global = true,
        env = "SLUICE_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommandOutcome {
    /// Nothing to do, or done.
    Done,
    /// There are differences, or the release did not end well.
    Differs,
    /// Manifests are broken; each was said.
    Broken,
}

/// Runs the command line and gives the process's exit status.
pub fn main() -> ExitCode {
    #[cfg(feature = "local")]
    if let Some(status) = hidden::dispatch(&std::env::args_os().collect::<Vec<_>>()) {
        return status;
    }
    let cli = Cli::parse();
    if let Err(error) = start_log(&cli.log, cli.command.default_log()) {
        return failed(&error);
    }
    #[cfg(feature = "local")]
    if cli.command.stays() {
        // An app of the local cluster is a process of the same user.
        crate::local::privacy::hide_this_process();
    }
    if matches!(cli.command, Command::Run(_)) {
        memory::share_one_arena();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&anyhow::Error::from(error).context("the async runtime cannot start"));
        }
    };
    let result = runtime.block_on(run(cli.command));
    // A blocking Git call that hangs must not keep a finished command alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(CommandOutcome::Done) => ExitCode::SUCCESS,
        Ok(CommandOutcome::Differs) => ExitCode::from(1),
        Ok(CommandOutcome::Broken) => ExitCode::from(2),
        // Whoever read it has seen enough.
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<CommandOutcome> {
    match command {
        #[cfg(feature = "local")]
        Command::Demo(args) => demo::run(args).await,
        #[cfg(feature = "local")]
        Command::Local(args) => local::run(args).await,
        Command::Run(args) => run::run(*args).await,
        Command::Sync(args) => sync::run(args).await,
        Command::Diff(args) => diff::run(args).await,
        Command::Validate(args) => validate::run(args),
        Command::Status(args) => status::run(args).await,
        Command::Rollout(args) => rollout::run(args).await,
        Command::Completions(args) => completions::run(args),
    }
}

fn start_log(args: &LogArgs, default: &str) -> anyhow::Result<()> {
    use tracing_subscriber::EnvFilter;
    let asked = args.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(asked).with_context(|| {
        format!("--log {asked:?} is neither a level (error, warn, info, debug, trace) nor a filter")
    })?;
    // It logs answers that it cannot decode as they came, and what an API server says of an
    // object that it refuses: there may be secrets in both.
    let filter = filter.add_directive("kube_client::client=off".parse()?);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colours_notes())
        .with_target(false);
    // A second start in one process (tests) keeps the first logger.
    let _ = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Prints an error with its causes and gives exit status 2.
fn failed(error: &anyhow::Error) -> ExitCode {
    let text = with_causes(error);
    let error = output::paint_note(output::Tone::Bad, "error:");
    output::note(format_args!("{error} {text}"));
    ExitCode::from(2)
}

/// An error with its causes, each once.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
