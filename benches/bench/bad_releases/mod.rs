//! Bad releases under 20 requests a second, open loop, beside what Flagger made of them.
//!
//! Time 0 is the end of `git push`; the agent looks at the repository once a second. A request
//! is harmed when its answer is not 200 or takes more than 500 ms. Each release is tried as a
//! service of its own; the services of one round run side by side, begun one after the other.
//!
//! Users see a release only after probes of its own URL. Where a manifest has no readiness
//! path they ask for `/`, as users do, and see what users would. The rows "hidden from probes"
//! have a readiness path that is always well: there the users' own answers are all that tells.

mod faults;
mod trial;

use std::time::Duration;

use crate::fixture::Fixture;
use crate::releases::Releases;
use crate::table;
use faults::{FAULTS, Fault, flagger_without_users};
use trial::{Ended, Trial};

/// Between the starts of two releases of one round.
const APART: Duration = Duration::from_millis(1500);

/// How it is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often each release is tried
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only releases of these names
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print each trial's story
    #[arg(long)]
    verbose: bool,
}

/// How a release is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// Users ask, and probes ask for the same path.
    ByUsers,
    /// Users ask; probes are shown a path that is always well.
    HiddenFromProbes,
    /// Nobody asks.
    WithoutUsers,
}

/// Runs all of it and prints the tables.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Fixture::start(&[]).await?;
    trial::policies(&stage).await?;
    let agent = stage.agent(&["--policy", "fast", "--interval", "1s"])?;
    let releases = Releases::follow(stage.client.clone());
    let asked: Vec<&Fault> = FAULTS
        .iter()
        .filter(|fault| options.only.is_empty() || options.only.iter().any(|n| n == fault.name))
        .collect();
    let kinds: Vec<(&Fault, Watched)> = [
        Watched::ByUsers,
        Watched::HiddenFromProbes,
        Watched::WithoutUsers,
    ]
    .into_iter()
    .flat_map(|watched| asked.iter().map(move |fault| (*fault, watched)))
    .filter(|(fault, watched)| match watched {
        Watched::HiddenFromProbes => fault.can_hide,
        Watched::ByUsers | Watched::WithoutUsers => fault.flagger.is_some(),
    })
    .collect();

    let mut ended: Vec<Vec<Ended>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.runs {
        eprintln!(
            "round {round} of {}: {} releases",
            options.runs,
            kinds.len()
        );
        let trials: Vec<Trial> = kinds
            .iter()
            .map(|(fault, watched)| Trial::new(fault, *watched, round))
            .collect();
        trial::open(&stage, &releases, &trials).await?;
        let running = trials.iter().enumerate().map(|(number, trial)| {
            let wait = APART * u32::try_from(number).unwrap_or_default();
            trial.run(&stage, &releases, wait)
        });
        for (ended, one) in ended
            .iter_mut()
            .zip(futures::future::try_join_all(running).await?)
        {
            if options.verbose {
                eprintln!("{}", one.story);
            }
            ended.push(one);
        }
    }
    let rows = |watched: Watched| {
        let of_it = kinds.iter().zip(&ended);
        of_it
            .filter(move |((_, w), _)| *w == watched)
            .map(|((fault, _), ended)| (*fault, ended.as_slice()))
            .collect::<Vec<_>>()
    };
    println!(
        "\n20 requests/s, policy `fast`, {} runs each:\n",
        options.runs
    );
    println!("{}", under_users(&rows(Watched::ByUsers)));
    println!("The same, hidden from probes (the readiness path is always well):\n");
    println!("{}", under_users(&rows(Watched::HiddenFromProbes)));
    println!("Without users:\n");
    println!("{}", without_users(&rows(Watched::WithoutUsers)));
    let stable: Vec<f64> = ended
        .iter()
        .flatten()
        .filter_map(|one| one.stable_p99)
        .map(|time| time.as_secs_f64() * 1000.0)
        .collect();
    println!(
        "p99 of the stable revisions' answers meanwhile: {} (were it near 500 ms, the machine would be measured).",
        table::range(&stable, " ms")
    );
    agent.end().await?;
    stage.end().await
}

