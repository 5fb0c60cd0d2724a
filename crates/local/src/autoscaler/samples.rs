//! Concurrency over time: one sample a tick, averaged over a window.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

/// Samples of one revision, newest last, no older than its window.
#[derive(Clone, Debug, Default)]
pub struct Samples(VecDeque<(Timestamp, f64)>);

impl Samples {
    /// Adds a sample and lets go of what is older than `keep`.
    pub fn add(&mut self, now: Timestamp, concurrency: f64, keep: Duration) {
        // A poke between two ticks must not weigh as much as a tick.
        match self.0.back_mut() {
            Some((at, sample)) if at.as_second() == now.as_second() => {
                *sample = sample.max(concurrency);
            }
            _ => self.0.push_back((now, concurrency)),
        }
        while self.0.front().is_some_and(|(at, _)| age(*at, now) > keep) {
            self.0.pop_front();
        }
    }

    /// The mean over the last `window`, from the first sample on where the window is not
    /// full; `None` without a sample.
    pub fn mean(&self, now: Timestamp, window: Duration) -> Option<f64> {
        let (sum, count) = self
            .0
            .iter()
            .rev()
            .take_while(|(at, _)| age(*at, now) <= window)
            .fold((0.0, 0.0), |(sum, count), (_, sample)| {
                (sum + sample, count + 1.0)
            });
        (count > 0.0).then(|| sum / count)
    }
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_mean_counts_from_the_first_sample_and_forgets_the_old() {
        let (mut samples, window) = (Samples::default(), Duration::from_secs(4));
        assert_eq!(samples.mean(at(0), window), None);
        samples.add(at(1), 6.0, window);
        assert_eq!(samples.mean(at(1), window), Some(6.0));
        samples.add(at(2), 2.0, window);
        assert_eq!(samples.mean(at(2), window), Some(4.0));
        samples.add(at(6), 0.0, window);
        assert_eq!(
            samples.mean(at(6), window),
            Some(1.0),
            "the 6 has left the window"
        );
        assert_eq!(samples.mean(at(6), Duration::from_secs(1)), Some(0.0));
    }

    #[test]
    fn several_looks_in_one_second_are_one_sample() {
        let (mut samples, window) = (Samples::default(), Duration::from_secs(60));
        samples.add(at(1), 0.0, window);
        for _ in 0..9 {
            samples.add(at(2), 10.0, window);
        }
        assert_eq!(samples.mean(at(2), window), Some(5.0));
    }
}
