//! How like Kubernetes the embedded API server is: the same random requests go to both, and what comes
//! back is compared, word for word. `make conformance` tells it on a bed of its own, since the controllers
//! there have to stand still; `make test` tells a share of it after its stories.
//!
//! One case is one request whose two answers were compared. A sequence of cases is a pure function of
//! `SLUICE_CONFORMANCE_SEED` and its number; `SLUICE_CONFORMANCE_CASES` is how many cases each area compares.
//! A difference is made as small as it goes and shown with its requests, unless it is in the list of
//! `docs/conformance.md`, whose names are those of [`known`].

mod admission;
mod chance;
mod changing;
mod compare;
mod crossing;
mod defining;
mod fixture;
mod generate;
mod kinds;
mod known;
mod normalise;
mod reading;
mod reconcile;
mod schemas;
mod shape;
mod shrink;
mod side;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use chance::Chance;
use fixture::Fixture;
use kinds::Kind;
use side::Answer;
use step::Step;

use crate::harness::real;

/// How many sequences go on side by side, each in a namespace of its own.
const LANES: u64 = 4;
/// No more differences than this are told at once.
const TOLD: usize = 25;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
}

/// So many requests may make the real one panic; the sequence ends with each.
const UNANSWERED: usize = 50;
/// No request takes longer, not even one for a version that is yet to come.
const LONGEST: Duration = Duration::from_secs(20);
/// A difference is not made smaller for longer.
const SHRINKING: Duration = Duration::from_secs(4);

/// What an area sends.
struct Area {
    kinds: &'static [&'static Kind],
    sequence: fn(&[&Kind], &mut Chance) -> Vec<Step>,
}

/// What came of an area.
#[derive(Default)]
struct Tally {
    told: BTreeSet<String>,
    shrunk: BTreeSet<String>,
    stories: Vec<String>,
    known: BTreeMap<&'static str, usize>,
    codes: BTreeMap<u16, usize>,
    unanswered: usize,
    /// Differences that did not come again.
    moments: usize,
}

/// A difference that is not known.
struct Found {
    at: usize,
    ours: Answer,
    real: Answer,
}

impl Found {
    /// Kubernetes reads what a write changes from its cache, and where that was old admits the write once more:
    /// its answer then begins with the warnings about the old object.
    fn may_be_of_an_old_copy(&self) -> bool {
        let (ours, real) = (&self.ours, &self.real);
        (ours.code, &ours.body) == (real.code, &real.body)
            && real.warnings.len() > ours.warnings.len()
            && real.warnings.ends_with(&ours.warnings)
    }

    /// An apply that asks for nothing but what it may not write is stored where a second has passed since its
    /// manager's last one, and may be the first in another second on one of the servers.
    fn may_be_of_another_second(&self) -> bool {
        let unversioned = |answer: &Answer| {
            let mut body = answer.body.clone();
            if let Some(version) = body.pointer_mut("/metadata/resourceVersion") {
                version.take();
            }
            (answer.code, body)
        };
        unversioned(&self.ours) == unversioned(&self.real)
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.ours.code, self.real.code) == (other.ours.code, other.real.code)
            && self.ours.body["reason"] == other.ours.body["reason"]
            && self.real.body["reason"] == other.real.body["reason"]
    }
}

/// The number of cases an area has where nobody says.
const SHARE: u64 = 2500;

fn started_at() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

