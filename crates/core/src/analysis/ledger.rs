//! One account of all requests to candidate and stable: what the gateways counted is our own requests and users'.
//!
//! Every request that a gateway counted is booked under one name, ours or a user's, by status and by time; what is judged
//! is users'. The account goes on over all steps of a release and its watch, and so do the tests that are fed from it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::api::rollout::{EvidenceLedger, GatewayCounts, SequentialTest};

use super::evidence::{Booked, Counts, Metrics, ProbeRound};
use super::in_flight::{InFlight, Open};
use super::limits::Limits;
use super::metrics::{Counters, Scrape, Tally};
use super::sequential::{Ceiling, TwoSample, Wager, healthy};

/// Requests that say how a revision is now: so many of the last ones.
const LATEST: f64 = 300.0;
/// What stable had is estimated, and may be somewhat more.
const USUAL: f64 = 1.25;

/// So many answers from before the release say how stable is at any time.
const BEFORE: f64 = 2000.0;

/// The latest answers of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Recent {
    errors: f64,
    requests: f64,
}

impl Recent {
    fn add(&mut self, new: &Tally) {
        let kept = (LATEST / self.requests.max(LATEST)).min(1.0);
        self.errors = self.errors * kept + new.errors as f64;
        self.requests = self.requests * kept + new.requests as f64;
    }
}

/// The same of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair<T> {
    /// The candidate's.
    pub candidate: T,
    /// Stable's.
    pub stable: T,
}

/// What is tested over a whole release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tests {
    /// Errors, against stable's in the same seconds.
    pub errors: TwoSample,
    /// Errors, against the limit; while stable itself is over it, they say nothing.
    pub ceiling: Ceiling,
    /// Late answers, by the limit on the 99th percentile and by that on the median: against stable's in the same seconds.
    pub late: [TwoSample; 2],
    /// The same against the share that may be late.
    pub late_ceiling: [Ceiling; 2],
    /// Redirects, against stable's.
    pub redirects: TwoSample,
    /// Answers 400 to 499, against stable's.
    pub client_errors: TwoSample,
    /// What both sides have answered that these tests know of.
    pub seen: Pair<Tally>,
    /// What both have answered since errors began to be more than healthy: what people are told.
    pub lately: Pair<Tally>,
    /// How far errors speak against the candidate since then.
    score: f64,
    /// Stable's latest answers.
    stable_now: Recent,
    /// Stable's answers before all this, as so many of them as are not too old to say anything.
    stable_before: Recent,
}

/// The last look at one gateway.
#[derive(Clone, Debug, Default)]
struct Look {
    counters: Pair<Counters>,
    /// The times are known as well; of what was taken up from a memory they are not.
    timed: bool,
}

/// The account of one release, kept by the agent between two decisions.
#[derive(Clone, Debug)]
pub struct Ledger {
    names: Pair<String>,
    namespace: String,
    /// By the address of its page.
    gateways: BTreeMap<String, Look>,
    counted: Pair<Counters>,
    ours: Pair<Counters>,
    /// Sent since the last look: the next one will have counted them.
    ours_since: Pair<Booked>,
    /// What the tests were fed with.
    fed: Pair<Tally>,
    /// What was counted when times began to count.
    untimed: Pair<Counters>,
    /// Times count once the gateway has told those of so many of the candidate's requests.
    catch_up: Option<u64>,
    /// The last look was within a warm-up.
    warm: bool,
    in_flight: InFlight,
    /// The first look.
    opened: Option<Instant>,
    tests: Tests,
}

impl Ledger {
    /// An account of these two, which goes on from what is remembered of it.
    pub fn open(
        namespace: &str,
        (candidate, stable): (&str, &str),
        remembered: Option<&EvidenceLedger>,
    ) -> Self {
        let names = Pair {
            candidate: candidate.to_owned(),
            stable: stable.to_owned(),
        };
        let mut ledger = Self {
            names,
            namespace: namespace.to_owned(),
            gateways: BTreeMap::new(),
            counted: Pair::default(),
            ours: Pair::default(),
            ours_since: Pair::default(),
            fed: Pair::default(),
            untimed: Pair::default(),
            catch_up: None,
            warm: false,
            in_flight: InFlight::default(),
            opened: None,
            tests: Tests::default(),
        };
        let remembered = remembered.filter(|known| {
            (known.candidate.as_str(), known.stable.as_str()) == (candidate, stable)
        });
        if let Some(known) = remembered {
            let counters = |counts: &BTreeMap<u16, u64>| Counters {
                by_status: counts.clone(),
                ..Counters::default()
            };
            let looks = known.gateways.iter().map(|(page, counts)| {
                let counters = Pair {
                    candidate: counters(&counts.candidate),
                    stable: counters(&counts.stable),
                };
                let timed = false;
                (page.clone(), Look { counters, timed })
            });
            ledger.gateways = looks.collect();
            ledger.ours.candidate = counters(&known.ours.candidate);
            ledger.ours.stable = counters(&known.ours.stable);
            ledger.tests = Tests::read(&known.tests);
        }
        ledger
    }

