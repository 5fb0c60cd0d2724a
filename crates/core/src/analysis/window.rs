//! What users have met since the present weight was confirmed, kept by the agent between two
//! decisions.
//!
//! It lives in memory only, and a restart begins a new one: a bake gets longer by that,
//! never shorter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::evidence::{Counts, Metrics, ProbeReport, ProbeRound, Unmeasured, Window};
use super::metrics::{Counters, Scrape};

/// The window of one step.
#[derive(Debug)]
pub struct StepWindow {
    namespace: String,
    candidate: String,
    stable: String,
    weight: u8,
    warm_up: Duration,
    opened: Instant,
    since: Timestamp,
    /// The last look at each gateway.
    last: HashMap<String, Look>,
    requests: Pair,
    times: Pair,
    /// The candidate's requests that came since answer times count.
    due: u64,
    /// Requests of our own were sent before the first look at a gateway.
    ours_before: bool,
    /// Why the last look showed nothing.
    blind: Option<Unmeasured>,
    synthetic: Option<ProbeRound>,
    /// Our own requests that the gateway has counted by now, and those since its last look.
    ours: Ours,
    ours_since: Ours,
    at: Timestamp,
    elapsed: Duration,
}

/// One look at a gateway.
#[derive(Debug)]
struct Look {
    candidate: Counters,
    stable: Counters,
    own_times: OwnTimes,
}

/// Whether answer times that are told next may be those of our own requests: a gateway may flush
/// its histograms later than its counters (Envoy every 5 s), and fifty quick probes hide four
/// slow users.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OwnTimes {
    /// They are users'.
    Told,
    /// Our own requests have ended since the last look.
    Sent,
    /// They had ended before a look that had told this many times.
    Untold { timed: u64 },
}

impl OwnTimes {
    /// After one more look. What changed since a look that is later than our own requests was
    /// flushed later still, and so was all that came before.
    fn after(self, look: &Counters) -> Self {
        match self {
            Self::Told => Self::Told,
            _ if look.timed() >= look.requests() => Self::Told,
            Self::Sent => Self::Untold {
                timed: look.timed(),
            },
            Self::Untold { timed } if look.timed() != timed => Self::Told,
            Self::Untold { timed } => Self::Untold { timed },
        }
    }
}

/// Our own requests, all and failed, to each revision.
#[derive(Clone, Copy, Debug, Default)]
struct Ours {
    candidate: (u64, u64),
    stable: (u64, u64),
}

impl Ours {
    fn of(round: &ProbeRound) -> Self {
        let of = |report: &ProbeReport| (report.sent + report.warm_up, report.gateway_failures());
        Self {
            candidate: of(&round.candidate),
            stable: round.stable.as_ref().map(of).unwrap_or_default(),
        }
    }

    fn add(&mut self, other: Self) {
        let add = |mine: &mut (u64, u64), theirs: (u64, u64)| {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        };
        add(&mut self.candidate, other.candidate);
        add(&mut self.stable, other.stable);
    }
}

#[derive(Debug, Default)]
struct Pair {
    candidate: Counters,
    stable: Counters,
}

impl StepWindow {
    /// Opens a window at `opened`. Answer times of its first `warm_up` do not count, nor do
    /// those that may be our own requests' where such were sent just before (`ours_before`);
    /// `since` is the rollout's `analysisStartedAt` and tells it from the windows before it.
    pub fn open(
        namespace: &str,
        (candidate, stable): (&str, &str),
        weight: u8,
        warm_up: Duration,
        ours_before: bool,
        since: Timestamp,
        (opened, at): (Instant, Timestamp),
    ) -> Self {
        Self {
            namespace: namespace.to_owned(),
            candidate: candidate.to_owned(),
            stable: stable.to_owned(),
            weight,
            warm_up,
            opened,
            since,
            last: HashMap::new(),
            requests: Pair::default(),
            times: Pair::default(),
            due: 0,
            ours_before,
            blind: Some(Unmeasured::NotYet),
            synthetic: None,
            ours: Ours::default(),
            ours_since: Ours::default(),
            at,
            elapsed: Duration::ZERO,
        }
    }

