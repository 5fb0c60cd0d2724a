//! The data plane over real sockets: what a client and an instance see.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    backend::{Endpoints, RequestRules},
    refuse::REASON,
    test_bench::{App, Bench, Body, client, h2_client, instances, said, text, until},
};

fn rules() -> RequestRules {
    RequestRules::default()
}

type Frames = mpsc::Sender<Result<Frame<Bytes>, std::convert::Infallible>>;

/// A body that is written while it is read.
fn channel() -> (Frames, Body) {
    let (sender, receiver) = mpsc::channel(8);
    (
        sender,
        StreamBody::new(ReceiverStream::new(receiver)).boxed(),
    )
}

fn data(text: &'static str) -> Result<Frame<Bytes>, std::convert::Infallible> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test]
async fn requests_in_turn_share_one_connection_to_the_instance() {
    let (bench, app) = (Bench::start().await, App::named("one").await);
    bench.serve_by(&[&app], rules());
    let client = client();
    for _ in 0..20 {
        let answer = client.request(bench.get("/")).await.unwrap();
        assert_eq!(said(answer).await, (200, "one".into()));
    }
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
    until("the last request is counted", || {
        bench.backend.metrics.snapshot().codes == [(200, 20)]
    })
    .await;
    assert_eq!((bench.backend.in_flight(), bench.backend.waiting()), (0, 0));
}

#[tokio::test]
async fn the_instance_sees_host_path_and_who_asked() {
    let (bench, app) = (
        Bench::start().await,
        App::start(|request: Request<_>| async move {
            let of = |name| {
                request
                    .headers()
                    .get(name)
                    .map(|v: &HeaderValue| v.to_str().unwrap())
            };
            let line = format!(
                "{} {} host={:?} for={:?} connection={:?}",
                request.method(),
                request.uri(),
                of("host"),
                of("x-forwarded-for"),
                of("connection"),
            );
            Response::builder()
                .header("keep-alive", "timeout=5")
                .body(text(line))
                .unwrap()
        })
        .await,
    );
    bench.serve_by(&[&app], rules());
    let answer = client().request(bench.get("/a/b?c=d")).await.unwrap();
    assert!(answer.headers().get("keep-alive").is_none(), "hop-by-hop");
    let (_, line) = said(answer).await;
    assert_eq!(
        line,
        r#"GET /a/b?c=d host=Some("hello") for=Some("127.0.0.1") connection=None"#
    );
}

#[tokio::test]
async fn an_unknown_host_is_404_and_says_which() {
    let bench = Bench::start().await;
    let request = Request::get(format!("http://{}/", bench.address))
        .header("host", "nobody.default.localhost")
        .body(text(""))
        .unwrap();
    let answer = client().request(request).await.unwrap();
    assert_eq!(answer.headers()[REASON], "UnknownHost");
    assert_eq!(
        said(answer).await,
        (
            404,
            "no route for host \"nobody.default.localhost\"\n".into()
        )
    );
}

#[tokio::test]
async fn a_hundred_requests_are_split_exactly() {
    let (bench, stable, canary) = (
        Bench::start().await,
        App::named("stable").await,
        App::named("canary").await,
    );
    bench.serve_by(&[&stable], rules());
    let second = bench
        .demand
        .backend(&super::backend::RevisionKey::new("default", "hello-2"));
    second.set_endpoints(Endpoints {
        rules: rules(),
        instances: instances(&[&canary]),
    });
    bench.route(&[("hello-1", 95), ("hello-2", 5)]);
    let client = client();
    let mut canaries = 0;
    for _ in 0..100 {
        let (_, who) = said(client.request(bench.get("/")).await.unwrap()).await;
        canaries += usize::from(who == "canary");
    }
    assert_eq!(canaries, 5);
}

#[tokio::test]
async fn bodies_stream_both_ways_and_trailers_follow() {
    let bench = Bench::start().await;
    // Echoes each piece as it comes: nothing would flow if the gateway buffered.
    let app = App::start(|request: Request<hyper::body::Incoming>| async move {
        let (sender, body) = channel();
        tokio::spawn(async move {
            let mut incoming = request.into_body();
            while let Some(Ok(frame)) = incoming.frame().await {
                let frame = match frame.into_data() {
                    Ok(data) => Frame::data(data),
                    Err(frame) => Frame::trailers(frame.into_trailers().unwrap()),
                };
                sender.send(Ok(frame)).await.unwrap();
            }
        });
        Response::builder()
            .header("trailer", "x-sum")
            .body(body)
            .unwrap()
    })
    .await;
    for (h2_front, h2c) in [(false, false), (true, false), (false, true), (true, true)] {
        bench.serve_by(&[&app], RequestRules { h2c, ..rules() });
        let (sender, body) = channel();
        let request = Request::post(format!("http://{}/", bench.address))
            .header("te", "trailers")
            .header("trailer", "x-sum");
        let request = if h2_front {
            // HTTP/2 names the host in the URI, and that is where a client connects.
            h2_client().request(request.body(body).unwrap())
        } else {
            client().request(request.header("host", "hello").body(body).unwrap())
        };
        sender.send(data("ping")).await.unwrap();
        let answer = request.await.unwrap();
        assert_eq!(answer.status(), 200, "h2 front {h2_front}, h2c {h2c}");
        let mut answer = answer.into_body();
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "ping", "before the request has ended");
        sender.send(data("pong")).await.unwrap();
        assert_eq!(
            answer.frame().await.unwrap().unwrap().into_data().unwrap(),
            "pong"
        );
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-sum"),
            HeaderValue::from_static("42"),
        )]);
        sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
        drop(sender);
        let last = answer.frame().await.unwrap().unwrap();
        let sum = last.trailers_ref().and_then(|t| t.get("x-sum")).cloned();
        assert_eq!(sum.unwrap(), "42", "h2 front {h2_front}, h2c {h2c}");
    }
}

