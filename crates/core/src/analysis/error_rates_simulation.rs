//! How often a policy is wrong: releases by the thousand, of known error rates, judged by
//! the same functions that judge real ones.
//!
//! `cargo test -p sluicegate-core how_often -- --nocapture` prints the table of `docs/rollout.md`, and
//! fails where the table in the file is another one (with `UPDATE_EXPECT=1` it is written anew).

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::latency::{Bucket, Latencies};
use super::{
    Counts, Metrics, ProbeReport, ProbeRound, Verdict, Window, judge_probes, judge_window,
    wants_synthetic,
};
use crate::policy::{Policy, Step, preset};

/// Releases behind each figure: one in a thousand shows as twice.
const RELEASES: u32 = 2000;
/// Failed answers in percent, of good releases and of bad ones.
const RATES: [f64; 7] = [0.0, 0.1, 0.25, 0.5, 2.0, 5.0, 50.0];
/// A release that has no verdict after so many of its step timeouts is waiting for a person.
const PATIENCE: u32 = 4;

/// A stream of random numbers that is the same on every machine and for ever (SplitMix64).
struct Dice(u64);

impl Dice {
    /// Between 0 and 1, never 0.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// How many of `requests` fail when each does with chance `p`: from one failure to the
    /// next by the length of the gap between them.
    fn failures(&mut self, requests: u64, p: f64) -> u64 {
        if p <= 0.0 {
            return 0;
        }
        let (mut at, mut failed) = (0.0, 0);
        loop {
            at += (self.roll().ln() / (1.0 - p).ln()).floor() + 1.0;
            if at > requests as f64 {
                return failed;
            }
            failed += 1;
        }
    }

    fn probes(&mut self, count: u64, p: f64) -> ProbeRound {
        let report = |failed| ProbeReport {
            sent: count,
            failed,
            ..ProbeReport::default()
        };
        ProbeRound {
            revision: "hello-00002".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            candidate: report(self.failures(count, p)),
            stable: Some(report(0)),
            ..ProbeRound::default()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    LetIn,
    RolledBack,
    Waits,
}

/// One release: its end, and how many users met a failure on the way.
fn release(policy: &Policy, users: u64, p: f64, dice: &mut Dice) -> (End, u64) {
    let mut harmed = 0;
    match probed(policy, p, dice) {
        End::LetIn => {}
        end => return (end, 0),
    }
    for step in &policy.steps {
        match stepped(policy, step, users, p, dice, &mut harmed) {
            End::LetIn => {}
            end => return (end, harmed),
        }
    }
    (End::LetIn, harmed)
}

/// Rounds of probes, two seconds apart as the agent sends them.
fn probed(policy: &Policy, p: f64, dice: &mut Dice) -> End {
    let count = u64::from(policy.probes.count);
    let mut round = dice.probes(count, p);
    let rounds = (policy.step_timeout * PATIENCE).as_secs() / 2;
    for _ in 0..rounds {
        match judge_probes(policy, &round) {
            Verdict::Pass(_) => return End::LetIn,
            Verdict::Fail { .. } => return End::RolledBack,
            Verdict::Inconclusive(_) => round.add(dice.probes(count, p)),
        }
    }
    End::Waits
}

/// Answer times that nothing is wrong with: only errors tell.
fn all_quick(requests: u64) -> Latencies {
    Latencies::Buckets(vec![Bucket {
        over: 0.0,
        up_to: 25.0,
        count: requests,
    }])
}

/// One step, looked at once an interval.
fn stepped(
    policy: &Policy,
    step: &Step,
    users: u64,
    p: f64,
    dice: &mut Dice,
    harmed: &mut u64,
) -> End {
    let mut window = Window {
        revision: "hello-00002".to_owned(),
        weight: step.weight,
        since: Timestamp::UNIX_EPOCH,
        at: Timestamp::UNIX_EPOCH,
        elapsed: Duration::ZERO,
        metrics: Ok(Metrics::default()),
        synthetic: None,
    };
    let (mut failures, mut credit) = (0, 0.0);
    while window.elapsed < policy.step_timeout * PATIENCE {
        window.elapsed += policy.interval;
        let share = f64::from(step.weight) / 100.0;
        credit += users as f64 * policy.interval.as_secs_f64() * share;
        let requests = credit as u64;
        credit -= requests as f64;
        let failed = dice.failures(requests, p);
        *harmed += failed;
        let count = |known: &Counts| Counts {
            requests: known.requests + requests,
            errors: known.errors + failed,
            latencies: all_quick(known.requests + requests),
            times_lag: false,
        };
        window.metrics = window.metrics.map(|metrics| Metrics {
            candidate: count(&metrics.candidate),
            stable: Counts {
                requests: metrics.stable.requests + requests,
                ..Counts::default()
            },
        });
        let verdict = judge_window(policy, step, &window);
        match &verdict {
            Verdict::Pass(_) => return End::LetIn,
            Verdict::Fail { at_once: true, .. } => return End::RolledBack,
            Verdict::Fail { .. } => failures += 1,
            Verdict::Inconclusive(_) => {}
        }
        if failures >= policy.analysis.consecutive_failures {
            return End::RolledBack;
        }
        let count = u64::from(policy.analysis.synthetic_probes);
        if count > 0 && wants_synthetic(&verdict, &window, step) {
            let more = dice.probes(count, p);
            match &mut window.synthetic {
                Some(known) => known.add(more),
                None => window.synthetic = Some(more),
            }
        }
    }
    End::Waits
}

/// What came of many releases of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    let_in: u32,
    rolled_back: u32,
    waits: u32,
    harmed: u64,
}

impl Ends {
    fn of(policy: &Policy, users: u64, p: f64) -> Self {
        let mut dice = Dice((p * 1000.0) as u64 + users * 7919 + policy.name.len() as u64);
        let mut ends = Self::default();
        for _ in 0..RELEASES {
            let (end, harmed) = release(policy, users, p / 100.0, &mut dice);
            match end {
                End::LetIn => ends.let_in += 1,
                End::RolledBack => ends.rolled_back += 1,
                End::Waits => ends.waits += 1,
            }
            ends.harmed += harmed;
        }
        ends
    }

