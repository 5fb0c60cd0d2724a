//! How often a policy is wrong: releases of known faults by the thousand, decided by `decide` itself on simulated time.
//!
//! The faults are hidden from probes: what is measured is how users are judged. `SLUICE_RELEASES=1000 UPDATE_EXPECT=1 cargo
//! test --release -p sluicegate-core how_often -- --nocapture` writes the tables of `docs/rollout.md`.

use std::fmt::Write as _;

use super::world::{Chance, Shape, Start, World, good};
use crate::api::rollout::Phase;
use crate::policy::preset;

/// Nothing is wrong, at 20 requests a second.
const WELL: Shape = Shape {
    users: 20.0,
    errors: |_| 0.0,
    late: 0.0,
    fault: 0.0,
    slow: 0.0,
    start: Start::AtOnce,
    lasts: 0,
};

/// How releases of one kind ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    releases: u32,
    rolled_back: u32,
    held: u32,
    harmed: u64,
}

impl Ends {
    fn of(policy: &str, shape: Shape, releases: u32) -> Self {
        let mut ends = Self {
            releases,
            ..Self::default()
        };
        for seed in 0..releases {
            ends.add(policy, shape, seed);
        }
        ends
    }

    /// One release, until it is rolled back or serves and is watched no more, or is stuck.
    fn add(&mut self, policy: &str, shape: Shape, seed: u32) {
        let mut world = World::at_rest(policy);
        world.quiet = true;
        world.policy.watch = preset(policy).unwrap().watch;
        world.tick = world.policy.interval.as_secs().max(1);
        let chance = Chance::new(u64::from(seed) * 7919 + 17, shape);
        world.chance = Some(chance);
        world.has_had_users(60);
        world.commit("v2", good());
        let bakes: u64 = world.policy.steps.iter().map(|s| s.bake.as_secs()).sum();
        let patience = 4 * bakes + 1800;
        let began = world.second;
        loop {
            world.run(world.tick);
            match world.status.phase {
                Phase::RolledBack => {
                    self.rolled_back += 1;
                    break;
                }
                Phase::Stable if world.is_over("hello-00002") => break,
                _ if world.second - began > patience => {
                    self.held += 1;
                    break;
                }
                _ => {}
            }
        }
        self.harmed += world.harmed;
    }

    fn percent(&self, count: u32) -> String {
        match count {
            0 => "0".to_owned(),
            all if all == self.releases => "100".to_owned(),
            count => format!("{:.1}", f64::from(count) * 100.0 / f64::from(self.releases)),
        }
    }

    fn harmed(&self) -> f64 {
        self.harmed as f64 / f64::from(self.releases)
    }
}