#[tokio::test]
async fn h2c_reaches_an_h2c_instance_on_one_shared_connection() {
    let bench = Bench::start().await;
    let app = App::start(|request: Request<_>| async move {
        let line = format!("{:?} {}", request.version(), request.uri());
        Response::new(text(line))
    })
    .await;
    bench.serve_by(
        &[&app],
        RequestRules {
            h2c: true,
            ..rules()
        },
    );
    let client = client();
    let asked = (0..10).map(|_| {
        let request = bench.get("/x");
        let client = &client;
        async move { said(client.request(request).await.unwrap()).await.1 }
    });
    for line in futures::future::join_all(asked).await {
        assert_eq!(line, format!("{:?} http://hello/x", Version::HTTP_2));
    }
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_websocket_passes_through_and_holds_its_place() {
    let bench = Bench::start().await;
    let app = App::start(|mut request: Request<hyper::body::Incoming>| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut word = [0; 4];
            while io.read_exact(&mut word).await.is_ok() {
                word.reverse();
                io.write_all(&word).await.unwrap();
            }
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(text(""))
            .unwrap()
    })
    .await;
    bench.serve_by(&[&app], rules());
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    socket
        .write_all(
            b"GET /ws HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        String::from_utf8_lossy(&head)
    );
    for (sent, got) in [(b"abcd", b"dcba"), (b"1234", b"4321")] {
        socket.write_all(sent).await.unwrap();
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, got);
    }
    assert_eq!(bench.backend.in_flight(), 1);
    drop(socket);
    until("the tunnel has ended", || bench.backend.in_flight() == 0).await;
}

#[tokio::test]
async fn a_request_waits_for_the_first_instance_and_pokes_the_autoscaler() {
    let (bench, app) = (Bench::start().await, App::named("awake").await);
    let asked = tokio::spawn(client().request(bench.get("/")));
    bench.demand.poked().await;
    until("the request waits", || bench.backend.waiting() == 1).await;
    bench.serve_by(&[&app], rules());
    assert_eq!(
        said(asked.await.unwrap().unwrap()).await,
        (200, "awake".into())
    );
    assert_eq!(bench.backend.metrics.snapshot().cold_starts, 1);
}

