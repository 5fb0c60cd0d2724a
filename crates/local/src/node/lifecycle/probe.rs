//! When a container is probed, and what a row of results says. Pure: times are
//! counted from the container's start.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Until it succeeds, nothing else is probed; when it fails, the container restarts.
    Startup,
    /// Whether requests may go there.
    Readiness,
    /// When it fails, the container restarts.
    Liveness,
}

impl ProbeKind {
    /// As events name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// The numbers of a probe, with Kubernetes' defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Nothing is asked before.
    pub initial_delay: Duration,
    /// From one attempt to the next.
    pub period: Duration,
    /// An attempt that takes longer has failed.
    pub timeout: Duration,
    /// Successes in a row that make a success.
    pub success_threshold: u32,
    /// Failures in a row that make a failure.
    pub failure_threshold: u32,
}

impl Timing {
    /// Reads a probe. Zero, which Knative's "probe as fast as you can" has for the
    /// period, counts as not said.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            let value = value.and_then(|value| u64::try_from(value).ok());
            Duration::from_secs(value.filter(|value| *value > 0).unwrap_or(default))
        };
        let count = |value: Option<i32>, default: u32| {
            let value = value.and_then(|value| u32::try_from(value).ok());
            value.filter(|value| *value > 0).unwrap_or(default)
        };
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        }
    }
}

/// When the attempts are.
///
/// Regular attempts come once a period. Until the first success, startup and
/// readiness probes are also tried in between, quickly at first: what takes 20 ms
/// to start shall not wait 10 s to be found ready (Knative's queue-proxy does the
/// same). A failure in between does not count and is not told.
#[derive(Debug, Clone)]
pub struct Cadence {
    timing: Timing,
    regular: Duration,
    /// The next attempt in between, and the one after it.
    eager: Option<(Duration, Duration)>,
}

/// One attempt to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When, from the container's start.
    pub at: Duration,
    /// Whether a failure counts.
    pub counts: bool,
}

/// The first attempts in between are this far apart...
const EAGER_FIRST: Duration = Duration::from_millis(10);
/// ... and the later ones this far.
const EAGER_LAST: Duration = Duration::from_millis(500);

impl Cadence {
    /// The attempts of a probe that begins `begin` after the container's start
    /// (readiness and liveness wait for the startup probe).
    pub fn new(kind: ProbeKind, timing: Timing, begin: Duration) -> Self {
        let begin = begin.max(timing.initial_delay);
        let eager = (kind != ProbeKind::Liveness).then_some((begin, EAGER_FIRST));
        Self {
            timing,
            regular: begin + timing.period,
            eager,
        }
    }

    /// The next attempt; `now` is the time from the container's start.
    pub fn next(&mut self, now: Duration) -> Attempt {
        // A slow attempt may have passed the time of the next ones: those are left out.
        while self.regular + self.timing.period <= now {
            self.regular += self.timing.period;
        }
        match self.eager {
            Some((at, step)) if at < self.regular => {
                let next = at.max(now) + step;
                self.eager = Some((next, (step * 3 / 2).min(EAGER_LAST)));
                Attempt { at, counts: false }
            }
            _ => {
                let at = self.regular;
                self.regular += self.timing.period;
                Attempt { at, counts: true }
            }
        }
    }

    /// It succeeded: from now on only the regular attempts.
    pub fn succeeded(&mut self) {
        self.eager = None;
    }
}

/// Counts results in a row.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    run: u32,
    last: Option<bool>,
    verdict: Option<bool>,
}

impl Tracker {
    /// Takes a result; the verdict, when it changed by it.
    pub fn observe(&mut self, timing: &Timing, succeeded: bool) -> Option<bool> {
        self.run = if self.last == Some(succeeded) {
            self.run.saturating_add(1)
        } else {
            1
        };
        self.last = Some(succeeded);
        let threshold = match succeeded {
            true => timing.success_threshold,
            false => timing.failure_threshold,
        };
        let changed = self.run >= threshold && self.verdict != Some(succeeded);
        changed.then(|| {
            self.verdict = Some(succeeded);
            succeeded
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(success: i32, failure: i32) -> Timing {
        Timing::of(&Probe {
            success_threshold: Some(success),
            failure_threshold: Some(failure),
            ..Probe::default()
        })
    }

    #[test]
    fn a_verdict_needs_its_results_in_a_row() {
        for (success, failure, results, verdicts) in [
            (1, 3, "+", "+"),
            (1, 3, "---", "..-"),
            (1, 3, "--+--", "..+.."),
            (1, 3, "+++---+", "+....-+"),
            (2, 1, "+-++", ".-.+"),
            (1, 1, "-+-+", "-+-+"),
        ] {
            let mut tracker = Tracker::default();
            let seen: String = results
                .chars()
                .map(
                    |result| match tracker.observe(&timing(success, failure), result == '+') {
                        Some(true) => '+',
                        Some(false) => '-',
                        None => '.',
                    },
                )
                .collect();
            assert_eq!(
                seen, verdicts,
                "{results} with thresholds {success}/{failure}"
            );
        }
    }

    fn attempts(kind: ProbeKind, probe: Probe, count: usize) -> String {
        let mut cadence = Cadence::new(kind, Timing::of(&probe), Duration::ZERO);
        let mut now = Duration::ZERO;
        let words = (0..count).map(|_| {
            let attempt = cadence.next(now);
            now = attempt.at;
            format!(
                "{}{}",
                attempt.at.as_millis(),
                if attempt.counts { "!" } else { "" }
            )
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn until_it_is_ready_a_container_is_asked_often() {
        let probe = Probe {
            period_seconds: Some(2),
            ..Probe::default()
        };
        expect_test::expect!["0 10 25 47 81 131 207 321 492 748 1133 1633 2000! 2133 2633"]
            .assert_eq(&attempts(ProbeKind::Readiness, probe.clone(), 15));
        expect_test::expect!["2000! 4000! 6000!"].assert_eq(&attempts(
            ProbeKind::Liveness,
            probe,
            3,
        ));
    }

    #[test]
    fn once_ready_it_is_asked_once_a_period() {
        let timing = Timing::of(&Probe::default());
        let mut cadence = Cadence::new(ProbeKind::Readiness, timing, Duration::ZERO);
        cadence.next(Duration::ZERO);
        cadence.succeeded();
        let next = cadence.next(Duration::from_millis(3));
        assert_eq!(
            next,
            Attempt {
                at: Duration::from_secs(10),
                counts: true
            }
        );
    }

    #[test]
    fn the_initial_delay_is_kept() {
        let probe = Probe {
            initial_delay_seconds: Some(3),
            ..Probe::default()
        };
        assert!(attempts(ProbeKind::Readiness, probe.clone(), 1).starts_with("3000"));
        assert!(attempts(ProbeKind::Liveness, probe, 1).starts_with("13000!"));
    }

    #[test]
    fn attempts_that_were_slept_through_are_left_out() {
        let timing = Timing::of(&Probe {
            period_seconds: Some(1),
            ..Probe::default()
        });
        let mut cadence = Cadence::new(ProbeKind::Liveness, timing, Duration::ZERO);
        assert_eq!(cadence.next(Duration::ZERO).at, Duration::from_secs(1));
        assert_eq!(
            cadence.next(Duration::from_millis(5500)).at,
            Duration::from_secs(5)
        );
        assert_eq!(
            cadence.next(Duration::from_millis(5500)).at,
            Duration::from_secs(6)
        );
    }
}
