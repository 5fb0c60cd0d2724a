//! How long to wait before the next try of what failed: the one back-off of the deployer.

use std::time::Duration;

/// A wait that doubles with each failure in a row, from a first one to a longest one.
///
/// Pure: it neither sleeps nor rolls dice.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits `first` after the first failure, and never more than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// Counts one more failure, and returns the wait before the next try.
    ///
    /// `jitter`, a random number from 0 to 1, takes away up to half of it, so that many who lost
    /// one server do not come back in one moment. It only shortens: the longest wait stays that.
    pub fn failed(&mut self, jitter: f64) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let full = self.first.saturating_mul(factor).min(self.longest);
        let share = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        full.mul_f64(1.0 - share / 2.0)
    }

    /// How many failures were counted since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It worked: the next wait is the first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wait_doubles_to_the_longest_and_starts_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));
        let waits: Vec<u64> = (0..10).map(|_| backoff.failed(0.0).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        for _ in 0..100 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.failed(0.0).as_secs(), 300);
        assert_eq!(backoff.failures(), 111);
        backoff.reset();
        assert_eq!(backoff.failed(0.0).as_secs(), 2);
    }

    proptest! {
        #[test]
        fn jitter_only_shortens_and_never_by_more_than_half(failures in 0u32..40, jitter: f64) {
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
            for _ in 0..failures {
                backoff.failed(0.0);
            }
            let full = backoff.clone().failed(0.0);
            let wait = backoff.failed(jitter);
            prop_assert!(wait <= full);
            prop_assert!(wait * 2 >= full);
        }
    }
}
