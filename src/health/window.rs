//! What users have met since the present weight was confirmed, kept by the agent between two
//! decisions.
//!
//! It lives in memory only, and a restart begins a new one: a bake gets longer by that,
//! never shorter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::evidence::{Counts, Metrics, ProbeReport, ProbeRound, Window};
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
    last: HashMap<String, (Counters, Counters)>,
    requests: Pair,
    times: Pair,
    /// Why the last look showed nothing.
    blind: Option<String>,
    synthetic: Option<ProbeRound>,
    /// Our own requests that the gateway has counted by now, and those since its last look.
    ours: Ours,
    ours_since: Ours,
    at: Timestamp,
    elapsed: Duration,
}

/// Our own requests, all and failed, to each revision.
#[derive(Clone, Copy, Debug, Default)]
struct Ours {
    candidate: (u64, u64),
    stable: (u64, u64),
}

impl Ours {
    fn of(round: &ProbeRound) -> Self {
        let of = |report: &ProbeReport| (report.sent + report.warm_up, report.failed);
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
    /// Opens a window at `opened`. Answer times of its first `warm_up` do not count; `since`
    /// is the rollout's `judgedFrom` and tells it from the windows before it.
    pub fn open(
        namespace: &str,
        (candidate, stable): (&str, &str),
        weight: u8,
        warm_up: Duration,
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
            blind: Some("the gateway's counters were not read yet".to_owned()),
            synthetic: None,
            ours: Ours::default(),
            ours_since: Ours::default(),
            at,
            elapsed: Duration::ZERO,
        }
    }

    /// Whether it is about this; if not, another one is to be opened.
    pub fn is_about(&self, candidate: &str, stable: &str, weight: u8, since: Timestamp) -> bool {
        self.candidate == candidate
            && self.stable == stable
            && self.weight == weight
            && self.since == since
    }

    /// Adds a look at one gateway (`endpoint` tells several apart), or why there was none.
    /// The first look at a gateway is only where counting starts from.
    pub fn add(
        &mut self,
        endpoint: &str,
        scrape: Result<&Scrape, String>,
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
        let look = (
            scrape.of(&self.namespace, &self.candidate),
            scrape.of(&self.namespace, &self.stable),
        );
        if let Some(earlier) = self.last.get(endpoint) {
            let candidate = look.0.since(&earlier.0);
            let stable = look.1.since(&earlier.1);
            self.requests.candidate.add(&candidate);
            self.requests.stable.add(&stable);
            // What was counted up to now began before the last look, so the warm-up must
            // have been over by then.
            if self.elapsed >= self.warm_up {
                self.times.candidate.add(&candidate);
                self.times.stable.add(&stable);
            }
        }
        self.ours.add(std::mem::take(&mut self.ours_since));
        self.last.insert(endpoint.to_owned(), look);
        self.elapsed = now.saturating_duration_since(self.opened);
        self.blind = None;
    }

    /// Adds requests of our own at this weight. The gateway's next look will have counted
    /// them too.
    pub fn add_synthetic(&mut self, round: ProbeRound) {
        self.ours_since.add(Ours::of(&round));
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
                    self.requests.candidate.counts(&self.times.candidate),
                    self.ours.candidate,
                ),
                stable: users(
                    self.requests.stable.counts(&self.times.stable),
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
            at,
            (start, at),
        );
        for (second, look) in looks {
            let time = Duration::from_secs(*second);
            window.add(
                "envoy",
                look.as_ref().map_err(Clone::clone),
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
        assert_eq!(window.metrics, Err("connection refused".to_owned()));
        assert_eq!(window.elapsed, Duration::from_secs(5));
    }

    #[test]
    fn our_own_requests_are_no_users_whenever_the_gateway_is_looked_at() {
        let (start, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let names = ("hello-00002", "hello-00001");
        let mut window = StepWindow::open("default", names, 5, Duration::ZERO, at, (start, at));
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
            stable: None,
        });
        let users = |window: &StepWindow| window.window().metrics.unwrap().candidate.requests;
        assert_eq!(users(&window), 3, "not counted yet, not taken off yet");
        window.add("envoy", Ok(&scrape(25, 0)), (start, at));
        assert_eq!(users(&window), 4);
    }
}
