//! Dividing requests between revisions: exact in every hundred, random within it.
//!
//! A canary at 5 % that is drawn by dice gets 0 of the next 100 requests once in
//! 170 tries and 9 or more about as often; its evidence then says more of the dice
//! than of the release. Here the first 100 requests after a change hold exactly 5,
//! and so does each hundred after it. Within a hundred each target's share is spread
//! out (one draw in each equal stratum), so that a window that straddles two
//! hundreds is never far off either, and which requests are taken is random, so that
//! a client whose calls come in a fixed order is not always served by one revision.
//!
//! Knows numbers only: not hosts, not revisions.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, RngExt};

/// Distinct hundreds drawn in advance; then they repeat. 32 of them take 6.4 KB and
/// make the period 3,200 requests, long against any order in a client's calls.
const EPOCHS: usize = 32;

/// A schedule of target indices and the one counter that walks it.
#[derive(Debug)]
pub struct Split {
    schedule: Box<[u16]>,
    next: AtomicUsize,
}

impl Split {
    /// Draws a schedule for `weights`; `None` when they are all zero.
    ///
    /// Weights are percents: an Ingress's splits sum to 100. Should they not, the
    /// window in which the split is exact is their sum.
    pub fn new(weights: &[u16], rng: &mut impl Rng) -> Option<Split> {
        let mut live = weights.iter().enumerate().filter(|(_, w)| **w > 0);
        let first = live.next()?;
        let schedule = if live.next().is_none() {
            Box::from([u16::try_from(first.0).ok()?])
        } else {
            (0..EPOCHS)
                .flat_map(|_| draw_window(weights, rng))
                .collect()
        };
        Some(Split {
            schedule,
            next: AtomicUsize::new(0),
        })
    }

    /// The index of the target that takes the next request. Never blocks.
    pub fn pick(&self) -> usize {
        let position = match self.schedule.len() {
            1 => 0,
            length => self.next.fetch_add(1, Ordering::Relaxed) % length,
        };
        self.schedule.get(position).copied().map_or(0, usize::from)
    }
}

/// One window: the k-th of a target's n turns falls at random into the k-th of n
/// equal strata, and the order of those points is the order of turns.
fn draw_window(weights: &[u16], rng: &mut impl Rng) -> Vec<u16> {
    let mut turns: Vec<(f64, u16)> = Vec::with_capacity(100);
    for (target, weight) in (0u16..).zip(weights) {
        for turn in 0..*weight {
            let point = (f64::from(turn) + rng.random::<f64>()) / f64::from(*weight);
            turns.push((point, target));
        }
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    turns.into_iter().map(|(_, target)| target).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    fn count(split: &Split, targets: usize, requests: usize) -> Vec<u16> {
        let mut seen = vec![0; targets];
        for _ in 0..requests {
            seen[split.pick()] += 1;
        }
        seen
    }

    /// Weights that sum to 100: cuts of the line 0..100, zero widths included.
    fn weights() -> impl Strategy<Value = Vec<u16>> {
        proptest::collection::vec(0u16..=100, 0..6).prop_map(|mut cuts| {
            cuts.extend([0, 100]);
            cuts.sort_unstable();
            cuts.windows(2).map(|w| w[1] - w[0]).collect()
        })
    }

    proptest! {
        #[test]
        fn every_hundred_holds_each_target_exactly_its_percent(weights in weights(), seed: u64) {
            let split = Split::new(&weights, &mut SmallRng::seed_from_u64(seed)).unwrap();
            for _ in 0..EPOCHS + 2 {
                prop_assert_eq!(&count(&split, weights.len(), 100), &weights);
            }
        }

        #[test]
        fn a_window_across_two_hundreds_is_at_most_a_few_requests_off(
            percent in 1u16..100, offset in 1usize..100, seed: u64,
        ) {
            let weights = [100 - percent, percent];
            let split = Split::new(&weights, &mut SmallRng::seed_from_u64(seed)).unwrap();
            count(&split, 2, offset);
            let seen = count(&split, 2, 100);
            prop_assert!(seen[1].abs_diff(percent) <= 4, "{} for {percent} %", seen[1]);
        }
    }

    #[test]
    fn a_canary_at_five_percent_waits_no_longer_than_two_strata() {
        let split = Split::new(&[95, 5], &mut SmallRng::seed_from_u64(7)).unwrap();
        let turns: Vec<usize> = (0..3_200).filter(|_| split.pick() == 1).collect();
        let gaps = turns.windows(2).map(|w| w[1] - w[0]);
        assert!(gaps.max().unwrap() <= 42, "strata of 20 requests");
    }

    #[test]
    fn hundreds_differ_from_each_other() {
        let split = Split::new(&[50, 50], &mut SmallRng::seed_from_u64(1)).unwrap();
        let hundreds: std::collections::HashSet<Vec<usize>> = (0..EPOCHS)
            .map(|_| (0..100).map(|_| split.pick()).collect())
            .collect();
        assert_eq!(hundreds.len(), EPOCHS);
    }

    #[test]
    fn zero_weights_serve_nothing() {
        let mut rng = SmallRng::seed_from_u64(1);
        assert!(Split::new(&[], &mut rng).is_none());
        assert!(Split::new(&[0, 0], &mut rng).is_none());
        let whole = Split::new(&[0, 100, 0], &mut rng).unwrap();
        assert_eq!(count(&whole, 3, 250), [0, 250, 0]);
    }

    #[test]
    fn threads_that_share_a_split_share_its_hundreds() {
        let split = Split::new(&[70, 30], &mut SmallRng::seed_from_u64(3)).unwrap();
        let minor: u16 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| count(&split, 2, 250)[1]))
                .collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert_eq!(minor, 300);
    }
}