#[tokio::test]
async fn a_refused_connection_is_tried_on_another_instance() {
    let (bench, good) = (Bench::start().await, App::named("good").await);
    let gone = App::named("gone").await;
    gone.stop();
    until("the port is closed", || {
        std::net::TcpStream::connect(gone.address).is_err()
    })
    .await;
    bench.serve_by(&[&gone, &good], rules());
    let client = client();
    for _ in 0..10 {
        let request = Request::post(format!("http://{}/", bench.address))
            .header("host", "hello")
            .body(text("a body that must arrive whole"))
            .unwrap();
        assert_eq!(
            said(client.request(request).await.unwrap()).await,
            (200, "good".into())
        );
    }
    assert!(bench.backend.metrics.snapshot().retries >= 1);
}

#[tokio::test]
async fn an_instance_that_ends_harms_no_request_that_follows() {
    let (bench, old, new) = (
        Bench::start().await,
        App::named("old").await,
        App::named("new").await,
    );
    bench.serve_by(&[&old], rules());
    let client = client();
    assert_eq!(
        said(client.request(bench.get("/")).await.unwrap()).await.1,
        "old"
    );
    old.stop();
    // The news of its end is late: first a refused connection, then nothing, then the
    // next instance.
    let asked = tokio::spawn(client.request(bench.get("/")));
    until("the request came back", || {
        bench.backend.metrics.snapshot().retries >= 1
    })
    .await;
    bench.backend.set_endpoints(Endpoints::default());
    until("the request waits", || bench.backend.waiting() == 1).await;
    bench.serve_by(&[&new], rules());
    assert_eq!(
        said(asked.await.unwrap().unwrap()).await,
        (200, "new".into())
    );
}

#[tokio::test]
async fn refused_for_good_is_503_and_counts_for_the_revision() {
    let (bench, gone) = (Bench::start().await, App::named("gone").await);
    bench.serve_by(&[&gone], rules());
    assert_eq!(bench.ask("/").await.0, 200);
    gone.stop();
    until("the port is closed", || {
        std::net::TcpStream::connect(gone.address).is_err()
    })
    .await;
    let answer = client().request(bench.get("/")).await.unwrap();
    assert_eq!(answer.headers()[REASON], "UpstreamConnect");
    assert_eq!(answer.status(), 503);
    assert_eq!(bench.backend.metrics.snapshot().codes, [(200, 1), (503, 1)]);
}

/// An instance that reads a request and hangs up, counting the requests.
async fn hangs_up(times: Arc<AtomicUsize>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                times.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    address
}

#[tokio::test]
async fn what_a_fresh_connection_dropped_is_never_sent_twice() {
    let (bench, times) = (Bench::start().await, Arc::new(AtomicUsize::new(0)));
    let address = hangs_up(times.clone()).await;
    let instance = Arc::new(super::instance::Instance::new("x", address));
    bench.backend.set_endpoints(Endpoints {
        rules: rules(),
        instances: vec![instance.clone()],
    });
    let post = Request::post(format!("http://{}/", bench.address))
        .header("host", "hello")
        .body(text("order"))
        .unwrap();
    let answer = client().request(post).await.unwrap();
    assert_eq!(answer.headers()[REASON], "UpstreamReset");
    assert_eq!(answer.status(), 502);
    assert_eq!(times.load(Ordering::SeqCst), 1);
    assert_eq!(bench.ask("/").await.0, 502);
    assert_eq!(times.load(Ordering::SeqCst), 2, "nor is a GET");
    assert!(
        !instance.is_ejected(),
        "it takes connections: nobody else is to wait for it"
    );
}

