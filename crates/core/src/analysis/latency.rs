//! Answer times, exact or in buckets, and only what can honestly be said of them.
//!
//! A histogram does not know its quantiles; it knows between which two bucket edges
//! they lie. Interpolating between the edges turns 800 ms into 995 ms, so nothing here
//! interpolates: a quantile is a span, and a request counts as slower than a limit only
//! when its whole bucket is.

use std::fmt;

/// A set of answer times.
#[derive(Clone, Debug, PartialEq)]
pub enum Latencies {
    /// Every single one, in milliseconds, ascending (our own probes).
    Exact(Vec<f64>),
    /// How many fell between two edges, ascending (a Prometheus histogram).
    Buckets(Vec<Bucket>),
}

/// Answers that took longer than `over` and at most `up_to` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower edge in milliseconds, not part of the bucket.
    pub over: f64,
    /// Upper edge in milliseconds, part of the bucket; infinite for the last.
    pub up_to: f64,
    /// How many.
    pub count: u64,
}

/// Where a figure lies, in milliseconds; both ends are the same for an exact one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// At least this much.
    pub from: f64,
    /// At most this much; infinite where the histogram ends.
    pub to: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Latencies {
    /// Exact times in milliseconds, in any order; what is not a number is left out.
    pub fn exact(mut milliseconds: Vec<f64>) -> Self {
        milliseconds.retain(|ms| ms.is_finite());
        milliseconds.sort_by(f64::total_cmp);
        Self::Exact(milliseconds)
    }

    /// Exact times with others of their kind; what is in buckets is left as it is.
    pub(super) fn with(&self, others: &Self) -> Self {
        match (self, others) {
            (Self::Exact(mine), Self::Exact(theirs)) => {
                Self::exact([mine.as_slice(), theirs].concat())
            }
            _ => self.clone(),
        }
    }

    /// How many answers there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Exact(times) => times.len() as u64,
            Self::Buckets(buckets) => buckets.iter().map(|bucket| bucket.count).sum(),
        }
    }

    /// How many answers certainly took longer than `limit` milliseconds.
    pub fn certainly_over(&self, limit: f64) -> u64 {
        match self {
            Self::Exact(times) => times.iter().filter(|ms| **ms > limit).count() as u64,
            Self::Buckets(buckets) => buckets
                .iter()
                .filter(|bucket| bucket.over >= limit)
                .map(|bucket| bucket.count)
                .sum(),
        }
    }

    /// The sum of all of them in milliseconds: at most this much, where they are in buckets.
    pub fn total(&self) -> f64 {
        match self {
            Self::Exact(times) => times.iter().sum(),
            Self::Buckets(buckets) => {
                let most = |bucket: &Bucket| {
                    if bucket.up_to.is_finite() {
                        bucket.up_to
                    } else {
                        bucket.over
                    }
                };
                let of = |bucket: &Bucket| bucket.count as f64 * most(bucket);
                buckets.iter().map(of).sum()
            }
        }
    }

    /// Where the given quantile (0 to 1) lies; `None` without a single answer.
    pub fn quantile(&self, q: f64) -> Option<Span> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        match self {
            Self::Exact(times) => times
                .get(usize::try_from(rank - 1).ok()?)
                .map(|ms| Span { from: *ms, to: *ms }),
            Self::Buckets(buckets) => {
                let mut seen = 0;
                buckets.iter().find_map(|bucket| {
                    seen += bucket.count;
                    (seen >= rank).then_some(Span {
                        from: bucket.over,
                        to: bucket.up_to,
                    })
                })
            }
        }
    }
}

impl fmt::Display for Span {
    /// `41 ms`, `500-1000 ms`, `over 10000 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |ms: f64| {
            if ms < 10.0 && ms.fract() != 0.0 {
                format!("{ms:.1}")
            } else {
                format!("{ms:.0}")
            }
        };
        if self.to.is_infinite() {
            write!(f, "over {} ms", figure(self.from))
        } else if (self.to - self.from).abs() < f64::EPSILON {
            write!(f, "{} ms", figure(self.to))
        } else {
            write!(f, "{}-{} ms", figure(self.from), figure(self.to))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64, u64)]) -> Latencies {
        Latencies::Buckets(
            counts
                .iter()
                .map(|&(over, up_to, count)| Bucket { over, up_to, count })
                .collect(),
        )
    }

    #[test]
    fn a_histogram_says_between_which_edges_a_quantile_lies_and_no_more() {
        let slow = buckets(&[(25.0, 50.0, 2), (500.0, 1000.0, 98)]);
        assert_eq!(slow.quantile(0.99).unwrap().to_string(), "500-1000 ms");
        assert_eq!(slow.quantile(0.01).unwrap().to_string(), "25-50 ms");
        assert_eq!(slow.certainly_over(500.0), 98, "the whole bucket is over");
        assert_eq!(slow.certainly_over(700.0), 0, "some of it may be under");
    }

    #[test]
    fn exact_times_give_exact_quantiles() {
        let times = Latencies::exact((1..=100).rev().map(f64::from).collect());
        assert_eq!(times.quantile(0.99).unwrap().to_string(), "99 ms");
        assert_eq!(times.quantile(0.5).unwrap().to_string(), "50 ms");
        assert_eq!(times.certainly_over(99.0), 1);
        assert_eq!(Latencies::default().quantile(0.5), None);
    }

    #[test]
    fn the_last_bucket_has_no_upper_edge() {
        let endless = buckets(&[(10_000.0, f64::INFINITY, 1)]);
        assert_eq!(endless.quantile(0.5).unwrap().to_string(), "over 10000 ms");
    }
}