    /// Adds a look at one gateway (`endpoint` tells several apart), or why there was none.
    /// The first look at a gateway is only where counting starts from.
    pub fn add(
        &mut self,
        endpoint: &str,
        scrape: Result<&Scrape, Unmeasured>,
        (now, at): (Instant, Timestamp),
    ) {
        self.at = at;
        let scrape = match scrape {
            Ok(scrape) => scrape,
            Err(why) => {
                self.blind = Some(why);
                self.elapsed = now.saturating_duration_since(self.opened);
                return;
            }
        };
        let candidate = scrape.of(&self.namespace, &self.candidate);
        let stable = scrape.of(&self.namespace, &self.stable);
        let mut own_times = if self.ours_before {
            OwnTimes::Sent
        } else {
            OwnTimes::Told
        };
        if let Some(earlier) = self.last.get(endpoint) {
            own_times = earlier.own_times;
            let candidate = candidate.since(&earlier.candidate);
            let stable = stable.since(&earlier.stable);
            self.requests.candidate.add(&candidate);
            self.requests.stable.add(&stable);
            // What was counted up to now began before the last look, so the warm-up must
            // have been over by then.
            if self.elapsed >= self.warm_up && own_times == OwnTimes::Told {
                self.due += candidate.requests();
                self.times.candidate.add(&candidate);
                self.times.stable.add(&stable);
            }
        }
        let look = Look {
            own_times: own_times.after(&candidate),
            candidate,
            stable,
        };
        self.ours.add(std::mem::take(&mut self.ours_since));
        self.last.insert(endpoint.to_owned(), look);
        self.elapsed = now.saturating_duration_since(self.opened);
        self.blind = None;
    }

    /// Adds requests of our own at this weight. The gateway's next look will have counted
    /// them too.
    pub fn add_synthetic(&mut self, round: ProbeRound) {
        self.ours_since.add(Ours::of(&round));
        self.ours_before = true;
        for look in self.last.values_mut() {
            look.own_times = OwnTimes::Sent;
        }
        self.at = self.at.max(round.at);
        match &mut self.synthetic {
            Some(synthetic) => synthetic.add(round),
            None => self.synthetic = Some(round),
        }
    }

    /// What was seen so far.
    pub fn window(&self) -> Window {
        let metrics = match &self.blind {
            Some(why) => Err(why.clone()),
            None => Ok(Metrics {
                candidate: users(
                    self.requests
                        .candidate
                        .counts(&self.times.candidate, self.due),
                    self.ours.candidate,
                ),
                stable: users(
                    self.requests.stable.counts(&self.times.stable, 0),
                    self.ours.stable,
                ),
            }),
        };
        Window {
            revision: self.candidate.clone(),
            weight: self.weight,
            since: self.since,
            at: self.at,
            elapsed: self.elapsed,
            metrics,
            synthetic: self.synthetic.clone(),
        }
    }
}

