//! Requests that are not answered yet: what has been open for longer than the limit is late already.
//!
//! A gateway tells how many requests are open, and not for how long. As long as their number does not fall below some
//! figure, so many have been open all the time, or others took their places at once. How many places are taken in turn is
//! told by what was answered (Little's law: requests a second times their duration); what is open beyond that is stuck.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The open requests of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Open {
    /// So many are open now.
    pub now: u64,
    /// So many are open at a time by what was answered.
    pub busy: f64,
}

/// The open requests of both sides, over the last looks.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    looks: VecDeque<(Instant, [u64; 2])>,
    stuck: [u64; 2],
    most: [u64; 2],
}

impl InFlight {
    /// Adds a look at candidate and stable; after `limit` milliseconds a request is late. Returns how many more than ever
    /// before have been open for longer than that.
    pub fn look(&mut self, open: [Open; 2], limit: Option<f64>, now: Instant) -> (u64, u64) {
        let Some(limit) = limit else { return (0, 0) };
        let age = Duration::from_secs_f64((limit / 1000.0).clamp(0.001, 3600.0));
        self.looks.push_back((now, open.map(|open| open.now)));
        // Of those that are older than the limit, the latest one is needed.
        while let Some((next, _)) = self.looks.get(1)
            && now.saturating_duration_since(*next) >= age
        {
            self.looks.pop_front();
        }
        let first = self.looks.front().map(|(first, _)| *first);
        if first.is_none_or(|first| now.saturating_duration_since(first) < age) {
            return (0, 0);
        }
        let before = self.most;
        for (side, open) in open.into_iter().enumerate() {
            let least = self.looks.iter().filter_map(|(_, open)| open.get(side));
            let least = least.min().copied().unwrap_or_default();
            // Beyond three standard deviations of a number that comes and goes at random.
            let in_turn = (open.busy + 3.0 * open.busy.sqrt()).floor() as u64;
            let stuck = least.saturating_sub(in_turn);
            if let (Some(known), Some(most)) = (self.stuck.get_mut(side), self.most.get_mut(side)) {
                *known = stuck;
                *most = stuck.max(*most);
            }
        }
        let [mine, theirs] = [0, 1].map(|side: usize| {
            let of = |all: &[u64; 2]| all.get(side).copied().unwrap_or_default();
            of(&self.most) - of(&before)
        });
        (mine, theirs)
    }

    /// How many have been open for longer than the limit, by the last look.
    pub fn stuck(&self) -> (u64, u64) {
        let [mine, theirs] = self.stuck;
        (mine, theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The open requests that are found stuck, second by second, where each look has these numbers.
    fn stuck(looks: &[u64], busy: f64) -> Vec<u64> {
        let (mut in_flight, start) = (InFlight::default(), Instant::now());
        let mut told = Vec::new();
        for (second, now) in (0..).zip(looks) {
            let open = |now| Open { now, busy };
            let at = start + Duration::from_secs(second);
            told.push(in_flight.look([open(*now), open(0)], Some(2000.0), at).0);
        }
        told
    }

    #[test]
    fn what_never_ends_is_late_once_it_is_older_than_the_limit_and_only_once() {
        assert_eq!(stuck(&[1, 1, 1, 2, 2, 2, 2], 0.02), [0, 0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn requests_that_come_and_go_are_not_stuck() {
        assert_eq!(stuck(&[9, 14, 8, 11, 13, 10], 10.0), [0; 6]);
        assert_eq!(stuck(&[1, 0, 1, 0, 1, 0], 0.3), [0; 6]);
        // And forty of a busy service's are.
        assert_eq!(stuck(&[50, 55, 60, 61], 10.0), [0, 0, 31, 5]);
    }
}