    /// What is to be remembered of it: with this an agent that begins anew forgets no failure that users met meanwhile.
    pub fn remembered(&self) -> EvidenceLedger {
        let statuses = |counters: &Counters| counters.by_status.clone();
        let gateways = self.gateways.iter().map(|(page, look)| {
            let counts = GatewayCounts {
                candidate: statuses(&look.counters.candidate),
                stable: statuses(&look.counters.stable),
            };
            (page.clone(), counts)
        });
        EvidenceLedger {
            candidate: self.names.candidate.clone(),
            stable: self.names.stable.clone(),
            gateways: gateways.collect(),
            ours: GatewayCounts {
                candidate: self.ours_since.candidate.statuses.clone(),
                stable: self.ours_since.stable.statuses.clone(),
            },
            tests: self.tests.stored(),
        }
    }

    /// Books requests of our own. The next look at a gateway will have counted them.
    pub fn book(&mut self, round: &ProbeRound) {
        self.ours_since.candidate.add(&round.candidate.booked);
        if let Some(stable) = &round.stable {
            self.ours_since.stable.add(&stable.booked);
        }
    }

    /// Adds a look at one gateway. The first one at a gateway that nothing is remembered of is where counting starts from.
    /// `times_count`: the candidate is past its warm-up.
    pub fn look(
        &mut self,
        page: &str,
        scrape: &Scrape,
        limits: &Limits,
        times_count: bool,
        now: Instant,
    ) {
        let seen = Pair {
            candidate: scrape.of(&self.namespace, &self.names.candidate),
            stable: scrape.of(&self.namespace, &self.names.stable),
        };
        let earlier = self.gateways.get(page);
        let timed = earlier.is_some_and(|earlier| earlier.timed);
        if let Some(earlier) = earlier {
            let since = |now: &Counters, then: &Counters| {
                let mut since = now.since(then).settled(now);
                if !timed {
                    since.up_to.clear();
                }
                since
            };
            let earlier = &earlier.counters;
            let candidate = since(&seen.candidate, &earlier.candidate);
            let stable = since(&seen.stable, &earlier.stable);
            self.counted.candidate.add(&candidate);
            self.counted.stable.add(&stable);
        }
        let own = std::mem::take(&mut self.ours_since);
        self.ours.candidate.book(&own.candidate, &seen.candidate);
        self.ours.stable.book(&own.stable, &seen.stable);
        if !timed {
            // What is counted by now and not told yet is told later, and is none of what begins here.
            let settled = |seen: &Counters| seen.clone().settled(seen);
            self.tests
                .before(&settled(&seen.stable).tally([None, None]));
            for (ours, seen) in [
                (&mut self.ours.candidate, &seen.candidate),
                (&mut self.ours.stable, &seen.stable),
            ] {
                let untold = settled(seen).to_be_timed().saturating_sub(seen.timed());
                ours.book_quick(untold, seen);
            }
        }
        let timed = true;
        let counters = seen;
        self.gateways
            .insert(page.to_owned(), Look { counters, timed });
        self.feed(limits, times_count, now);
    }

    /// Users' requests of both sides.
    fn users(&self) -> Pair<Counters> {
        Pair {
            candidate: self.counted.candidate.without(&self.ours.candidate),
            stable: self.counted.stable.without(&self.ours.stable),
        }
    }

    /// Feeds the tests with what is new.
    fn feed(&mut self, limits: &Limits, times_count: bool, now: Instant) {
        let users = self.users();
        let limits_ms = limits.milliseconds(&users.stable);
        let tally = Pair {
            candidate: users.candidate.tally(limits_ms),
            stable: users.stable.tally(limits_ms),
        };
        let new = Pair {
            candidate: tally.candidate.since(&self.fed.candidate),
            stable: tally.stable.since(&self.fed.stable),
        };
        self.fed = Pair {
            candidate: tally.candidate.or_more(&self.fed.candidate),
            stable: tally.stable.or_more(&self.fed.stable),
        };
        let stuck = self.stuck(&users, limits_ms[0], now);
        self.tests.feed_answers(&new, limits);
        if self.times_count(times_count) {
            self.tests.feed_times(&new, stuck, limits);
        } else {
            self.untimed = users;
        }
    }

