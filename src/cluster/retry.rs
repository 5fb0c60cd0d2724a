//! How long to wait before the next try.

use std::time::Duration;

/// A wait that doubles from a fifth of a second to a ceiling, each with jitter so that
/// many waiters do not come back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    tries: u32,
    ceiling: Duration,
}

impl Backoff {
    /// A fresh one.
    pub fn new(ceiling: Duration) -> Self {
        Self { tries: 0, ceiling }
    }

    /// The next wait; `jitter` is a random number from 0 to 1.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let full = Duration::from_millis(200)
            .saturating_mul(1 << self.tries.min(16))
            .min(self.ceiling);
        self.tries = self.tries.saturating_add(1);
        // Half fixed, half random: never at once, never all together.
        full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }

    /// How often it was asked since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// It worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_its_ceiling_and_starts_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let mut waits = |jitter| backoff.next(jitter).as_millis();
        assert_eq!(
            [waits(1.0), waits(1.0), waits(1.0), waits(1.0), waits(0.0)],
            [200, 400, 800, 1000, 500]
        );
        for _ in 0..100 {
            backoff.next(0.5);
        }
        backoff.reset();
        assert_eq!(backoff.next(1.0).as_millis(), 200);
    }
}
