//! Asks a revision again and again, and reports what came back.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::analysis::{
    LEAST_TO_COMPARE, Latencies, ProbeReport, ProbeRound, Verdict, judge_probes,
};
use crate::policy::Policy;

use super::client::{Answer, FetchError, HttpClient};

/// Time that a revision has to wake from zero for its very first answer, which does not
/// count. Knative's activator gives up later than that.
const WAKE: Duration = Duration::from_secs(60);

/// Stable is asked at most this often: for a figure to compare with, not for a verdict.
const STABLE_PROBES: u32 = 50;

/// Different errors that a report quotes.
const QUOTED: usize = 5;

/// Where to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeTarget {
    /// `http://candidate-hello.default.example.com`; the plan's path is put behind it.
    pub url: String,
    /// Connect here whatever the URL's host; the host still goes into the request.
    pub connect_to: Option<SocketAddr>,
}

/// How to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePlan {
    /// Requests that count.
    pub count: u32,
    /// Requests before them that do not.
    pub warm_up: u32,
    /// How many are under way at once.
    pub concurrency: u32,
    /// Path.
    pub path: String,
    /// The one status that passes; anything below 500 when absent.
    pub expected_status: Option<u16>,
    /// An answer later than this has failed.
    pub timeout: Duration,
}

impl ProbePlan {
    /// The policy's plan for `count` requests; `readiness_path` is the container's own,
    /// which is asked where the policy names no path.
    pub fn of(policy: &Policy, count: u32, readiness_path: Option<&str>) -> Self {
        let probes = &policy.probes;
        Self {
            count,
            warm_up: policy.analysis.warm_up_requests,
            concurrency: probes.concurrency,
            path: probes
                .path
                .as_deref()
                .or(readiness_path)
                .unwrap_or("/")
                .to_owned(),
            expected_status: probes.expected_status,
            timeout: probes.timeout,
        }
    }
}

/// Asks stable and the candidate side by side, so that a machine that stalls is slow for both,
/// and stops as soon as the candidate is beyond doubt bad.
///
/// Dropping the future stops it between two requests, with nothing left behind.
pub async fn round(
    policy: &Policy,
    revision: &str,
    candidate: &ProbeTarget,
    stable: Option<&ProbeTarget>,
    plan: &ProbePlan,
) -> ProbeRound {
    let so_far = |report: &ProbeReport, stable: &Option<ProbeReport>| ProbeRound {
        revision: revision.to_owned(),
        at: Timestamp::now(),
        candidate: report.clone(),
        stable: stable.clone(),
    };
    // What stable has shown by now, as the candidate is looked at.
    let seen = Mutex::new(stable.map(|_| ProbeReport::default()));
    let beside = pin!(async {
        if let Some(stable) = stable {
            let plan = ProbePlan {
                count: plan.count.min(STABLE_PROBES),
                ..plan.clone()
            };
            let all = run(stable, &plan, |report| {
                *seen.lock() = Some(report.clone());
                false
            })
            .await;
            *seen.lock() = Some(all);
        }
    });
    let is_bad = |report: &ProbeReport| {
        let stable = seen.lock().clone();
        // Until stable has said something, whatever is wrong may be wrong for both.
        let known = stable
            .as_ref()
            .is_none_or(|stable| stable.sent >= LEAST_TO_COMPARE);
        let verdict = judge_probes(policy, &so_far(report, &stable));
        known && matches!(verdict, Verdict::Fail { at_once: true, .. })
    };
    let asked = pin!(run(candidate, plan, is_bad));
    let report = match select(asked, beside).await {
        Either::Left((report, beside)) => {
            if !is_bad(&report) {
                beside.await;
            }
            report
        }
        Either::Right(((), asked)) => asked.await,
    };
    let stable = seen.lock().clone();
    so_far(&report, &stable)
}