    /// How many more users than before have waited for longer than the limit, and have no answer yet.
    fn stuck(&mut self, users: &Pair<Counters>, limit: Option<f64>, now: Instant) -> (u64, u64) {
        let watched = now.saturating_duration_since(*self.opened.get_or_insert(now));
        let open = |users: &Counters, of: fn(&Pair<Counters>) -> u64| Open {
            now: self.gateways.values().map(|look| of(&look.counters)).sum(),
            busy: users.latencies().total() / 1000.0 / watched.as_secs_f64().max(0.1),
        };
        let open = [
            open(&users.candidate, |counters| counters.candidate.open),
            open(&users.stable, |counters| counters.stable.open),
        ];
        self.in_flight.look(open, limit, now)
    }

    /// Whether times that are told now count: they are of requests after the warm-up, however late they are told.
    fn times_count(&mut self, past_warm_up: bool) -> bool {
        let (counted, ours) = (&self.counted.candidate, &self.ours.candidate);
        if !past_warm_up || self.warm {
            // What is counted by a first look after it was asked before.
            self.warm = !past_warm_up;
            self.catch_up = Some(counted.to_be_timed());
            return false;
        }
        let told = counted.timed().max(ours.timed());
        if self.catch_up.is_some_and(|all| told < all) {
            return false;
        }
        self.catch_up = None;
        true
    }

    /// What users met since it was opened, and what the tests know.
    pub fn metrics(&self, limits: &Limits) -> Metrics {
        let users = self.users();
        let limits_ms = limits.milliseconds(&users.stable);
        let of = |users: &Counters, untimed: &Counters, open: u64| {
            let timed = users.since(untimed);
            Counts {
                tally: Tally {
                    timed: timed.timed(),
                    late: limits_ms.map(|limit| limit.map_or(0, |limit| timed.over(limit))),
                    ..users.tally(limits_ms)
                },
                latencies: timed.latencies(),
                due: timed.to_be_timed(),
                open,
            }
        };
        let (candidate_open, stable_open) = self.in_flight.stuck();
        Metrics {
            candidate: of(&users.candidate, &self.untimed.candidate, candidate_open),
            stable: of(&users.stable, &self.untimed.stable, stable_open),
            tests: self.tests.clone(),
            limits_ms,
        }
    }
}

impl Tests {
    /// The share of errors among stable's latest answers, of 1.
    pub fn stable_fails_now(&self) -> f64 {
        self.stable_now.errors / self.stable_now.requests.max(1.0)
    }

    /// Takes what a gateway had counted of stable before anything was judged.
    fn before(&mut self, all: &Tally) {
        let part = (BEFORE / all.requests.max(1) as f64).min(1.0);
        self.stable_before.errors += all.errors as f64 * part;
        self.stable_before.requests += all.requests as f64 * part;
    }

    /// The share of errors that is nothing to speak of by what stable had, at any time and now: what both suffer is no
    /// question for a limit.
    fn expected_of_both(&self, now: &Tally) -> f64 {
        let usual = |errors: f64, requests: f64| USUAL * (errors + 1.0) / (requests + 200.0);
        let (all, before) = (&self.seen.stable, &self.stable_before);
        let at_any_time = usual(
            before.errors + all.errors as f64,
            before.requests + all.requests as f64,
        );
        let lately = usual(self.stable_now.errors, self.stable_now.requests);
        let at_once = if now.errors >= 2 {
            now.errors as f64 / now.requests.max(1) as f64
        } else {
            0.0
        };
        at_any_time.max(lately).max(at_once).min(0.9)
    }

    fn feed_answers(&mut self, new: &Pair<Tally>, limits: &Limits) {
        let (mine, theirs) = (&new.candidate, &new.stable);
        self.seen.candidate.add_answers(mine);
        self.seen.stable.add_answers(theirs);
        self.since_it_began(new, healthy(limits.errors));
        let requests = (mine.requests, theirs.requests);
        self.errors.look((mine.errors, theirs.errors), requests);
        self.redirects
            .look((mine.redirects, theirs.redirects), requests);
        self.client_errors
            .look((mine.client_errors, theirs.client_errors), requests);
        self.stable_now.add(theirs);
        let expected = self.expected_of_both(theirs);
        self.ceiling.look(
            mine.errors,
            mine.requests,
            expected.max(healthy(limits.errors)),
        );
    }

