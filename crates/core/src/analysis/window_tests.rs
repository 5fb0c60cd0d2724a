//! What is counted when, and as whose.

use super::*;
use crate::analysis::evidence::{ProbeReport, Unmeasured};
use crate::policy::preset;

/// A page of a gateway about the candidate: its counters may be ahead of its histograms.
fn envoy(requests: u64, fast: u64, slow: u64) -> Scrape {
    let (name, revision) = ("envoy_cluster_external_upstream_rq", "default/hello-00002");
    Scrape::read(&format!(
        "{name}{{envoy_response_code=\"200\",envoy_cluster_name=\"{revision}\"}} {requests}\n\
         {name}_time_bucket{{envoy_cluster_name=\"{revision}\",le=\"500\"}} {fast}\n\
         {name}_time_bucket{{envoy_cluster_name=\"{revision}\",le=\"+Inf\"}} {}\n",
        fast + slow
    ))
}

struct Looks {
    window: StepWindow,
    start: Instant,
    warm_until: Option<Timestamp>,
}

impl Looks {
    fn new(warm_up: u64) -> Self {
        let (start, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let names = ("hello-00002", "hello-00001");
        let limits = Limits::of(&preset("fast").unwrap());
        let warm_until = (warm_up > 0).then(|| at + Duration::from_secs(warm_up));
        Self {
            window: StepWindow::open("default", names, 5, at, None, limits, (start, at)),
            start,
            warm_until,
        }
    }

    /// Requests, those of which the times are told, and those of them that were late.
    fn at(&mut self, second: u64, page: &Scrape) -> (u64, u64, u64) {
        let time = Duration::from_secs(second);
        let moment = (self.start + time, Timestamp::UNIX_EPOCH + time);
        self.window.add("envoy", page, self.warm_until, moment);
        let candidate = self.window.window().metrics.unwrap().candidate;
        let tally = candidate.tally;
        assert_eq!(tally.timed, candidate.latencies.count());
        (tally.requests, tally.timed, tally.late[0])
    }
}

/// Of so many answers, all quick.
fn probed(sent: u64) -> ProbeRound {
    let booked = Booked {
        statuses: [(200, sent)].into(),
        times: vec![5.0; usize::try_from(sent).unwrap()],
    };
    ProbeRound {
        revision: "hello-00002".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        candidate: ProbeReport {
            sent,
            booked,
            ..ProbeReport::default()
        },
        ..ProbeRound::default()
    }
}

#[test]
fn what_was_counted_before_the_step_does_not_speak_for_it() {
    let mut looks = Looks::new(0);
    assert_eq!(looks.at(0, &envoy(500, 100, 400)), (0, 0, 0));
    assert_eq!(looks.at(10, &envoy(512, 112, 400)), (12, 12, 0));
    assert_eq!(looks.window.window().elapsed, Duration::from_secs(10));
}

#[test]
fn the_warm_up_s_requests_count_but_their_times_do_not() {
    let mut looks = Looks::new(5);
    assert_eq!(looks.at(0, &envoy(0, 0, 0)), (0, 0, 0));
    assert_eq!(looks.at(3, &envoy(6, 0, 6)), (6, 0, 0));
    assert_eq!(looks.at(6, &envoy(10, 3, 7)), (10, 0, 0), "asked before");
    assert_eq!(looks.at(9, &envoy(14, 7, 7)), (14, 4, 0));
}

#[test]
fn the_times_of_a_warm_up_that_are_told_late_do_not_count_either() {
    let mut looks = Looks::new(2);
    looks.at(0, &envoy(0, 0, 0));
    looks.at(1, &envoy(2, 0, 0));
    assert_eq!(looks.at(2, &envoy(4, 0, 0)), (4, 0, 0));
    // The flush tells the warm-up's four, and one more; from the next look on times count.
    assert_eq!(looks.at(5, &envoy(7, 0, 5)), (7, 0, 0));
    assert_eq!(looks.at(8, &envoy(9, 3, 5)), (9, 3, 0));
    let candidate = looks.window.window().metrics.unwrap().candidate;
    assert_eq!(candidate.due, 2, "those after that flush");
}

#[test]
fn a_gateway_that_cannot_be_read_is_no_data_and_not_zero_errors() {
    let mut looks = Looks::new(0);
    looks.at(0, &envoy(0, 0, 0));
    let why = Unmeasured::Unread("connection refused".to_owned());
    let time = Duration::from_secs(5);
    let moment = (looks.start + time, Timestamp::UNIX_EPOCH + time);
    looks.window.blind(why.clone(), moment);
    let window = looks.window.window();
    assert_eq!(window.metrics, Err(why));
    assert_eq!(window.elapsed, time);
}

#[test]
fn our_own_requests_are_no_users_whenever_the_gateway_is_looked_at() {
    let mut looks = Looks::new(0);
    looks.at(0, &envoy(0, 0, 0));
    assert_eq!(looks.at(1, &envoy(3, 3, 0)), (3, 3, 0));
    looks.window.add_synthetic(probed(21));
    let seen = looks.window.window().metrics.unwrap().candidate.tally;
    assert_eq!(seen.requests, 3, "not counted yet, not taken off yet");
    assert_eq!(looks.at(2, &envoy(25, 25, 0)), (4, 4, 0));
}

#[test]
fn late_users_are_seen_among_our_own_quick_requests_however_late_they_are_told() {
    let mut looks = Looks::new(0);
    looks.at(0, &envoy(0, 0, 0));
    looks.at(1, &envoy(10, 10, 0));
    looks.window.add_synthetic(probed(50));
    // The counters have all of them; the histogram tells ours later, and users' in the same flush.
    assert_eq!(looks.at(2, &envoy(64, 10, 0)), (14, 0, 0), "not told apart");
    assert_eq!(looks.at(6, &envoy(65, 60, 4)), (15, 14, 4));
}

#[test]
fn the_times_of_probes_that_are_flushed_into_the_step_are_not_its_users() {
    let mut looks = Looks::new(0);
    // Fifty probes, of which a flush in their midst told thirty.
    assert_eq!(looks.at(0, &envoy(50, 30, 0)), (0, 0, 0));
    assert_eq!(looks.at(1, &envoy(54, 30, 0)), (4, 0, 0), "nothing is told");
    assert_eq!(
        looks.at(5, &envoy(55, 50, 4)),
        (5, 4, 4),
        "probes and users"
    );
    assert_eq!(looks.at(6, &envoy(60, 50, 10)), (10, 10, 10));
}

#[test]
fn a_gateway_that_tells_times_at_once_has_none_left_of_ours() {
    let mut looks = Looks::new(0);
    looks.at(0, &envoy(50, 50, 0));
    assert_eq!(looks.at(1, &envoy(54, 50, 4)), (4, 4, 4));
}
