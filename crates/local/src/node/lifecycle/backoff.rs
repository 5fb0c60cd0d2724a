//! How long a container that failed waits before it is started again.
//!
//! A kubelet's rule: the first restart comes at once, the next after 10 s, and
//! each further one after twice the time, up to 5 minutes; a container that then
//! ran for twice that limit starts afresh.

use std::time::Duration;

use jiff::Timestamp;

/// The times of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait; after twice this time without a failure all is forgotten.
    pub max: Duration,
}

impl Default for BackoffPolicy {
    /// A kubelet's: 10 s to 5 min.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(10),
            max: Duration::from_secs(300),
        }
    }
}

/// Where one container stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    current: Option<(Duration, Timestamp)>,
}

impl Backoff {
    /// The wait that a container which failed at `failed` has to keep; `None`: none.
    pub fn wait(&self, policy: BackoffPolicy, failed: Timestamp) -> Option<Duration> {
        self.unexpired(policy, failed)
    }

    /// Notes that it is started again at `now`, after it failed at `failed`.
    pub fn restarted(&mut self, policy: BackoffPolicy, failed: Timestamp, now: Timestamp) {
        let next = match self.unexpired(policy, failed) {
            Some(wait) => wait.saturating_mul(2).min(policy.max),
            None => policy.initial,
        };
        self.current = Some((next, now));
    }

    fn unexpired(&self, policy: BackoffPolicy, failed: Timestamp) -> Option<Duration> {
        let (wait, since) = self.current?;
        let quiet = Duration::try_from(failed.duration_since(since)).unwrap_or_default();
        (quiet <= policy.max.saturating_mul(2)).then_some(wait)
    }
}

/// A duration as a kubelet's messages have it: `10s`, `1m20s`, `5m0s`.
pub fn words(wait: Duration) -> String {
    let seconds = wait.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{}ms", wait.as_millis()),
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The waits of a container that fails `runs_for` seconds after each start.
    fn waits(count: usize, runs_for: i64) -> Vec<String> {
        let policy = BackoffPolicy::default();
        let (mut backoff, mut now) = (Backoff::default(), 0);
        let mut waits = Vec::new();
        for _ in 0..count {
            let failed = now + runs_for;
            let wait = backoff.wait(policy, at(failed));
            now = failed + wait.map_or(0, |wait| wait.as_secs() as i64);
            backoff.restarted(policy, at(failed), at(now));
            waits.push(wait.map_or("at once".into(), words));
        }
        waits
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        expect_test::expect!["at once, 10s, 20s, 40s, 1m20s, 2m40s, 5m0s, 5m0s"]
            .assert_eq(&waits(8, 1).join(", "));
    }

    #[test]
    fn ten_good_minutes_forgive_everything() {
        assert_eq!(waits(3, 600), ["at once", "10s", "20s"]);
        assert_eq!(waits(3, 601), ["at once", "at once", "at once"]);
    }
}
