//! Tests that may be looked at after every request, for as long as a release takes, and that notice a change.
//!
//! Each is an *e-process*: a wager against "nothing is wrong" that on average wins nothing while that is so. Whatever the
//! number of looks, the chance that it ever reaches `1 / alpha` is at most `alpha` (Ville's inequality), so a value of 250
//! may be acted upon at once and is wrong in at most 0.4 % of good releases.
//!
//! Both are mixed over how bad the fault is, and over **when it began**: a revision that was good for an hour is not
//! excused by that hour. What began at the j-th event has the prior weight `1 / (j (j + 1))`; the weights add up to 1, so
//! the mixture is an e-process again, with one guarantee for the whole release.

/// Where a wager stops growing: long decided, and still a number that JSON can hold.
const ENOUGH: f64 = 1e12;

/// A mixture of wagers over three alternatives and every beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wager {
    /// Beginnings so far: events of a two-sample test, looks of a ceiling.
    pub begun: u64,
    /// The prior weight of all beginnings to come.
    pub left: f64,
    /// What was won with each alternative, with the prior weight of the beginnings so far.
    pub won: [f64; 3],
}

impl Default for Wager {
    fn default() -> Self {
        Self {
            begun: 0,
            left: 1.0,
            won: [0.0; 3],
        }
    }
}

impl Wager {
    /// The value of the e-process.
    pub fn value(&self) -> f64 {
        (self.left + self.won.iter().sum::<f64>() / 3.0).min(ENOUGH)
    }

    /// One more look: with `beginnings` of its own, and what each alternative wins or loses by it.
    fn look(&mut self, beginnings: u64, gains: [f64; 3]) {
        self.begun += beginnings;
        let left = self.left.min(1.0 / (self.begun as f64 + 1.0));
        let new = self.left - left;
        self.left = left;
        for (won, gain) in self.won.iter_mut().zip(gains) {
            *won = ((*won + new) * gain).min(ENOUGH);
        }
    }
}

/// How many times worse than stable the candidate may be.
const TIMES_WORSE: [f64; 3] = [3.0, 10.0, 100.0];

/// Which of two revisions do bad answers come from?
///
/// Where the candidate is as good as stable, a bad answer at a moment when it has the share `w` of the requests is its own
/// with chance `w`: whatever the rate of bad answers is, however it drifts, and whatever both suffer together. Answers that
/// are not bad say nothing here, so no number of them outvotes a bad minute.
///
/// After Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022). Within one look the shares are as
/// the requests really fell; drawing without replacement only makes the test more careful.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TwoSample(pub Wager);

impl TwoSample {
    /// Adds one look: bad answers of both sides, of so many requests each.
    pub fn look(&mut self, bad: (u64, u64), requests: (u64, u64)) {
        let all = requests.0.max(bad.0) + requests.1.max(bad.1);
        let share = requests.0.max(bad.0) as f64 / all.max(1) as f64;
        // With all requests on one side there is nothing to tell apart.
        if share <= 0.0 || share >= 1.0 || bad.0 + bad.1 == 0 {
            return;
        }
        let gains = TIMES_WORSE.map(|times| {
            let own = share * times / (share * times + 1.0 - share);
            let log = bad.0 as f64 * (own / share).ln()
                + bad.1 as f64 * ((1.0 - own) / (1.0 - share)).ln();
            log.exp()
        });
        self.0.look(bad.0 + bad.1, gains);
    }

    /// The value of the e-process.
    pub fn value(&self) -> f64 {
        self.0.value()
    }
}

/// Are bad answers more frequent than a limit allows, whatever stable does?
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceiling(pub Wager);

impl Ceiling {
    /// Adds one look: `bad` of `requests`, where a share of `healthy` is nothing to speak of.
    pub fn look(&mut self, bad: u64, requests: u64, healthy: f64) {
        let requests = requests.max(bad);
        if requests == 0 {
            return;
        }
        let clean = requests - bad;
        // Twice the limit, a case in the middle, and "nearly everything".
        let odds = healthy / (1.0 - healthy);
        let sick = |times: f64| odds * times / (1.0 + odds * times);
        let gains = [sick(4.0), sick(15.0), sick(4.0).max(0.6)].map(|sick| {
            let log = bad as f64 * (sick / healthy).ln()
                + clean as f64 * ((1.0 - sick) / (1.0 - healthy)).ln();
            log.exp()
        });
        self.0.look(1, gains);
    }

