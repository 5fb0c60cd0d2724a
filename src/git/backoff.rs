//! How long to leave a remote alone that did not answer.

use std::time::Duration;

/// Wait after the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// The longest wait: a remote that comes back is noticed within five minutes.
const LONGEST: Duration = Duration::from_secs(300);

/// The wait after `attempt` failures in a row (1 is the first), doubled each time.
///
/// `jitter` in 0..=1 takes away up to half of it, so that many Deliveries of one lost
/// server do not come back in one moment. Pure: the caller rolls the dice.
pub fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let share = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        0.0
    };
    full.mul_f64(1.0 - share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let waits: Vec<u64> = (0..=10).map(|n| backoff(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    proptest! {
        #[test]
        fn jitter_only_shortens_and_never_by_more_than_half(attempt: u32, jitter: f64) {
            let wait = backoff(attempt, jitter);
            prop_assert!(wait <= backoff(attempt, 0.0));
            prop_assert!(wait * 2 >= backoff(attempt, 0.0));
        }
    }
}
