//! Pages of gateways, and what came between two looks at them.

use super::*;

fn page(ok: u64, bad: u64, fast: u64, slow: u64) -> String {
    format!(
        "{REQUESTS}{{envoy_response_code=\"200\",envoy_cluster_name=\"default/hello-00002\"}} {ok}\n\
         {REQUESTS}{{envoy_response_code=\"503\",envoy_cluster_name=\"default/hello-00002\"}} {bad}\n\
         {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"0.5\"}} 0\n\
         {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"50\"}} {fast}\n\
         {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"500\"}} {fast}\n\
         {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"1000\"}} {}\n\
         {TIMES}{{envoy_cluster_name=\"default/hello-00002\",le=\"+Inf\"}} {}\n",
        fast + slow,
        fast + slow
    )
}

fn between(earlier: &str, later: &str) -> Counters {
    let of = |page| Scrape::read(page).of("default", "hello-00002");
    of(later).since(&of(earlier))
}

/// Requests, failed ones, and the 99th percentile.
fn told(counters: &Counters) -> (u64, u64, String) {
    let tally = counters.tally([None, None]);
    let p99 = counters.latencies().quantile(0.99);
    let p99 = p99.map_or_else(String::new, |p99| p99.to_string());
    (tally.requests, tally.errors, p99)
}

#[test]
fn a_window_is_what_came_between_two_looks() {
    let counters = between(&page(100, 1, 100, 1), &page(110, 3, 108, 5));
    assert_eq!(told(&counters), (12, 2, "500-1000 ms".to_owned()));
    let p50 = counters.latencies().quantile(0.5).unwrap();
    assert_eq!(p50.to_string(), "0.5-50 ms");
    assert_eq!(counters.tally([Some(500.0), Some(1000.0)]).late, [4, 0]);
    assert_eq!(counters.over(700.0), 0, "some of that bucket may be under");
}

#[test]
fn a_gateway_that_started_anew_does_not_make_the_window_negative() {
    let counters = between(&page(100, 1, 100, 1), &page(5, 0, 5, 0));
    assert_eq!(told(&counters), (5, 0, "0.5-50 ms".to_owned()));
    assert_eq!(counters.timed(), 5);
}

#[test]
fn a_revision_that_nobody_asked_has_counted_nothing() {
    let counters = between("", "");
    assert_eq!((counters.requests(), counters.timed()), (0, 0));
    assert_eq!(between("", &page(3, 0, 3, 0)).requests(), 3);
}

/// As Knative 1.21's queue-proxy writes it, cut to a few edges.
fn pod_page(ok: u64, bad: u64) -> String {
    let of = |status: u16, count: u64| {
        format!(
            "{POD_TIMES}{{http_response_status_code=\"{status}\",le=\"0.005\"}} 0\n\
             {POD_TIMES}{{http_response_status_code=\"{status}\",le=\"0.01\"}} {count}\n\
             {POD_TIMES}{{http_response_status_code=\"{status}\",le=\"+Inf\"}} {count}\n\
             {POD_REQUESTS}{{http_response_status_code=\"{status}\"}} {count}\n"
        )
    };
    format!(
        "{TARGET}{{container_name=\"queue-proxy\",k8s_namespace_name=\"default\",kn_revision_name=\"hello-00002\"}} 1\n{}{}",
        of(200, ok),
        of(500, bad)
    )
}

#[test]
fn a_queue_proxy_tells_of_its_own_revision() {
    let counters = between(&pod_page(10, 0), &pod_page(16, 3));
    assert_eq!(told(&counters), (9, 3, "5-10 ms".to_owned()));
    assert_eq!(counters.timed(), 9);
    assert!(Scrape::read(&pod_page(1, 0)).is_by_a_pod());
    assert!(!Scrape::read(&page(1, 0, 1, 0)).is_by_a_pod());
}

#[test]
fn our_own_requests_are_taken_off_by_status_and_by_time_and_nothing_is_lost() {
    // 20 of ours, of which 3 failed and one took 800 ms; 10 users, of whom one failed and two took as long.
    let counted = between("", &page(26, 4, 27, 3));
    let mut ours = Counters::default();
    let mut times = vec![20.0; 19];
    times.push(800.0);
    let booked = Booked {
        statuses: [(200, 17), (503, 3)].into(),
        times,
    };
    ours.book(&booked, &counted);
    let limits = [Some(500.0), None];
    let users = counted.without(&ours).tally(limits);
    assert_eq!((users.requests, users.errors), (10, 1));
    assert_eq!((users.timed, users.late[0]), (10, 2));
    let (own, all) = (ours.tally(limits), counted.tally(limits));
    assert_eq!(users.requests + own.requests, all.requests);
    assert_eq!(users.errors + own.errors, all.errors);
    assert_eq!(users.late[0] + own.late[0], all.late[0]);
}