fn under_users(rows: &[(&Fault, &[Ended])]) -> String {
    let header = [
        "release",
        "first exposed",
        "harmed",
        "of requests",
        "end",
        "how",
        "Flagger: harmed",
        "Flagger: end",
        "harmed, ratio",
        "time, ratio",
        "bar",
    ];
    let line = |(fault, ended): &(&Fault, &[Ended])| {
        let of = |value: fn(&Ended) -> f64| ended.iter().map(value).collect::<Vec<f64>>();
        let harmed = of(|one| one.harmed as f64);
        let end = times(ended);
        let exposed: Vec<f64> = ended
            .iter()
            .filter_map(|one| one.exposed)
            .map(|time| time.as_secs_f64())
            .collect();
        let middle = |(least, most): (f64, f64)| f64::midpoint(least, most);
        let flagger = fault.flagger.as_ref();
        let ratio = |ours: &[f64], theirs: Option<(f64, f64)>| {
            let theirs = middle(theirs?);
            (theirs > 0.0).then(|| table::mean(ours) / theirs)
        };
        let (harmed_ratio, time_ratio) = (
            ratio(&harmed, flagger.and_then(|flagger| flagger.harmed)),
            ratio(&end, flagger.and_then(|flagger| flagger.end)),
        );
        let holds = |ratio: Option<f64>| ratio.is_none_or(|ratio| ratio <= fault.bar);
        let stuck = ended.iter().any(|one| one.end.is_none());
        let as_told = ended.iter().all(|one| one.as_it_should_be);
        let say = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        vec![
            fault.words.to_owned(),
            if exposed.is_empty() {
                "never".to_owned()
            } else {
                format!(
                    "{} ({} of {})",
                    table::range(&exposed, " s"),
                    exposed.len(),
                    ended.len()
                )
            },
            table::range(&harmed, ""),
            table::range(&of(|one| one.requests as f64), ""),
            table::range(&end, " s"),
            how(ended),
            flagger
                .and_then(|flagger| flagger.harmed)
                .map_or("-".to_owned(), |(a, b)| table::range(&[a, b], "")),
            match flagger.map(|flagger| (flagger.end, flagger.words)) {
                Some((Some((a, b)), words)) => {
                    format!("{}, {words}", table::range(&[a, b], " s"))
                }
                Some((None, words)) => format!("**{words}**"),
                None => "not measured".to_owned(),
            },
            say(harmed_ratio),
            say(time_ratio),
            if stuck {
                "**stuck**".to_owned()
            } else if !as_told {
                "**wrong end**".to_owned()
            } else if flagger.is_none() {
                "-".to_owned()
            } else if holds(harmed_ratio) && holds(time_ratio) {
                format!("{:.2}: held", fault.bar)
            } else {
                format!("{:.2}: **missed**", fault.bar)
            },
        ]
    };
    table::markdown(&header, rows.iter().map(line).collect())
}

fn without_users(rows: &[(&Fault, &[Ended])]) -> String {
    let header = ["release", "end", "how", "Flagger"];
    let line = |(fault, ended): &(&Fault, &[Ended])| {
        vec![
            fault.words.to_owned(),
            table::range(&times(ended), " s"),
            how(ended),
            flagger_without_users(fault).to_owned(),
        ]
    };
    table::markdown(&header, rows.iter().map(line).collect())
}

/// From push to end, in seconds, of those that came to one.
fn times(ended: &[Ended]) -> Vec<f64> {
    ended
        .iter()
        .filter_map(|one| one.end)
        .map(|end| end.as_secs_f64())
        .collect()
}

/// How they ended, each way once, the most frequent first.
fn how(ended: &[Ended]) -> String {
    let mut ways: Vec<(&str, usize)> = Vec::new();
    for one in ended {
        match ways.iter_mut().find(|(way, _)| *way == one.how) {
            Some((_, count)) => *count += 1,
            None => ways.push((&one.how, 1)),
        }
    }
    ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match ways.as_slice() {
        [(way, _)] => (*way).to_owned(),
        several => several
            .iter()
            .map(|(way, count)| format!("{way} ({count})"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