type Row = (&'static str, Shape);

/// What is shared by both revisions, or is nothing at all.
const GOOD: [Row; 10] = [
    ("no errors", WELL),
    (
        "0.1 % errors of both",
        Shape {
            errors: |_| 0.001,
            ..WELL
        },
    ),
    (
        "1 % errors of both",
        Shape {
            errors: |_| 0.01,
            ..WELL
        },
    ),
    (
        "3 % errors of both",
        Shape {
            errors: |_| 0.03,
            ..WELL
        },
    ),
    (
        "0 to 2 % errors of both, drifting",
        Shape {
            errors: drifting,
            ..WELL
        },
    ),
    (
        "both out for 3 s",
        Shape {
            errors: outage,
            ..WELL
        },
    ),
    ("1 % late answers of both", Shape { late: 0.01, ..WELL }),
    ("5 % late answers of both", Shape { late: 0.05, ..WELL }),
    ("no errors, 1 request/s", Shape { users: 1.0, ..WELL }),
    (
        "no errors, 1 request a minute",
        Shape {
            users: 1.0 / 60.0,
            ..WELL
        },
    ),
];

fn drifting(second: u64) -> f64 {
    0.01 * (1.0 + (second as f64 / 20.0).sin())
}

/// Three seconds in the midst of the first step; a tick may be longer.
fn outage(second: u64) -> f64 {
    if (150..165).contains(&second) {
        0.18
    } else if (14..17).contains(&second) {
        0.9
    } else {
        0.001
    }
}

const FAULTS: [(&str, f64, f64); 6] = [
    ("100 % errors", 1.0, 0.0),
    ("50 % errors", 0.5, 0.0),
    ("5 % errors", 0.05, 0.0),
    ("2 % errors", 0.02, 0.0),
    ("5 % late answers", 0.0, 0.05),
    ("2 % late answers", 0.0, 0.02),
];

const STARTS: [(&str, Start); 3] = [
    ("from the start", Start::AtOnce),
    ("in mid-bake", Start::InBake(0.6)),
    ("after promotion", Start::AfterPromotion(20)),
];

const POLICIES: [&str; 2] = ["fast", "standard"];

fn good_releases(releases: u32) -> Vec<(&'static str, Vec<Ends>)> {
    let rows = GOOD.into_iter();
    rows.map(|(name, shape)| (name, by_policy(shape, releases)))
        .collect()
}

fn by_policy(shape: Shape, releases: u32) -> Vec<Ends> {
    let ends = POLICIES.map(|policy| Ends::of(policy, shape, releases));
    ends.to_vec()
}

fn bad_releases(releases: u32) -> Vec<(String, Vec<Ends>)> {
    let mut rows = Vec::new();
    for (fault, errors, slow) in FAULTS {
        for (when, start) in STARTS {
            let shape = Shape {
                errors: |_| 0.001,
                fault: errors,
                slow,
                start,
                ..WELL
            };
            rows.push((format!("{fault} {when}"), by_policy(shape, releases)));
        }
    }
    rows
}

fn tables(releases: u32) -> String {
    let mut text = String::from(
        "| good releases | rolled back, `fast` | held | rolled back, `standard` | held |\n|---|---|---|---|---|\n",
    );
    for (name, ends) in good_releases(releases) {
        let _ = write!(text, "| {name} |");
        for ends in ends {
            let (back, held) = (ends.percent(ends.rolled_back), ends.percent(ends.held));
            let _ = write!(text, " {back} % | {held} % |");
        }
        text.push('\n');
    }
    text += "\n| bad releases (stable fails 0.1 %) | rolled back, `fast` | harmed | rolled back, `standard` | harmed |\n|---|---|---|---|---|\n";
    for (name, ends) in bad_releases(releases) {
        let _ = write!(text, "| {name} |");
        for ends in ends {
            let back = ends.percent(ends.rolled_back);
            let _ = write!(text, " {back} % | {:.1} |", ends.harmed());
        }
        text.push('\n');
    }
    text
}

const BEGIN: &str = "<!-- how_often: begin -->\n";
const END: &str = "<!-- how_often: end -->";

/// Writes the tables of the documentation where it is asked for so many releases, and else checks a few.
#[test]
fn how_often_a_policy_is_wrong() {
    let asked = std::env::var("SLUICE_RELEASES").ok();
    if let Some(releases) = asked.and_then(|n| n.parse().ok()) {
        let measured = tables(releases);
        println!("{measured}");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rollout.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{measured}{END}{after}")).unwrap();
        }
        return;
    }
    for (name, ends) in good_releases(FEW) {
        for (policy, ends) in POLICIES.iter().zip(ends) {
            assert!(ends.rolled_back <= 1, "{name}, {policy}: {ends:?}");
            assert_eq!(ends.held, 0, "{name}, {policy}");
        }
    }
    for (name, ends) in bad_releases(FEW) {
        let [fast, standard] = ends.as_slice() else {
            panic!("one of each policy");
        };
        assert_eq!(standard.rolled_back, FEW, "{name}, standard");
        // A minute is too short for a few late answers, and for one error in fifty.
        if !name.contains("2 %") && !name.contains("late") {
            assert_eq!(fast.rolled_back, FEW, "{name}, fast");
            // Once it has everybody, each second costs twenty of them.
            let most = if name.contains("promotion") {
                60.0
            } else {
                10.0
            };
            assert!(fast.harmed() < most, "{name}, fast: {fast:?}");
        }
    }
}

/// Releases of each kind that every run of the tests goes through.
const FEW: u32 = 8;