async fn compare_area(area: Area) {
    assert!(
        real::is_here(),
        "it wants a bed of its own: `make conformance`"
    );
    let seed = setting("SLUICE_CONFORMANCE_SEED", 1);
    let wanted = setting("SLUICE_CONFORMANCE_CASES", SHARE);
    let run = Chance::of(std::process::id().into(), started_at()).below(100_000);
    let namespaces: Vec<String> = (0..LANES).map(|lane| format!("l{run}-{lane}")).collect();
    let stage = Fixture::set(&namespaces).await;
    stage.forget(area.kinds).await;
    let stage = Arc::new(stage);
    let area = Arc::new(area);
    let (next, cases) = (
        Arc::new(AtomicU64::new(setting("SLUICE_CONFORMANCE_FROM", 0))),
        Arc::new(AtomicU64::new(0)),
    );
    let tally = Arc::new(Mutex::new(Tally::default()));
    let started = Instant::now();
    let lanes = namespaces.iter().cloned().map(|namespace| {
        let (stage, area, next, cases, tally) = (
            stage.clone(),
            area.clone(),
            next.clone(),
            cases.clone(),
            tally.clone(),
        );
        tokio::spawn(async move {
            while cases.load(Ordering::Relaxed) < wanted && tally.lock().stories.len() < TOLD {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let steps = (area.sequence)(area.kinds, &mut Chance::of(seed, number));
                let lane = Lane {
                    stage: &stage,
                    area: &area,
                    namespace: &namespace,
                };
                let found = lane.play(&steps, Some((&cases, &tally))).await;
                if let Some(found) = found {
                    if lane.was_of_the_moment(&steps, &found).await {
                        tally.lock().moments += 1;
                        continue;
                    }
                    lane.tell(seed, number, steps, found, &tally).await;
                }
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
    let stage = Arc::into_inner(stage).unwrap();
    stage.end(&namespaces).await;
    let tally = Arc::into_inner(tally).unwrap().into_inner();
    let cases = cases.load(Ordering::Relaxed);
    println!(
        "{cases} cases in {} sequences, {:.0} s; codes {:?}; known {:?}; not again {}",
        next.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64(),
        tally.codes,
        tally.known,
        tally.moments,
    );
    assert!(
        tally.stories.is_empty(),
        "{} differences that are not in docs/conformance.md:\n\n{}",
        tally.stories.len(),
        tally.stories.join("\n\n")
    );
}

/// Where sequences are played, one after the other.
struct Lane<'a> {
    stage: &'a Fixture,
    area: &'a Area,
    namespace: &'a str,
}

impl Lane<'_> {
    /// Plays a sequence up to its first difference that is not known.
    async fn play(
        &self,
        steps: &[Step],
        count: Option<(&AtomicU64, &Mutex<Tally>)>,
    ) -> Option<Found> {
        let turn = self.stage.turn();
        let [mut ours, mut real] = self.stage.sides(self.namespace, turn);
        let mut found = None;
        for (at, step) in steps.iter().enumerate() {
            let answers = async { tokio::join!(ours.play(step), real.play(step)) };
            let (mut here, mut there) = tokio::time::timeout(LONGEST, answers)
                .await
                .unwrap_or_else(|_| panic!("no end of {step}"));
            assert!(here.is_there(), "{step}: {}", here.body);
            if !there.is_there() {
                if let Some((_, tally)) = count {
                    let mut tally = tally.lock();
                    tally.unanswered += 1;
                    assert!(tally.unanswered < UNANSWERED, "{step}: {}", there.body);
                }
                break;
            }
            let known = known::settle(step, &mut here, &mut there);
            if let Some((cases, tally)) = count {
                cases.fetch_add(1, Ordering::Relaxed);
                let mut tally = tally.lock();
                *tally.codes.entry(there.code).or_default() += 1;
                for name in &known {
                    *tally.known.entry(*name).or_default() += 1;
                }
            }
            if here != there {
                found = Some(Found {
                    at,
                    ours: here,
                    real: there,
                });
                break;
            }
        }
        for kind in self.area.kinds {
            if steps.iter().any(|step| step.about.starts_with(kind.plural)) {
                self.stage.sweep(&kind.collection(), self.namespace).await;
            }
        }
        if steps.iter().any(|step| step.about == defining::DEFINITION) {
            self.stage.undefine(self.namespace, turn).await;
        }
        found
    }

    /// Whether a difference does not come again, and may be one that does not: a watch has a second to
    /// tell what it has to.
    async fn was_of_the_moment(&self, steps: &[Step], found: &Found) -> bool {
        let is_watch = steps[found.at]
            .query
            .iter()
            .any(|(name, _)| *name == "watch");
        let may_pass =
            is_watch || found.may_be_of_an_old_copy() || found.may_be_of_another_second();
        may_pass && self.play(steps, None).await.is_none()
    }

    /// Makes a difference small and keeps it, if nothing like it was told.
    async fn tell(
        &self,
        seed: u64,
        number: u64,
        mut steps: Vec<Step>,
        mut found: Found,
        tally: &Mutex<Tally>,
    ) {
        let conformance =
            |found: &Found| compare::conformance(&compare::difference(&found.ours, &found.real));
        if !tally.lock().told.insert(conformance(&found)) {
            return;
        }
        steps.truncate(found.at + 1);
        let mut tries = 0;
        let began = Instant::now();
        'smaller: loop {
            let smaller = shrink::smaller(&steps);
            for fewer in smaller
                .into_iter()
                .filter(|steps| steps.iter().all(Step::is_harmless))
            {
                tries += 1;
                if tries > 1500 || began.elapsed() > SHRINKING {
                    break 'smaller;
                }
                let still = self.play(&fewer, None).await;
                // Something else that is found on the way is no smaller form of this.
                if let Some(still) = still.filter(|still| still.is_like(&found)) {
                    steps = fewer;
                    steps.truncate(still.at + 1);
                    found = still;
                    continue 'smaller;
                }
            }
            break;
        }
        let mut tally = tally.lock();
        if tries > 0 && !tally.shrunk.insert(conformance(&found)) {
            return;
        }
        let mut story = format!("=== seed {seed}, sequence {number}\n");
        for step in &steps {
            writeln!(story, "> {step}").unwrap();
        }
        story.push_str(&compare::difference(&found.ours, &found.real));
        if std::env::var_os("SLUICE_CONFORMANCE_WHOLE").is_some() {
            write!(
                story,
                "--- here\n{}--- Kubernetes\n{}",
                compare::lines(&found.ours),
                compare::lines(&found.real)
            )
            .unwrap();
        }
        tally.stories.push(story);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn config_maps_are_written_alike() {
    compare_area(Area {
        kinds: &[&kinds::CONFIG_MAP],
        sequence: generate::writes,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn services_are_written_alike() {
    compare_area(Area {
        kinds: &[&kinds::SERVICE],
        sequence: generate::writes,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn deployments_are_written_alike() {
    compare_area(Area {
        kinds: &[&kinds::DEPLOYMENT],
        sequence: generate::writes,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn knative_objects_are_written_alike() {
    compare_area(Area {
        kinds: &[
            &kinds::KNATIVE_SERVICE,
            &kinds::CONFIGURATION,
            &kinds::ROUTE,
        ],
        sequence: generate::writes,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn deliveries_are_written_alike() {
    compare_area(Area {
        kinds: &[&kinds::DELIVERY],
        sequence: generate::writes,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn lists_and_watches_are_alike() {
    compare_area(Area {
        kinds: &[&kinds::CONFIG_MAP, &kinds::DELIVERY],
        sequence: reading::reads,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn defined_kinds_are_alike() {
    compare_area(Area {
        kinds: &[],
        sequence: defining::definitions,
    })
    .await;
}