    /// The value of the e-process.
    pub fn value(&self) -> f64 {
        self.0.value()
    }
}

/// The share of bad answers that is nothing to speak of where `limit` (of 1) is the most allowed: half the odds.
pub fn healthy(limit: f64) -> f64 {
    // The bounds keep the logarithms finite at limits of 0 and 1.
    let limit = limit.clamp(2e-4, 0.999);
    let odds = limit / (1.0 - limit) / 2.0;
    odds / (1.0 + odds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::dice::Dice;

    /// In how many of 2,000 series of looks the value reaches `limit`.
    fn reached(limit: f64, mut series: impl FnMut(&mut Dice) -> f64) -> u32 {
        let mut dice = Dice(11);
        (0..2000)
            .map(|_| u32::from(series(&mut dice) >= limit))
            .sum()
    }

    #[test]
    fn what_both_suffer_blames_nobody_in_more_releases_than_promised() {
        // Rates that drift, a common outage, at three weights in turn.
        let wrong = reached(100.0, |dice| {
            let (mut test, mut highest) = (TwoSample::default(), 0.0f64);
            for second in 0..300u64 {
                let share = [0.05, 0.2, 0.5][(second / 100) as usize];
                let outage = (140..143).contains(&second);
                let rate = if outage {
                    0.9
                } else {
                    0.01 * (1.0 + (second as f64 / 20.0).sin())
                };
                let (mine, theirs) = dice.split(20, share);
                let bad = (dice.failures(mine, rate), dice.failures(theirs, rate));
                test.look(bad, (mine, theirs));
                highest = highest.max(test.value());
            }
            highest
        });
        assert!(wrong <= 20, "{wrong} of 2000 where 1 % are promised");
    }

    #[test]
    fn a_ceiling_is_wrong_no_more_often_than_promised_at_its_healthy_rate() {
        let wrong = reached(100.0, |dice| {
            let (mut test, mut highest) = (Ceiling::default(), 0.0f64);
            for _ in 0..300 {
                test.look(dice.failures(10, 0.005), 10, 0.005);
                highest = highest.max(test.value());
            }
            highest
        });
        assert!(wrong <= 20, "{wrong} of 2000 where 1 % are promised");
    }

    #[test]
    fn an_hour_of_clean_answers_does_not_shield_a_bad_minute() {
        let needed = |clean_looks: u64| {
            let mut two = TwoSample::default();
            let mut one = Ceiling::default();
            for _ in 0..clean_looks {
                two.look((0, 0), (1, 19));
                one.look(0, 1, 0.005);
            }
            let mut errors = [0, 0];
            for _ in 0..20 {
                if two.value() < 250.0 {
                    errors[0] += 1;
                    two.look((1, 0), (1, 19));
                }
                if one.value() < 333.0 {
                    errors[1] += 1;
                    one.look(1, 1, 0.005);
                }
            }
            errors
        };
        assert_eq!(needed(0), [3, 2]);
        assert_eq!(needed(3600), [3, 5]);
    }

    #[test]
    fn what_stable_has_as_well_tells_nothing() {
        let mut test = TwoSample::default();
        for _ in 0..100 {
            test.look((1, 19), (1, 19));
        }
        assert!(test.value() < 2.0, "{}", test.value());
        // All requests on one side: there is nothing to compare with.
        test.look((20, 0), (20, 0));
        test.look((0, 3), (0, 20));
        assert!(test.value() < 2.0, "{}", test.value());
    }

    #[test]
    fn a_limit_of_half_is_no_ceiling_that_everything_breaks() {
        assert!((healthy(0.01) - 0.005).abs() < 1e-4);
        assert!((healthy(0.5) - 1.0 / 3.0).abs() < 1e-9);
        let mut test = Ceiling::default();
        for _ in 0..200 {
            test.look(3, 10, healthy(0.5));
        }
        assert!(test.value() < 10.0, "30 % where half is allowed");
        for _ in 0..20 {
            test.look(9, 10, healthy(0.5));
        }
        assert!(test.value() > 1000.0);
    }
}
