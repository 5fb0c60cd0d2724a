//! What a round of probes asks, counts and quotes, over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use std::net::SocketAddr;
use std::sync::OnceLock;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};

use super::*;
use crate::api::duration::HumanDuration;
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
        sleeps: false,
        slow_start: SlowStart::of(&PRESETS.policy("fast").unwrap()),
    }
}

fn plan(count: u32) -> ProbePlan {
    ProbePlan {
        count,
        warm_up: 2,
        concurrency: 4,
        timeout: Duration::from_secs(5),
        ..ProbePlan::of(&PRESETS.policy("fast").unwrap(), count, Some("/healthz"))
    }
}

/// The usual roots: nothing here speaks TLS but where it says so.
fn trust() -> Trust {
    Trust::public().unwrap()
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
    let report = run(&trust(), &target(address), &plan(20), |_| false).await;
    assert_eq!(asked.load(Ordering::SeqCst), 22);
    assert_eq!((report.sent, report.failed, report.unanswered), (20, 4, 0));
    assert_eq!(report.statuses, [(404, 16), (500, 4)].into());
    assert_eq!(report.early.count(), 20, "its first seconds");
    assert!(report.first.is_some());
}

#[tokio::test]
async fn a_revision_that_only_fails_is_not_asked_two_hundred_times() {
    let (bad, asked) = server(|_| 500).await;
    let (good, _) = server(|_| 200).await;
    let policy = PRESETS.policy("fast").unwrap();
    let round = round(
        &policy,
        &trust(),
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
    let round = round(&policy, &trust(), &candidate, Some(&stable), &plan(200)).await;
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
        let report = run(&trust(), &target(address), &plan, |_| false).await;
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
    let report = run(&trust(), &target(address), &plan(3), |_| false).await;
    assert_eq!((report.sent, report.unanswered), (3, 3));
    assert!(report.errors[0].contains("refused"), "{:?}", report.errors);
}

#[tokio::test]
async fn an_expected_status_is_the_only_one_that_passes() {
    let (address, _) = server(|_| 204).await;
    let expecting = |status: &str| ProbePlan {
        expected_status: Some(status.parse().unwrap()),
        ..plan(4)
    };
    assert_eq!(
        run(&trust(), &target(address), &expecting("200"), |_| false)
            .await
            .failed,
        4
    );
    assert_eq!(
        run(&trust(), &target(address), &expecting("200-204"), |_| false)
            .await
            .failed,
        0
    );
}

/// What a server was asked: method, path and a header.
type Lines = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

/// A server that answers by path, with a body, and notes what it was asked.
async fn by_path(
    answer: impl Fn(&str) -> (u16, &'static str) + Send + Sync + 'static,
) -> (SocketAddr, Lines) {
    let (lines, answer) = (Lines::default(), Arc::new(answer));
    let noted = Arc::clone(&lines);
    let app = Router::new().fallback(move |request: axum::extract::Request| {
        let header = request.headers().get("x-tenant");
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path().to_owned();
        let (status, body) = answer(&path);
        noted
            .lock()
            .push((request.method().to_string(), path, header));
        async move {
            let location = [("location", "/elsewhere")];
            (StatusCode::from_u16(status).unwrap(), location, body)
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, lines)
}

/// `fast` with these fields of `probes`.
fn asking(probes: &str) -> Policy {
    let text = format!(
        "apiVersion: sluice.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {{name: mine}}\nspec: {{probes: {probes}, analysis: {{warmUp: {{requests: 2}}}}}}\n"
    );
    crate::policy::read(&text).unwrap()
}

async fn asked(address: SocketAddr, policy: &Policy, count: u32) -> ProbeReport {
    let plan = ProbePlan::of(policy, count, Some("/ready"));
    run(&trust(), &target(address), &plan, |_| false).await
}

#[tokio::test]
async fn every_path_is_asked_for_with_method_and_headers_of_the_policy() {
    let (address, lines) = by_path(|path| (if path == "/b" { 404 } else { 200 }, "")).await;
    let policy = asking(
        "{paths: [/a, /b], method: HEAD, headers: {x-tenant: probe}, expectedStatus: 200-299}",
    );
    let report = asked(address, &policy, 20).await;
    let lines = lines.lock();
    assert_eq!(lines.len(), 22);
    let is_asked = |(method, _, tenant): &(String, String, Option<String>)| {
        method == "HEAD" && tenant.as_deref() == Some("probe")
    };
    assert!(lines.iter().all(is_asked), "{lines:?}");
    let failed = |path: &str| {
        (
            report.paths[path].passed.values().sum(),
            report.paths[path].failed,
        )
    };
    assert_eq!(failed("HEAD /a"), (10u64, 0u64));
    assert_eq!(failed("HEAD /b"), (0, 10));
    assert_eq!((report.sent, report.failed), (20, 10));
    assert_eq!(report.errors, ["HEAD /b: 404, expected 200-299"]);
}

#[tokio::test]
async fn a_body_must_have_what_the_policy_expects_of_it() {
    let body = r#"{"status": "up"}"#;
    let (address, _) = by_path(move |_| (200, body)).await;
    for (expected, error) in [
        ("{contains: up}", None),
        (
            "{contains: down}",
            Some("GET /ready: 200, expected a body with \"down\""),
        ),
        ("{jsonPath: .status, equals: up}", None),
        (
            "{jsonPath: .status, equals: ok}",
            Some("GET /ready: 200, expected .status to be \"ok\""),
        ),
    ] {
        let policy = asking(&format!("{{expectedBody: {expected}}}"));
        let report = asked(address, &policy, 8).await;
        assert_eq!(
            report.failed,
            if error.is_some() { 8 } else { 0 },
            "{expected}"
        );
        assert_eq!(report.errors.first().map(String::as_str), error);
    }
}

#[tokio::test]
async fn no_redirect_is_followed_and_it_counts_by_its_own_status() {
    let (address, lines) = by_path(|_| (302, "")).await;
    let report = asked(address, &asking("{expectedStatus: 200}"), 4).await;
    assert_eq!(report.errors, ["GET /ready: 302, expected 200"]);
    assert_eq!(report.failed, 4);
    let report = asked(address, &asking("{expectedStatus: '200, 300-399'}"), 4).await;
    assert_eq!(report.failed, 0);
    assert!(lines.lock().iter().all(|(_, path, _)| path == "/ready"));
}

#[tokio::test]
async fn a_path_that_stable_answers_and_the_candidate_does_not_have_is_a_failure() {
    let ((candidate, _), (stable, _)) =
        (by_path(|_| (404, "")).await, by_path(|_| (200, "")).await);
    let policy = PRESETS.policy("fast").unwrap();
    let stable = target(stable);
    let round = round(
        &policy,
        &trust(),
        &target(candidate),
        Some(&stable),
        &plan(200),
    )
    .await;
    let verdict = judge_probes(&policy, &round);
    assert!(
        matches!(verdict, Verdict::Fail { at_once: true, .. }),
        "{verdict:?}"
    );
    let said = verdict.finding().to_string();
    assert!(
        said.ends_with("GET /healthz: 404, where stable answers 200"),
        "{said}"
    );
}

/// A server that answers a request so late, counted from the first one.
async fn late(lateness: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> SocketAddr {
    let (began, lateness) = (Arc::new(OnceLock::new()), Arc::new(lateness));
    let app = Router::new().fallback(move || {
        let began: Instant = *began.get_or_init(Instant::now);
        let wait = lateness(began.elapsed());
        async move {
            tokio::time::sleep(wait).await;
            "ok"
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Rounds of `fast`, as an agent sends them, until there is a verdict; how many, and how long they took.
async fn rounds(candidate: SocketAddr, slow_start: Duration) -> (Verdict, u32, Duration) {
    let mut policy = PRESETS.policy("fast").unwrap();
    policy.probes.slow_start = slow_start;
    policy.probes.timeout = Duration::from_millis(1500);
    policy.analysis.warm_up_requests = 1;
    policy.analysis.p99.max = Some(HumanDuration::from_millis(300));
    policy.analysis.p50.max = Some(HumanDuration::from_millis(300));
    let stable = target(late(|_| Duration::ZERO).await);
    let candidate = ProbeTarget {
        slow_start: SlowStart::of(&policy),
        ..target(candidate)
    };
    let plan = ProbePlan::of(&policy, policy.probes.count, None);
    let start = Instant::now();
    let mut seen: Option<ProbeRound> = None;
    for number in 1.. {
        let next = round(&policy, &trust(), &candidate, Some(&stable), &plan).await;
        match &mut seen {
            Some(seen) => seen.add(next),
            None => seen = Some(next),
        }
        let verdict = judge_probes(&policy, seen.as_ref().unwrap());
        if !matches!(verdict, Verdict::Inconclusive(_)) || number == 50 {
            return (verdict, number, start.elapsed());
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_good_release_that_is_slow_at_its_start_passes_and_one_that_stays_slow_does_not() {
    let start = Duration::from_millis(2500);
    let slow = |since: Duration| {
        Duration::from_millis(if since < Duration::from_secs(2) {
            500
        } else {
            0
        })
    };
    let (verdict, _, took) = rounds(late(slow).await, start).await;
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
    assert!(took >= Duration::from_secs(2), "{took:?}");
    let slow = |_| Duration::from_millis(500);
    let (verdict, _, took) = rounds(late(slow).await, start).await;
    assert!(
        matches!(verdict, Verdict::Fail { at_once: true, .. }),
        "{verdict:?}"
    );
    assert!(
        verdict.finding().to_string().contains("p99 5"),
        "{verdict:?}"
    );
    assert!(took >= start, "{took:?}");
}

#[tokio::test]
async fn a_quick_release_is_not_waited_for() {
    let (verdict, number, _) =
        rounds(late(|_| Duration::ZERO).await, Duration::from_secs(3600)).await;
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
    assert_eq!(number, 1);
}

#[tokio::test]
async fn a_release_that_hangs_costs_its_slow_start_and_is_an_error_after_it() {
    let (verdict, _, took) = rounds(late(|_| Duration::MAX).await, Duration::from_secs(1)).await;
    assert!(
        matches!(verdict, Verdict::Fail { at_once: true, .. }),
        "{verdict:?}"
    );
    let said = verdict.finding().to_string();
    assert!(said.contains("GET /: no answer within 1500 ms"), "{said}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn what_has_a_pod_is_not_waited_for_as_what_must_wake() {
    let policy = asking("{count: 4, timeout: 200ms, slowStart: 0s}");
    let plan = ProbePlan::of(&policy, 4, None);
    assert_eq!(plan.wake, Duration::from_secs(60));
    let waking = late(|since| {
        Duration::from_millis(if since < Duration::from_millis(100) {
            700
        } else {
            0
        })
    })
    .await;
    let asleep = ProbeTarget {
        sleeps: true,
        ..target(waking)
    };
    let report = run(&trust(), &asleep, &plan, |_| false).await;
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert!(report.first.unwrap() >= Duration::from_millis(700));
    assert_eq!((report.sent, report.failed), (4, 0));
    assert_eq!(report.booked.statuses, [(200, 6)].into());
    let hanging = ProbeTarget {
        slow_start: SlowStart::of(&policy),
        ..target(late(|_| Duration::MAX).await)
    };
    let report = run(&trust(), &hanging, &plan, |_| false).await;
    let again = "one of the warm-up and four that count: it is not waited for again and again";
    assert_eq!(report.booked.statuses, [(0, 5)].into(), "{again}");
    assert!(
        report.first.unwrap() < Duration::from_secs(10),
        "{report:?}"
    );
}

/// A server of TLS whose certificate an authority of its own signed, and that one's certificate.
async fn private() -> (SocketAddr, String) {
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let bundle = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let host = vec!["candidate-hello.default.example.com".to_owned()];
    let leaf = rcgen::CertificateParams::new(host).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let app = Router::new().fallback(|| async { "ok" });
                let app = hyper_util::service::TowerToHyperService::new(app);
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), app)
                    .await;
            });
        }
    });
    (address, bundle)
}

#[tokio::test]
async fn a_gateway_with_a_certificate_of_its_own_authority_is_probed_where_the_agent_knows_it() {
    let (address, bundle) = private().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.crt");
    std::fs::write(&file, bundle).unwrap();
    let target = ProbeTarget {
        url: "https://candidate-hello.default.example.com".to_owned(),
        ..target(address)
    };
    let known = Trust::with_file(&file).unwrap();
    let report = run(&known, &target, &plan(4), |_| false).await;
    assert_eq!((report.sent, report.failed), (4, 0), "{:?}", report.errors);
    // Nobody is blamed where it does not.
    let report = run(&trust(), &target, &plan(4), |_| false).await;
    assert_eq!((report.sent, report.booked.times.len()), (0, 0));
    let round = ProbeRound {
        candidate: report,
        ..ProbeRound::default()
    };
    let verdict = judge_probes(&PRESETS.policy("fast").unwrap(), &round);
    assert!(matches!(verdict, Verdict::Inconclusive(_)), "{verdict:?}");
    let said = verdict.finding().to_string();
    assert!(
        said.contains("candidate-hello.default.example.com shows a certificate of an unknown authority; give the agent that one's certificate with --gateway-ca"),
        "{said}"
    );
}