#[tokio::test]
async fn a_slow_answer_is_504_by_the_revisions_timeout() {
    let bench = Bench::start().await;
    let app = App::start(|_| std::future::pending()).await;
    bench.serve_by(
        &[&app],
        RequestRules {
            timeout: Duration::from_millis(80),
            ..rules()
        },
    );
    assert_eq!(bench.ask("/").await, (504, "request timeout\n".into()));
    let h2c = RequestRules {
        timeout: Duration::from_millis(80),
        h2c: true,
        ..rules()
    };
    bench.serve_by(&[&app], h2c);
    assert_eq!(bench.ask("/").await.0, 504);
    assert_eq!(bench.backend.metrics.snapshot().codes, [(504, 2)]);
    assert_eq!(bench.backend.in_flight(), 0);
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_cut_at_the_timeout() {
    let bench = Bench::start().await;
    let app = App::start(|_| async {
        let (sender, body) = channel();
        sender.send(data("once")).await.unwrap();
        tokio::spawn(async move { sender.closed().await });
        Response::new(body)
    })
    .await;
    bench.serve_by(
        &[&app],
        RequestRules {
            timeout: Duration::from_millis(80),
            ..rules()
        },
    );
    let answer = client().request(bench.get("/")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        answer.into_body().collect().await.is_err(),
        "cut off, not ended"
    );
    until("it is counted as 504", || {
        bench.backend.metrics.snapshot().codes == [(504, 1)]
    })
    .await;
}

#[tokio::test]
async fn nothing_that_can_serve_is_503_at_the_deadline() {
    let bench = Bench::start().await;
    let timeout = Duration::from_millis(60);
    bench.backend.set_endpoints(Endpoints {
        rules: RequestRules { timeout, ..rules() },
        instances: Vec::new(),
    });
    let answer = client().request(bench.get("/")).await.unwrap();
    assert_eq!(answer.headers()[REASON], "NoReadyInstance");
    assert_eq!(answer.status(), 503);
    assert_eq!(bench.backend.metrics.snapshot().codes, [(503, 1)]);
    assert_eq!(bench.backend.waiting(), 0);
}

#[tokio::test]
async fn a_retired_revision_gets_no_request_until_it_is_back() {
    let (bench, app) = (Bench::start().await, App::named("back").await);
    bench.serve_by(&[&app], rules());
    assert!(bench.backend.retire_if_idle());
    let asked = tokio::spawn(client().request(bench.get("/")));
    until("the request waits", || bench.backend.waiting() == 1).await;
    assert_eq!(app.connections.load(Ordering::SeqCst), 0);
    assert!(
        !bench.backend.retire_if_idle(),
        "someone waits: back in service"
    );
    assert_eq!(said(asked.await.unwrap().unwrap()).await.1, "back");
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_takes_no_more() {
    let bench = Bench::start().await;
    let gate = Arc::new(Notify::new());
    let app = App::start({
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                gate.notified().await;
                Response::new(text("done"))
            }
        }
    })
    .await;
    bench.serve_by(&[&app], rules());
    let asked = tokio::spawn(client().request(bench.get("/")));
    until("it is at the instance", || bench.backend.in_flight() == 1).await;
    bench.stop();
    until("the port is closed", || {
        std::net::TcpStream::connect(bench.address).is_err()
    })
    .await;
    gate.notify_one();
    assert_eq!(
        said(asked.await.unwrap().unwrap()).await,
        (200, "done".into())
    );
    until("no connection is left", || bench.serving.is_finished()).await;
}

#[tokio::test]
async fn a_head_request_has_a_length_and_no_body() {
    let (bench, app) = (Bench::start().await, App::named("12345").await);
    bench.serve_by(&[&app], rules());
    let client = client();
    for _ in 0..3 {
        let mut head = bench.get("/");
        *head.method_mut() = Method::HEAD;
        let answer = client.request(head).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "5");
        assert_eq!(said(answer).await, (200, String::new()));
    }
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}