    /// Keeps what was answered since errors began to be more than healthy, as a cumulated sum (CUSUM) sees it.
    fn since_it_began(&mut self, new: &Pair<Tally>, healthy: f64) {
        let sick = (healthy * 10.0).min(0.9);
        let mine = &new.candidate;
        let clean = mine.requests.saturating_sub(mine.errors);
        self.score += mine.errors as f64 * (sick / healthy).ln()
            + clean as f64 * ((1.0 - sick) / (1.0 - healthy)).ln();
        if self.score <= 0.0 {
            self.score = 0.0;
            self.lately = Pair::default();
        } else {
            self.lately.candidate.add_answers(mine);
            self.lately.stable.add_answers(&new.stable);
        }
    }

    fn feed_times(&mut self, new: &Pair<Tally>, stuck: (u64, u64), limits: &Limits) {
        let shares = [limits.p99.share, limits.p50.share];
        for (i, share) in shares.into_iter().enumerate() {
            let of = |tally: &Tally| tally.late.get(i).copied().unwrap_or_default();
            // What has been open for too long is late already, whatever becomes of it.
            let stuck = if i == 0 { stuck } else { (0, 0) };
            let late = (of(&new.candidate) + stuck.0, of(&new.stable) + stuck.1);
            let mut timed = (new.candidate.timed + stuck.0, new.stable.timed + stuck.1);
            if i == 0 && stuck != (0, 0) {
                // Where hardly anything is answered, the shares are those of all requests up to now.
                timed.0 = timed.0.max(self.seen.candidate.timed);
                timed.1 = timed.1.max(self.seen.stable.timed);
            }
            if let (Some(two), Some(one)) = (self.late.get_mut(i), self.late_ceiling.get_mut(i)) {
                two.look(late, timed);
                one.look(late.0, new.candidate.timed + stuck.0, healthy(share));
            }
            for (seen, late) in [
                (&mut self.seen.candidate, late.0),
                (&mut self.seen.stable, late.1),
            ] {
                if let Some(seen) = seen.late.get_mut(i) {
                    *seen += late;
                }
            }
        }
        self.seen.candidate.timed += new.candidate.timed + stuck.0;
        self.seen.stable.timed += new.stable.timed + stuck.1;
    }

    /// By name, for the memory.
    fn stored(&self) -> BTreeMap<String, SequentialTest> {
        let wagers = self.wagers().map(|(name, wager)| {
            let test = SequentialTest {
                begun: wager.begun,
                left: wager.left,
                won: wager.won.to_vec(),
            };
            (name.to_owned(), test)
        });
        wagers.into()
    }

    /// What is remembered; a test that is not begins anew.
    fn read(stored: &BTreeMap<String, SequentialTest>) -> Self {
        let mut tests = Self::default();
        for (name, wager) in tests.wagers_mut() {
            let known = stored.get(name).and_then(|known| {
                let won: [f64; 3] = known.won.as_slice().try_into().ok()?;
                let sane = won
                    .iter()
                    .chain([&known.left])
                    .all(|n| n.is_finite() && *n >= 0.0);
                sane.then_some((known, won))
            });
            if let Some((known, won)) = known {
                *wager = Wager {
                    begun: known.begun,
                    left: known.left.min(1.0),
                    won,
                };
            }
        }
        tests
    }

    fn wagers(&self) -> [(&'static str, Wager); 8] {
        let mut copy = self.clone();
        copy.wagers_mut().map(|(name, wager)| (name, *wager))
    }

    fn wagers_mut(&mut self) -> [(&'static str, &mut Wager); 8] {
        let [late99, late50] = &mut self.late;
        let [ceiling99, ceiling50] = &mut self.late_ceiling;
        [
            ("errors", &mut self.errors.0),
            ("errorLimit", &mut self.ceiling.0),
            ("late", &mut late99.0),
            ("lateLimit", &mut ceiling99.0),
            ("lateMedian", &mut late50.0),
            ("lateMedianLimit", &mut ceiling50.0),
            ("redirects", &mut self.redirects.0),
            ("clientErrors", &mut self.client_errors.0),
        ]
    }
}