/// Carries out a plan; `enough` is asked now and then whether to stop early.
pub async fn run(
    target: &ProbeTarget,
    plan: &ProbePlan,
    enough: impl Fn(&ProbeReport) -> bool,
) -> ProbeReport {
    let mut tally = Tally::default();
    let client = match HttpClient::new(target.connect_to) {
        Ok(client) => client,
        Err(error) => {
            tally.add(plan, Err(error), Duration::ZERO);
            return tally.report();
        }
    };
    let url = format!("{}{}", target.url.trim_end_matches('/'), plan.path);
    let ask = |timeout: Duration| {
        let (client, url) = (&client, &url);
        async move {
            let start = Instant::now();
            let answer = client.get(url, None, timeout).await;
            (answer, start.elapsed())
        }
    };

    // One request wakes it, alone: whatever waits behind a cold start would look slow too.
    let wakes = u32::from(plan.warm_up > 0);
    if wakes > 0 {
        let (answer, took) = ask(plan.timeout.max(WAKE)).await;
        tally.first = Some(took);
        tally.book(&answer, took);
        tally.note(&answer);
    }
    for _ in wakes..plan.warm_up {
        let (answer, took) = ask(plan.timeout).await;
        tally.book(&answer, took);
    }
    let concurrency = plan.concurrency.max(1) as usize;
    let mut answers = stream::iter(0..plan.count)
        .map(|_| ask(plan.timeout))
        .buffer_unordered(concurrency);
    let mut since_asked = 0;
    while let Some((answer, took)) = answers.next().await {
        tally.first.get_or_insert(took);
        tally.add(plan, answer, took);
        since_asked += 1;
        if since_asked >= concurrency {
            since_asked = 0;
            if enough(&tally.report()) {
                break;
            }
        }
    }
    tally.report()
}

/// A report in the making.
#[derive(Default)]
struct Tally {
    report: ProbeReport,
    times: Vec<f64>,
    first: Option<Duration>,
}

impl Tally {
    fn add(&mut self, plan: &ProbePlan, answer: Result<Answer, FetchError>, took: Duration) {
        self.book(&answer, took);
        self.report.sent += 1;
        self.times.push(took.as_secs_f64() * 1000.0);
        self.note(&answer);
        match answer {
            Ok(answer) => {
                let status = answer.status.as_u16();
                *self.report.statuses.entry(status).or_default() += 1;
                let passes = match plan.expected_status {
                    Some(expected) => status == expected,
                    None => status < 500,
                };
                self.report.failed += u64::from(!passes);
            }
            Err(_) => {
                self.report.failed += 1;
                self.report.unanswered += 1;
            }
        }
    }

    /// Books a request as a gateway counts it.
    fn book(&mut self, answer: &Result<Answer, FetchError>, took: Duration) {
        let status = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
        let booked = &mut self.report.booked;
        *booked.statuses.entry(status).or_default() += 1;
        booked.times.push(took.as_secs_f64() * 1000.0);
    }

    /// Quotes an error once.
    fn note(&mut self, answer: &Result<Answer, FetchError>) {
        let text = match answer {
            Ok(answer) if answer.status.as_u16() < 400 => return,
            Ok(answer) => format!("HTTP {}", answer.status.as_u16()),
            Err(error) => error.to_string(),
        };
        if self.report.errors.len() < QUOTED && !self.report.errors.contains(&text) {
            self.report.errors.push(text);
        }
    }

