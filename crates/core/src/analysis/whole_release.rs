//! The tests of a whole release, and what they are fed with.

use std::collections::BTreeMap;

use crate::api::rollout::SequentialTest;

use super::ledger::Pair;
use super::limits::Limits;
use super::metrics::Tally;
use super::sequential::{Ceiling, TwoSample, Wager, healthy};

/// Requests that say how a revision is now: so many of the last ones.
const LATELY: f64 = 300.0;
/// And how it is at this moment.
const NOW: f64 = 20.0;
/// What stable had is estimated, and may be somewhat more.
const USUAL: f64 = 1.25;
/// And with nobody beside it that shows what both suffer now, more.
const USUAL_ALONE: f64 = 2.0;

/// So many answers from before the release say how stable is at any time.
const BEFORE: f64 = 2000.0;

/// The latest answers of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Recent {
    errors: f64,
    requests: f64,
}

/// A share that is nothing to speak of where a revision had so many bad answers among these; few of them say little.
fn usual(bad: f64, of: f64, alone: bool) -> f64 {
    let times = if alone { USUAL_ALONE } else { USUAL };
    times * (bad + 1.0) / (of + 200.0)
}

impl Recent {
    /// Adds new ones, and keeps so many of the former.
    fn add(&mut self, new: &Tally, latest: f64) {
        let kept = (latest / self.requests.max(latest)).min(1.0);
        self.errors = self.errors * kept + new.errors as f64;
        self.requests = self.requests * kept + new.requests as f64;
    }
}

/// What is tested over a whole release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tests {
    /// Errors, against stable's in the same seconds.
    pub errors: TwoSample,
    /// Errors, against the limit, beyond what stable has and had.
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
    /// The candidate has everybody.
    alone: bool,
    /// Stable's latest answers.
    stable_now: Recent,
    stable_lately: Recent,
    /// Stable's answers before all this, as so many of them as are not too old to say anything.
    stable_before: Recent,
}

impl Tests {
    /// The share of errors among stable's latest answers, of 1.
    pub fn stable_fails_now(&self) -> f64 {
        self.stable_now.errors / self.stable_now.requests.max(1.0)
    }

    /// The candidate has everybody from now on: what is over a limit is asked anew, and stable's figures are of before.
    pub(super) fn gets_everybody(&mut self, known: bool) {
        if !self.alone && !known {
            self.ceiling = Ceiling::default();
            self.late_ceiling = Default::default();
        }
        self.alone = true;
    }

    /// Whether the candidate has everybody.
    pub(super) fn has_everybody(&self) -> bool {
        self.alone
    }

    /// Takes what a gateway had counted of stable before anything was judged.
    pub(super) fn before(&mut self, all: &Tally) {
        let part = (BEFORE / all.requests.max(1) as f64).min(1.0);
        self.stable_before.errors += all.errors as f64 * part;
        self.stable_before.requests += all.requests as f64 * part;
    }

    /// The share of errors that is nothing to speak of by what stable had, at any time and now: what both suffer is no
    /// question for a limit.
    fn expected_of_both(&self, now: &Tally) -> f64 {
        let (all, before) = (&self.seen.stable, &self.stable_before);
        let at_any_time = usual(
            before.errors + all.errors as f64,
            before.requests + all.requests as f64,
            self.alone,
        );
        if self.alone {
            // Of how it is now nobody tells.
            return at_any_time.min(0.9);
        }
        let lately = usual(
            self.stable_lately.errors,
            self.stable_lately.requests,
            false,
        );
        let at_once = if now.errors >= 2 {
            now.errors as f64 / now.requests.max(1) as f64
        } else {
            0.0
        };
        at_any_time.max(lately).max(at_once).min(0.9)
    }

    pub(super) fn feed_answers(&mut self, new: &Pair<Tally>, limits: &Limits) {
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
        self.stable_now.add(theirs, NOW);
        self.stable_lately.add(theirs, LATELY);
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

    pub(super) fn feed_times(&mut self, new: &Pair<Tally>, stuck: (u64, u64), limits: &Limits) {
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
                let usual = usual(
                    of(&self.seen.stable) as f64,
                    self.seen.stable.timed as f64,
                    self.alone,
                );
                let expected = usual.max(healthy(share)).min(0.9);
                one.look(late.0, new.candidate.timed + stuck.0, expected);
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
    pub(super) fn stored(&self) -> BTreeMap<String, SequentialTest> {
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
    pub(super) fn read(stored: &BTreeMap<String, SequentialTest>) -> Self {
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
