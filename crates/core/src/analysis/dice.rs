//! Random numbers that are the same on every machine and for ever, for simulations.

/// A stream of them (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    /// Between 0 and 1, never 0.
    pub fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// How many of `requests` fail when each does with chance `p`: from one failure to the
    /// next by the length of the gap between them.
    pub fn failures(&mut self, requests: u64, p: f64) -> u64 {
        if p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return requests;
        }
        let (mut at, mut failed) = (0.0, 0);
        loop {
            at += (self.roll().ln() / (1.0 - p).ln()).floor() + 1.0;
            if at > requests as f64 {
                return failed;
            }
            failed += 1;
        }
    }

    /// How many come where so many come on average (Poisson).
    pub fn arrivals(&mut self, mean: f64) -> u64 {
        let (mut at, mut come) = (0.0, 0);
        loop {
            at -= self.roll().ln();
            if at > mean {
                return come;
            }
            come += 1;
        }
    }

    /// How many of `requests` go to the side that has this share, and how many to the other.
    pub fn split(&mut self, requests: u64, share: f64) -> (u64, u64) {
        let one = self.failures(requests, share);
        (one, requests - one)
    }
}