/// What is left when our own requests are taken off.
fn users(counts: Counts, (sent, failed): (u64, u64)) -> Counts {
    Counts {
        requests: counts.requests.saturating_sub(sent),
        errors: counts.errors.saturating_sub(failed),
        ..counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(requests: u64, slow: u64) -> Scrape {
        let (name, revision) = ("envoy_cluster_external_upstream_rq", "default/hello-00002");
        Scrape::read(&format!(
            "{name}{{envoy_response_code=\"200\",envoy_cluster_name=\"{revision}\"}} {requests}\n\
             {name}_time_bucket{{envoy_cluster_name=\"{revision}\",le=\"500\"}} {}\n\
             {name}_time_bucket{{envoy_cluster_name=\"{revision}\",le=\"+Inf\"}} {requests}\n",
            requests - slow
        ))
    }

    fn window_after(warm_up: u64, looks: &[(u64, Result<Scrape, String>)]) -> Window {
        let (start, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let mut window = StepWindow::open(
            "default",
            ("hello-00002", "hello-00001"),
            5,
            Duration::from_secs(warm_up),
            false,
            at,
            (start, at),
        );
        for (second, look) in looks {
            let time = Duration::from_secs(*second);
            window.add(
                "envoy",
                look.as_ref().map_err(|why| Unmeasured::Unread(why.clone())),
                (start + time, at + time),
            );
        }
        window.window()
    }

    #[test]
    fn what_was_counted_before_the_step_does_not_speak_for_it() {
        let window = window_after(0, &[(0, Ok(scrape(500, 400))), (10, Ok(scrape(512, 400)))]);
        let candidate = window.metrics.unwrap().candidate;
        assert_eq!(
            (
                candidate.requests,
                candidate.latencies.certainly_over(500.0)
            ),
            (12, 0)
        );
        assert_eq!(window.elapsed, Duration::from_secs(10));
    }

    #[test]
    fn the_warm_up_s_requests_count_but_their_times_do_not() {
        let looks = [
            (0, Ok(scrape(0, 0))),
            (3, Ok(scrape(6, 6))),
            (6, Ok(scrape(10, 7))),
            (9, Ok(scrape(14, 7))),
        ];
        let candidate = window_after(5, &looks).metrics.unwrap().candidate;
        assert_eq!(candidate.requests, 14);
        assert_eq!(
            candidate.latencies.count(),
            4,
            "only what came after the look at 6 s"
        );
    }

    #[test]
    fn a_gateway_that_cannot_be_read_is_no_data_and_not_zero_errors() {
        let looks = [
            (0, Ok(scrape(0, 0))),
            (5, Err("connection refused".to_owned())),
        ];
        let window = window_after(0, &looks);
        assert_eq!(
            window.metrics,
            Err(Unmeasured::Unread("connection refused".to_owned()))
        );
        assert_eq!(window.elapsed, Duration::from_secs(5));
    }

    #[test]
    fn our_own_requests_are_no_users_whenever_the_gateway_is_looked_at() {
        let (start, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let names = ("hello-00002", "hello-00001");
        let mut window =
            StepWindow::open("default", names, 5, Duration::ZERO, false, at, (start, at));
        window.add("envoy", Ok(&scrape(0, 0)), (start, at));
        window.add("envoy", Ok(&scrape(3, 0)), (start, at));
        window.add_synthetic(ProbeRound {
            revision: "hello-00002".to_owned(),
            at,
            candidate: ProbeReport {
                sent: 20,
                warm_up: 1,
                ..ProbeReport::default()
            },
            ..ProbeRound::default()
        });
        let users = |window: &StepWindow| window.window().metrics.unwrap().candidate.requests;
        assert_eq!(users(&window), 3, "not counted yet, not taken off yet");
        window.add("envoy", Ok(&scrape(25, 0)), (start, at));
        assert_eq!(users(&window), 4);
    }

    /// A page of an Envoy: its counters are ahead of its histograms.
    fn envoy(requests: u64, fast: u64, slow: u64) -> Scrape {
        let (name, revision) = ("envoy_cluster_external_upstream_rq", "default/hello-00002");
        Scrape::read(&format!(
            "{name}{{envoy_response_code=\"200\",envoy_cluster_name=\"{revision}\"}} {requests}\n\
             {name}_time_bucket{{envoy_cluster_name=\"{revision}\",le=\"500\"}} {fast}\n\
             {name}_time_bucket{{envoy_cluster_name=\"{revision}\",le=\"+Inf\"}} {}\n",
            fast + slow
        ))
    }

    #[test]
    fn the_times_of_probes_that_are_flushed_into_the_step_are_not_its_users() {
        let (start, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let names = ("hello-00002", "hello-00001");
        let mut window =
            StepWindow::open("default", names, 5, Duration::ZERO, true, at, (start, at));
        let mut look = |scrape: Scrape| {
            window.add("envoy", Ok(&scrape), (start, at));
            let candidate = window.window().metrics.unwrap().candidate;
            let over = candidate.latencies.certainly_over(500.0);
            (candidate.requests, candidate.latencies.count(), over)
        };
        // Fifty probes, of which a flush in their midst told thirty.
        assert_eq!(look(envoy(50, 30, 0)), (0, 0, 0));
        assert_eq!(look(envoy(54, 30, 0)), (4, 0, 0), "nothing is told");
        assert_eq!(look(envoy(55, 50, 4)), (5, 0, 0), "the probes' are");
        assert_eq!(look(envoy(58, 50, 4)), (8, 0, 0));
        assert_eq!(look(envoy(60, 50, 10)), (10, 6, 6), "and now the users'");
    }

    #[test]
    fn a_gateway_that_tells_times_at_once_has_none_left_of_ours() {
        let (start, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let names = ("hello-00002", "hello-00001");
        let mut window =
            StepWindow::open("default", names, 5, Duration::ZERO, true, at, (start, at));
        window.add("gateway", Ok(&scrape(50, 0)), (start, at));
        window.add("gateway", Ok(&scrape(54, 4)), (start, at));
        let candidate = window.window().metrics.unwrap().candidate;
        assert_eq!(candidate.latencies.certainly_over(500.0), 4);
        assert!(!candidate.times_lag);
    }

    #[test]
    fn the_times_of_a_warm_up_do_not_stand_in_for_those_that_are_not_told_yet() {
        let looks = [
            (0, Ok(envoy(0, 0, 0))),
            (1, Ok(envoy(1, 1, 0))),
            (2, Ok(envoy(2, 2, 0))),
            (6, Ok(envoy(4, 2, 0))),
        ];
        let candidate = window_after(1, &looks[..3]).metrics.unwrap().candidate;
        assert_eq!(
            (candidate.latencies.count(), candidate.times_lag),
            (1, false)
        );
        let candidate = window_after(2, &looks).metrics.unwrap().candidate;
        assert_eq!(
            (candidate.latencies.count(), candidate.times_lag),
            (0, true)
        );
    }
}