    fn share(count: u32) -> f64 {
        f64::from(count) * 100.0 / f64::from(RELEASES)
    }
}

impl std::fmt::Display for Ends {
    /// `98.2`, `98.2 (1.1 wait)`: the rest was rolled back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let figure = |share: f64| match share {
            0.0 => "0".to_owned(),
            100.0 => "100".to_owned(),
            share => format!("{share:.1}"),
        };
        f.write_str(&figure(Self::share(self.let_in)))?;
        if self.waits > 0 {
            write!(f, " ({} wait)", figure(Self::share(self.waits)))?;
        }
        Ok(())
    }
}

const PRESETS: [&str; 4] = ["standard", "cautious", "fast", "demo"];

fn table() -> String {
    let mut table = String::from("| let in, % of releases |");
    for rate in RATES {
        let _ = write!(table, " {rate} % errors |");
    }
    let _ = write!(
        table,
        " harmed at 5 % | harmed at 50 % |\n|---|{}\n",
        "---|".repeat(RATES.len() + 2)
    );
    for name in PRESETS {
        let policy = preset(name).unwrap();
        for (users, who) in [(20, "20 requests/s"), (0, "no users")] {
            let _ = write!(table, "| `{name}`, {who} |");
            let mut harmed = Vec::new();
            for rate in RATES {
                let ends = Ends::of(&policy, users, rate);
                let _ = write!(table, " {ends} |");
                if rate >= 5.0 {
                    harmed.push(ends.harmed as f64 / f64::from(RELEASES));
                }
            }
            for mean in harmed {
                let _ = write!(table, " {mean:.1} |");
            }
            table.push('\n');
        }
    }
    table
}

const BEGIN: &str = "<!-- how_often: begin -->\n";
const END: &str = "<!-- how_often: end -->";

#[test]
fn the_table_in_the_docs_is_what_these_policies_do() {
    let measured = table();
    println!("{measured}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rollout.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{measured}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, measured, "write it anew with UPDATE_EXPECT=1");
}

#[test]
fn a_release_within_half_of_the_limit_is_let_in_and_a_bad_one_is_not() {
    for name in PRESETS {
        let policy = preset(name).unwrap();
        let half = policy.analysis.max_error_rate / 2.0;
        for users in [20, 0] {
            let back = |rate| Ends::share(Ends::of(&policy, users, rate).rolled_back);
            let let_in = |rate| Ends::share(Ends::of(&policy, users, rate).let_in);
            assert_eq!(
                back(0.0),
                0.0,
                "{name}, {users}/s: nothing wrong, and rolled back"
            );
            assert!(
                back(0.1) <= 0.5,
                "{name}, {users}/s: {} of 0.1 %",
                back(0.1)
            );
            // A percent for each of at most six tests.
            assert!(
                back(half) <= 5.0,
                "{name}, {users}/s: {} of {half} %",
                back(half)
            );
            assert_eq!(
                let_in(50.0),
                0.0,
                "{name}, {users}/s: 50 % errors, and let in"
            );
            // A demonstration of 20 s is no judge.
            if name != "demo" {
                assert!(
                    let_in(5.0) <= 1.0,
                    "{name}, {users}/s: {} of 5 %",
                    let_in(5.0)
                );
                assert!(
                    let_in(2.0) <= 5.0,
                    "{name}, {users}/s: {} of 2 %",
                    let_in(2.0)
                );
            }
        }
    }
}
