//! What the issue calls "Measured": each benchmark compares in one run, and prints a table.
//!
//! ```sh
//! cargo bench --bench bench -- bad_releases --runs 3
//! ```
//!
//! Real parts only: `sluice local up` and `sluice run` as processes of their own, a Git
//! repository that is pushed to, requests through the gateway. `docs/benchmarks.md` has what
//! was seen.

mod appliers;
mod bad_releases;
mod fixture;
mod gateway;
mod process;
mod push;
mod releases;
#[path = "../../tests/suite/harness/repository.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "the scenarios' own; a team whose git fails has nothing to measure"
)]
mod repository;
#[path = "../../tests/suite/harness/still.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the conformance stories' own; without a bed there is nothing to measure"
)]
mod still;
mod table;
mod thousand;
#[path = "../../tests/suite/harness/users.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "the scenarios' own; their answers are what is measured"
)]
mod users;

use std::process::ExitCode;

use clap::Parser;

/// Benchmarks of Sluice; all of them where none is named.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench bench --")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// What `cargo bench` adds.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Benchmark {
    /// Services by Sluice, kapp and kubectl on a test bed: time, requests, memory
    Appliers(appliers::Options),
    /// Bad releases under users, beside Flagger's figures: who is harmed, and for how long
    #[command(name = "bad_releases")]
    BadReleases(bad_releases::Options),
    /// The gateway beside the app asked directly
    Gateway(gateway::Options),
    /// From a push to the first answer and to 100 %: where the time goes
    Push(push::Options),
    /// What the benchmark of the gateway calls on itself
    #[command(hide = true)]
    Load(gateway::generator::Load),
    /// A thousand Services in one repository: time, requests, CPU and memory of a sync
    Thousand(thousand::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Benchmark::Load(load) = &arguments.benchmark {
        return ended(load.run());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the async runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    ended(runtime.block_on(async {
        match arguments.benchmark {
            Benchmark::Appliers(options) => appliers::run(&options).await,
            Benchmark::BadReleases(options) => bad_releases::run(&options).await,
            Benchmark::Gateway(options) => gateway::run(&options).await,
            Benchmark::Push(options) => push::run(&options).await,
            Benchmark::Load(load) => load.run(),
            Benchmark::Thousand(options) => thousand::run(&options).await,
        }
    }))
}

fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