#[test]
fn a_probe_that_gave_up_is_ours_under_whatever_status_the_gateway_ended_it() {
    let counted = between("", &page(10, 2, 12, 0));
    let mut ours = Counters::default();
    let booked = Booked {
        statuses: [(0, 2)].into(),
        times: vec![],
    };
    ours.book(&booked, &counted);
    let users = counted.without(&ours).tally([None, None]);
    assert_eq!((users.requests, users.errors), (10, 0));
}

#[test]
fn requests_that_are_open_are_read_as_they_are_now() {
    let line = |n| format!("{OPEN}{{envoy_cluster_name=\"default/hello-00002\"}} {n}\n");
    assert_eq!(between(&line(7), &line(3)).open, 3);
}

/// What Envoy 1.40 wrote of a revision, behind Kourier and queue-proxy, before and after six requests, of which every other
/// body broke off.
const BROKEN_OFF: [&str; 2] = [
    r#"envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-00002"} 4
envoy_cluster_upstream_cx_destroy_local_with_active_rq{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_cx_destroy_remote_with_active_rq{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_rq_rx_reset{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_rq_tx_reset{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_rq_active{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00002",le="10"} 4
envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00002",le="+Inf"} 4
"#,
    r#"envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-00002"} 10
envoy_cluster_upstream_cx_destroy_local_with_active_rq{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_cx_destroy_remote_with_active_rq{envoy_cluster_name="default/hello-00002"} 3
envoy_cluster_upstream_rq_rx_reset{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_rq_tx_reset{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_rq_active{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00002",le="10"} 7
envoy_cluster_external_upstream_rq_time_bucket{envoy_cluster_name="default/hello-00002",le="+Inf"} 7
"#,
];

/// The same before and after four requests whose clients left before the answer.
const LEFT_ALONE: [&str; 2] = [
    r#"envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-00002"} 4
envoy_cluster_upstream_cx_destroy_local_with_active_rq{envoy_cluster_name="default/hello-00002"} 0
envoy_cluster_upstream_cx_destroy_remote_with_active_rq{envoy_cluster_name="default/hello-00002"} 0
"#,
    r#"envoy_cluster_external_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/hello-00002"} 4
envoy_cluster_upstream_cx_destroy_local_with_active_rq{envoy_cluster_name="default/hello-00002"} 4
envoy_cluster_upstream_cx_destroy_remote_with_active_rq{envoy_cluster_name="default/hello-00002"} 0
"#,
];

fn settled(earlier: &str, later: &str) -> Counters {
    let of = |page| Scrape::read(page).of("default", "hello-00002");
    of(later).since(&of(earlier)).settled(&of(later))
}

#[test]
fn a_body_that_breaks_off_after_a_good_head_is_a_failure_and_one_request() {
    let [earlier, later] = BROKEN_OFF;
    let counters = settled(earlier, later);
    assert_eq!(counters.by_status, [(0, 3), (200, 3)].into());
    let tally = counters.tally([None, None]);
    assert_eq!((tally.requests, tally.errors), (6, 3));
    assert_eq!((counters.timed(), counters.to_be_timed()), (3, 3));
}

#[test]
fn what_breaks_off_before_its_head_is_the_503_that_envoy_answers_and_no_second_failure() {
    let line = |n| {
        format!(
            "{}{{envoy_cluster_name=\"default/hello-00002\"}} {n}\n",
            CUT_OFF[0]
        )
    };
    let counters = settled(&page(100, 1, 101, 0), &(page(110, 4, 114, 0) + &line(3)));
    let tally = counters.tally([None, None]);
    assert_eq!((tally.requests, tally.errors), (13, 3));
    // Two more broke off after it.
    let counters = settled(&page(100, 1, 101, 0), &(page(110, 4, 114, 0) + &line(5)));
    let tally = counters.tally([None, None]);
    assert_eq!((tally.requests, tally.errors), (13, 5));
}

#[test]
fn a_client_that_left_while_it_waited_is_told_though_no_status_is_charged() {
    let [earlier, later] = LEFT_ALONE;
    let tally = settled(earlier, later).tally([None, None]);
    assert_eq!((tally.requests, tally.client_errors, tally.left), (4, 4, 4));
    assert_eq!(tally.errors, 0);
}

#[test]
fn the_end_of_an_upgraded_connection_is_nobodys_failure() {
    let [earlier, later] = BROKEN_OFF;
    let upgraded = format!(
        "{REQUESTS}{{envoy_response_code=\"101\",envoy_cluster_name=\"default/hello-00002\"}} 1\n"
    );
    let counters = settled(&(upgraded.clone() + earlier), &(upgraded + later));
    assert_eq!(counters.tally([None, None]).errors, 0);
}
