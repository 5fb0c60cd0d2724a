//! Where chance comes from: one seed and the number of a sequence give the same choices again.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// The choices of one sequence.
pub struct Chance {
    random: SmallRng,
    /// How many of a thousand values are not what belongs there.
    pub odd: u32,
    /// Whether even values that rules are against are left out.
    pub sound: bool,
}

impl Chance {
    /// The choices of the sequence of this number.
    pub fn of(seed: u64, sequence: u64) -> Self {
        let mixed = seed ^ sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = SmallRng::seed_from_u64(mixed);
        // Half of the sequences are sound; the rest have more or fewer faults.
        let odd = *[0, 0, 0, 8, 30].get(random.random_range(0..5)).unwrap();
        let sound = odd == 0 && sequence % 5 < 3;
        Self { random, odd, sound }
    }

    /// Whether it happens, of a hundred times this often.
    pub fn percent(&mut self, of_hundred: u32) -> bool {
        self.random.random_range(0..100) < of_hundred
    }

    /// Whether a value is to be an odd one.
    pub fn oddly(&mut self) -> bool {
        self.odd > 0 && self.random.random_range(0..1000) < self.odd
    }

    /// A number below this one.
    pub fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit.max(1))
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len());
        &of[at]
    }

    /// One of these, the heavier the more often.
    pub fn weighted<T: Copy>(&mut self, of: &[(u32, T)]) -> T {
        let total: u32 = of.iter().map(|(weight, _)| weight).sum();
        let mut at = self.random.random_range(0..total);
        for (weight, one) in of {
            if at < *weight {
                return *one;
            }
            at -= weight;
        }
        unreachable!("the weights add up")
    }
}
