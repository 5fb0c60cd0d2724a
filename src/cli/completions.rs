//! `sluice completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, CommandOutcome, output};

/// Which shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: CompletionsArgs) -> anyhow::Result<CommandOutcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sluice", &mut script);
    output::text(String::from_utf8_lossy(&script))?;
    Ok(CommandOutcome::Done)
}
