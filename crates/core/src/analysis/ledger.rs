//! One account of all requests to candidate and stable: what the gateways counted is our own requests and users'.
//!
//! Every request that a gateway counted is booked under one name, ours or a user's, by status and by time; what is judged
//! is users'. The account goes on over all steps of a release and its watch, and so do the tests that are fed from it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::api::rollout::{Answered, EvidenceLedger, GatewayCounts};

use super::evidence::{Booked, Counts, Metrics, ProbeRound};
use super::in_flight::{InFlight, Open};
use super::limits::Limits;
use super::metrics::{Counters, Scrape, Tally};
use super::whole_release::Tests;

/// The same of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair<T> {
    /// The candidate's.
    pub candidate: T,
    /// Stable's.
    pub stable: T,
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
    /// Of so many it had by the last look.
    told: u64,
    /// The last look was within a warm-up.
    warm: bool,
    in_flight: InFlight,
    /// By the last look, queue-proxies count.
    by_pods: bool,
    /// The first look.
    opened: Option<Instant>,
    /// The limits on times by stable's figures, as they were last.
    limits_ms: [Option<f64>; 2],
    tests: Tests,
}

impl Ledger {
    /// An account of these two, which goes on from what is remembered of it.
    pub fn open(
        namespace: &str,
        (candidate, stable): (&str, &str),
        alone: bool,
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
            told: 0,
            warm: false,
            in_flight: InFlight::default(),
            by_pods: false,
            opened: None,
            limits_ms: [None; 2],
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
            // As at the end of the last window, the next look will have counted them.
            ledger.ours_since.candidate.statuses = known.ours.candidate.clone();
            ledger.ours_since.stable.statuses = known.ours.stable.clone();
            ledger.tests = Tests::read(&known.tests);
            ledger.tests.seen = Pair {
                candidate: tally(&known.seen_of_candidate),
                stable: tally(&known.seen_of_stable),
            };
            ledger.limits_ms = [known.late_after_ms, known.median_late_after_ms];
        }
        if alone {
            ledger
                .tests
                .gets_everybody(remembered.is_some_and(|known| known.alone));
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
            seen_of_candidate: answered(&self.tests.seen.candidate),
            seen_of_stable: answered(&self.tests.seen.stable),
            alone: self.tests.has_everybody(),
            late_after_ms: self.limits_ms[0],
            median_late_after_ms: self.limits_ms[1],
        }
    }

    /// Books requests of our own. The next look at a gateway will have counted them.
    pub fn book(&mut self, round: &ProbeRound) {
        // Where the revision before it was asked alone, that is stable here.
        if round.revision == self.names.stable {
            self.ours_since.stable.add(&round.candidate.booked);
        } else {
            self.ours_since.candidate.add(&round.candidate.booked);
        }
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
        self.by_pods = scrape.is_by_a_pod();
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
            if timed {
                self.counted.candidate.add(&candidate);
                self.counted.stable.add(&stable);
            } else {
                self.feed_meanwhile(candidate, stable, limits);
            }
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

    /// What was counted between what is remembered and the first look: it goes into the tests, so that no failure is
    /// forgotten, and stands for no user of this window. Whether requests of an agent that was killed are among it nobody knows.
    fn feed_meanwhile(&mut self, candidate: Counters, stable: Counters, limits: &Limits) {
        let own = std::mem::take(&mut self.ours_since);
        let users = |counted: Counters, own: &Booked| {
            let mut ours = Counters::default();
            ours.book(own, &counted);
            counted.without(&ours).tally([None, None])
        };
        let new = Pair {
            candidate: users(candidate, &own.candidate),
            stable: users(stable, &own.stable),
        };
        self.tests.feed_answers(&new, limits);
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
        let limits_ms = limits.milliseconds(&users.stable, self.limits_ms);
        self.limits_ms = limits_ms;
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
        let told = counted.timed().max(ours.timed());
        let told_before = std::mem::replace(&mut self.told, told);
        if !past_warm_up || self.warm {
            // What is counted by a first look after it was asked before.
            self.warm = !past_warm_up;
            self.catch_up = Some(counted.to_be_timed());
            return false;
        }
        // One flush may tell the warm-up's last times and others: it cannot be told which of them were late.
        if self.catch_up.is_some_and(|all| told_before < all) {
            return false;
        }
        self.catch_up = None;
        true
    }

    /// What users met since it was opened, and what the tests know.
    pub fn metrics(&self, limits: &Limits) -> Metrics {
        let users = self.users();
        let limits_ms = limits.milliseconds(&users.stable, self.limits_ms);
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
            by_pods: self.by_pods,
        }
    }
}

/// As it is remembered.
fn answered(tally: &Tally) -> Answered {
    let [late, median_late] = tally.late;
    Answered {
        requests: tally.requests,
        errors: tally.errors,
        redirects: tally.redirects,
        client_errors: tally.client_errors,
        left: tally.left,
        timed: tally.timed,
        late,
        median_late,
    }
}

/// As it is counted on.
fn tally(known: &Answered) -> Tally {
    Tally {
        requests: known.requests,
        errors: known.errors,
        redirects: known.redirects,
        client_errors: known.client_errors,
        left: known.left,
        timed: known.timed,
        late: [known.late, known.median_late],
    }
}
