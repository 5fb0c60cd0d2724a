//! `sluice completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Which shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: CompletionsArgs) -> anyhow::Result<Outcome> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "sluice",
        &mut std::io::stdout(),
    );
    Ok(Outcome::Done)
}
