//! When the cluster is asked again about something of a service that it refused.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::rollout::ASKED_AGAIN;

/// How soon it is asked again at first: a dry-run of a Service costs Knative's webhook 190 ms, and the whole cluster
/// answers twenty a second.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The tries of one thing that was refused: ever later, and [`ASKED_AGAIN`] at the latest. Another thing is tried
/// at once.
#[derive(Debug)]
pub(super) struct Retry<T> {
    last: Option<(T, Instant)>,
    backoff: Backoff,
}

impl<T: PartialEq> Retry<T> {
    /// Nothing was tried yet.
    pub fn new() -> Self {
        Self {
            last: None,
            backoff: Backoff::new(FIRST_WAIT, ASKED_AGAIN),
        }
    }

    /// It was tried, and the next time is later than this one was.
    pub fn tried(&mut self, what: T, now: Instant) {
        if self.last.as_ref().is_none_or(|(last, _)| *last != what) {
            self.backoff.reset();
        }
        self.last = Some((what, now + self.backoff.failed(0.0)));
    }

    /// How long it has to wait yet; nothing where it is due.
    pub fn due_in(&self, what: &T, now: Instant) -> Duration {
        match &self.last {
            Some((last, next)) if last == what => next.saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }

    /// How long what was tried last has to wait yet.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let (_, next) = self.last.as_ref()?;
        Some(next.saturating_duration_since(now))
    }

    /// It was taken, or a person wants it tried now.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_tried_ever_later_and_what_is_new_at_once() {
        let start = Instant::now();
        let mut retry = Retry::new();
        let mut seconds = Vec::new();
        for second in 0..1300 {
            let now = start + Duration::from_secs(second);
            if retry.due_in(&"one", now).is_zero() {
                seconds.push(second);
                retry.tried("one", now);
            }
        }
        assert_eq!(seconds, [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215]);
        let now = start + Duration::from_secs(1300);
        assert_eq!(retry.due_in(&"one", now), Duration::from_secs(215));
        assert_eq!(retry.due_in(&"two", now), Duration::ZERO);
        retry.tried("two", now);
        assert_eq!(retry.due_in(&"two", now), FIRST_WAIT);
        retry.forget();
        assert_eq!(retry.due_in(&"two", now), Duration::ZERO);
    }

    #[test]
    fn what_is_taken_in_between_and_refused_again_waits_as_long_as_before() {
        let start = Instant::now();
        let mut retry = Retry::new();
        for second in [0, 5, 15] {
            retry.tried("one", start + Duration::from_secs(second));
        }
        // A dry-run that succeeds is a try as well: nobody begins a release each five seconds that is refused then.
        let now = start + Duration::from_secs(35);
        retry.tried("one", now);
        assert_eq!(retry.due_in(&"one", now), Duration::from_secs(40));
    }
}
