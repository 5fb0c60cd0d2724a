//! What users meet at stable beside the candidate: whether one is clearly better off with the other.

use super::metrics::Tally;
use super::statistics::{Confidence, binomial_tail, highest_plausible_rate};

/// The chance at most of taking stable for worse where it is not.
const DOUBT: f64 = 0.01;
/// So many answers of stable's speak for all of its users.
const LEAST_TO_TELL: u64 = 20;

/// Whether stable fails more often than chance and the candidate's highest plausible rate of errors in the same time explain.
///
/// ```
/// use sluicegate_core::analysis::{Tally, stable_is_worse};
///
/// let of = |errors, requests| Tally { errors, requests, ..Tally::default() };
/// assert!(stable_is_worse(&of(60, 200), &of(0, 100)));
/// // Both suffer from the same.
/// assert!(!stable_is_worse(&of(60, 200), &of(25, 100)));
/// // A dozen of answers is no measure of a few percent.
/// assert!(!stable_is_worse(&of(6, 200), &of(0, 12)));
/// ```
pub fn stable_is_worse(stable: &Tally, candidate: &Tally) -> bool {
    let plausible = highest_plausible_rate(candidate.errors, candidate.requests, Confidence::HIGH);
    binomial_tail(stable.errors, stable.requests, plausible) < DOUBT
}

/// Whether stable gives its users nothing but errors, while the candidate does better.
///
/// All of the window's answers have failed: one that was good before says that stable may be so again.
pub fn stable_fails_everybody(stable: &Tally, candidate: &Tally) -> bool {
    stable.requests >= LEAST_TO_TELL
        && stable.errors == stable.requests
        && stable_is_worse(stable, candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errors: u64, requests: u64) -> Tally {
        Tally {
            requests,
            errors,
            ..Tally::default()
        }
    }

    #[test]
    fn stable_fails_everybody_only_where_nothing_else_was_seen_of_it() {
        assert!(stable_fails_everybody(&of(190, 190), &of(0, 10)));
        assert!(!stable_fails_everybody(&of(189, 190), &of(0, 10)));
        // Too few, and nothing to compare with.
        assert!(!stable_fails_everybody(&of(19, 19), &of(0, 10)));
        assert!(!stable_fails_everybody(&of(190, 190), &of(0, 0)));
        assert!(!stable_fails_everybody(&of(190, 190), &of(10, 10)));
    }
}
