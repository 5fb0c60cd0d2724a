//! The two tests that judging rests on, both exact for small numbers.

/// A sequential probability ratio test (Wald) between a healthy and a sick error rate.
///
/// It may be looked at after every request without losing its error bounds, which is what
/// judging a running release needs: it rejects after a handful of early errors, and
/// accepts only after enough clean answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sprt {
    healthy: f64,
    sick: f64,
}

/// Chance of condemning a healthy release.
const ALPHA: f64 = 0.01;
/// Chance of accepting a sick one.
const BETA: f64 = 0.05;

/// What the test says so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SprtVerdict {
    /// Sick, with at most 1 % chance of being wrong.
    Reject,
    /// Not decided; more likely sick than healthy.
    LeansSick,
    /// Not decided; more likely healthy than sick.
    LeansHealthy,
    /// Healthy, with at most 5 % chance of being wrong.
    Accept,
}

impl Sprt {
    /// The test around a limit, in percent: half of it is healthy, twice of it is sick.
    /// At 1 %: 197 clean requests accept, 4 early errors reject.
    pub fn around(limit_percent: f64) -> Self {
        // The bounds keep the logarithms finite at limits of 0 % and 100 %.
        let healthy = (limit_percent / 200.0).clamp(1e-4, 0.5);
        Self {
            healthy,
            sick: (healthy * 4.0).min(0.999),
        }
    }

    /// What `errors` among `requests` say.
    pub fn judge(&self, errors: u64, requests: u64) -> SprtVerdict {
        let errors = errors as f64;
        let clean = (requests as f64 - errors).max(0.0);
        let evidence = errors * (self.sick / self.healthy).ln()
            + clean * ((1.0 - self.sick) / (1.0 - self.healthy)).ln();
        if evidence >= ((1.0 - BETA) / ALPHA).ln() {
            SprtVerdict::Reject
        } else if evidence <= (BETA / (1.0 - ALPHA)).ln() {
            SprtVerdict::Accept
        } else if evidence > 0.0 {
            SprtVerdict::LeansSick
        } else {
            SprtVerdict::LeansHealthy
        }
    }
}

/// The chance that at least `hits` of `trials` happen when each does with chance `p`.
pub fn binomial_tail(hits: u64, trials: u64, p: f64) -> f64 {
    if hits == 0 || p >= 1.0 {
        return 1.0;
    }
    if hits > trials || p <= 0.0 {
        return 0.0;
    }
    // In logarithms from the first term on: each next term is the last one times a ratio.
    let (n, odds) = (trials as f64, p / (1.0 - p));
    let k = hits as f64;
    let mut log_term = ln_choose(trials, hits) + k * p.ln() + (n - k) * (1.0 - p).ln();
    let mut sum = 0.0;
    for i in hits..=trials {
        let term = log_term.exp();
        sum += term;
        // Past the peak the rest is smaller than any figure that decides.
        if term < 1e-12 * sum && i as f64 > n * p {
            break;
        }
        let next = (trials - i) as f64 / (i + 1) as f64 * odds;
        if next <= 0.0 {
            break;
        }
        log_term += next.ln();
    }
    sum.min(1.0)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Stirling's series; exact enough (1e-8) from 10 on, a product below.
fn ln_factorial(n: u64) -> f64 {
    if n < 10 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + 1.0 / (12.0 * x)
        - 1.0 / (360.0 * x.powi(3))
}

/// How sure [`highest_plausible_rate`] is to be, as a quantile of the normal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence(f64);

impl Confidence {
    /// 95 %.
    pub const USUAL: Self = Self(1.645);
    /// 99 %.
    pub const HIGH: Self = Self(2.326);
}

/// The highest rate that `hits` among `trials` do not exclude (Wilson, one-sided).
pub fn highest_plausible_rate(hits: u64, trials: u64, confidence: Confidence) -> f64 {
    let z = confidence.0;
    if trials == 0 {
        return 1.0;
    }
    let n = trials as f64;
    let p = hits as f64 / n;
    let centre = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre + spread) / (1.0 + z * z / n)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn around_one_percent_197_clean_requests_accept_and_4_early_errors_reject() {
        let test = Sprt::around(1.0);
        assert_eq!(test.judge(0, 196), SprtVerdict::LeansHealthy);
        assert_eq!(test.judge(0, 197), SprtVerdict::Accept);
        assert_eq!(test.judge(3, 4), SprtVerdict::LeansSick);
        assert_eq!(test.judge(4, 4), SprtVerdict::Reject);
        assert_eq!(test.judge(4, 30), SprtVerdict::Reject);
        assert_eq!(test.judge(1, 50), SprtVerdict::LeansSick);
        assert_eq!(test.judge(1, 100), SprtVerdict::LeansHealthy);
    }

    #[test]
    fn the_extreme_limits_still_give_an_answer() {
        assert_eq!(Sprt::around(0.0).judge(4, 10), SprtVerdict::Reject);
        assert_ne!(Sprt::around(100.0).judge(3, 100), SprtVerdict::Reject);
    }

    #[test]
    fn the_binomial_tail_agrees_with_sums_done_by_hand() {
        assert!((binomial_tail(1, 1, 0.01) - 0.01).abs() < 1e-9);
        assert!((binomial_tail(1, 10, 0.1) - 0.651_321_559_9).abs() < 1e-7);
        assert!((binomial_tail(5, 10, 0.5) - 0.623_046_875).abs() < 1e-7);
        assert!((binomial_tail(2, 15, 0.01) - 0.009_629_8).abs() < 1e-5);
        assert_eq!(binomial_tail(3, 2, 0.5), 0.0);
    }

    proptest! {
        #[test]
        fn more_errors_never_look_healthier(errors in 0u64..500, clean in 0u64..500, p in 0.001f64..0.9) {
            let n = errors + clean + 1;
            prop_assert!(binomial_tail(errors + 1, n, p) <= binomial_tail(errors, n, p) + 1e-9);
            let rank = |v| match v {
                SprtVerdict::Accept => 0, SprtVerdict::LeansHealthy => 1,
                SprtVerdict::LeansSick => 2, SprtVerdict::Reject => 3,
            };
            let test = Sprt::around(p * 100.0);
            prop_assert!(rank(test.judge(errors + 1, n)) >= rank(test.judge(errors, n)));
        }
    }
}