    fn report(&self) -> ProbeReport {
        ProbeReport {
            latencies: Latencies::exact(self.times.clone()),
            first: self.first,
            ..self.report.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};

    use super::*;
    use crate::presets::PRESETS;

    /// A server whose n-th answer (from 0) has the status that `answer` says.
    async fn server(
        answer: impl Fn(u32) -> u16 + Send + Sync + 'static,
    ) -> (SocketAddr, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let answer = Arc::new(answer);
        let app = Router::new().fallback(move |headers: HeaderMap| {
            let (n, answer) = (counter.fetch_add(1, Ordering::SeqCst), Arc::clone(&answer));
            async move {
                assert_eq!(headers["host"], "candidate-hello.default.example.com");
                StatusCode::from_u16(answer(n)).unwrap()
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (address, asked)
    }

    fn target(address: SocketAddr) -> ProbeTarget {
        ProbeTarget {
            url: "http://candidate-hello.default.example.com".to_owned(),
            connect_to: Some(address),
        }
    }

    fn plan(count: u32) -> ProbePlan {
        ProbePlan {
            count,
            warm_up: 2,
            concurrency: 4,
            path: "/healthz".to_owned(),
            expected_status: None,
            timeout: Duration::from_secs(5),
        }
    }

    #[tokio::test]
    async fn the_warm_up_is_left_out_and_every_other_answer_counts() {
        let (address, asked) = server(|n| {
            if n < 2 {
                503
            } else if n % 5 == 0 {
                500
            } else {
                404
            }
        })
        .await;
        let report = run(&target(address), &plan(20), |_| false).await;
        assert_eq!(asked.load(Ordering::SeqCst), 22);
        assert_eq!((report.sent, report.failed, report.unanswered), (20, 4, 0));
        assert_eq!(report.statuses, [(404, 16), (500, 4)].into());
        assert_eq!(report.latencies.count(), 20);
        assert!(report.first.is_some());
    }

    #[tokio::test]
    async fn a_revision_that_only_fails_is_not_asked_two_hundred_times() {
        let (bad, asked) = server(|_| 500).await;
        let (good, _) = server(|_| 200).await;
        let policy = PRESETS.policy("fast").unwrap();
        let round = round(
            &policy,
            "hello-00002",
            &target(bad),
            Some(&target(good)),
            &plan(200),
        )
        .await;
        assert!(asked.load(Ordering::SeqCst) < 30, "{asked:?}");
        assert!(matches!(
            judge_probes(&policy, &round),
            Verdict::Fail { at_once: true, .. }
        ));
        assert!(
            round.stable.unwrap().sent >= LEAST_TO_COMPARE,
            "stable was asked beside it"
        );
    }

    #[tokio::test]
    async fn what_fails_for_stable_in_the_same_moments_is_not_the_candidate_s() {
        let failing = |_| 500;
        let ((candidate, _), (stable, _)) = (server(failing).await, server(failing).await);
        let policy = PRESETS.policy("fast").unwrap();
        let (candidate, stable) = (target(candidate), target(stable));
        let round = round(
            &policy,
            "hello-00002",
            &candidate,
            Some(&stable),
            &plan(200),
        )
        .await;
        assert!(matches!(
            judge_probes(&policy, &round),
            Verdict::Inconclusive(_)
        ));
    }

    /// A server of bare sockets that reads every second request and hangs up; how many
    /// requests it has read.
    async fn dropper() -> (SocketAddr, Arc<AtomicU32>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if !head.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        head.clear();
                        if counter.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                            return;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn each_probe_that_is_dropped_has_failed_and_none_is_sent_twice() {
        for concurrency in [1, 4] {
            let (address, asked) = dropper().await;
            let plan = ProbePlan {
                concurrency,
                ..plan(50)
            };
            let report = run(&target(address), &plan, |_| false).await;
            assert_eq!(asked.load(Ordering::SeqCst), 52, "{concurrency} at once");
            let counted = (report.sent, report.failed, report.unanswered);
            assert_eq!(counted, (50, 25, 25), "{concurrency} at once");
        }
    }

    #[tokio::test]
    async fn where_nothing_listens_every_probe_is_unanswered_and_says_why() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let report = run(&target(address), &plan(3), |_| false).await;
        assert_eq!((report.sent, report.unanswered), (3, 3));
        assert!(report.errors[0].contains("refused"), "{:?}", report.errors);
    }

    #[tokio::test]
    async fn an_expected_status_is_the_only_one_that_passes() {
        let (address, _) = server(|_| 204).await;
        let expecting = |status| ProbePlan {
            expected_status: Some(status),
            ..plan(4)
        };
        assert_eq!(
            run(&target(address), &expecting(200), |_| false)
                .await
                .failed,
            4
        );
        assert_eq!(
            run(&target(address), &expecting(204), |_| false)
                .await
                .failed,
            0
        );
    }
}
