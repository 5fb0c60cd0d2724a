//! The data plane at its edges: clients of another age, instances that break off, large
//! messages, half-sent ones.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    backend::{Endpoints, RequestRules},
    instance::Instance,
    test_bench::{App, Bench, Body, client, h2_client, said, text, until},
};

fn rules() -> RequestRules {
    RequestRules::default()
}

/// What a client on a bare socket gets for these bytes, up to the end of the connection.
async fn exchanged(bench: &Bench, sent: &str) -> String {
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    let mut got = String::new();
    socket.read_to_string(&mut got).await.unwrap();
    got
}

/// An instance that answers every request with these bytes and hangs up.
async fn says(bytes: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                stream.write_all(bytes.as_bytes()).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn an_instance_that_dies_in_the_middle_of_its_answer_is_not_taken_for_a_short_one() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    ] {
        let bench = Bench::start().await;
        let instance = Instance::new("x:1", says(answer).await);
        bench.backend.set_endpoints(Endpoints {
            rules: rules(),
            instances: vec![instance.into()],
        });
        // Its head may have gone out before the end was seen, or not.
        if let Ok(got) = client().request(bench.get("/")).await {
            assert_eq!(got.status(), 200);
            assert!(got.into_body().collect().await.is_err(), "{answer}");
        }
        until("it counts as the instance's failure", || {
            bench.backend.metrics.snapshot().codes == [(502, 1)]
        })
        .await;
        assert_eq!(bench.backend.in_flight(), 0);
    }
}

#[tokio::test]
async fn nonsense_from_an_instance_is_502_and_asked_for_once() {
    let bench = Bench::start().await;
    let instance = Instance::new("x:1", says("220 smtp.example.com ready\r\n").await);
    bench.backend.set_endpoints(Endpoints {
        rules: rules(),
        instances: vec![instance.into()],
    });
    assert_eq!(bench.ask("/").await.0, 502);
    assert_eq!(bench.backend.metrics.snapshot().retries, 0);
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let bench = Bench::start().await;
    let app = App::start(|request: Request<hyper::body::Incoming>| async move {
        assert!(request.headers().get("expect").is_none(), "hop by hop");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(text(body))
    })
    .await;
    bench.serve_by(&[&app], rules());
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    socket
        .write_all(
            b"POST / HTTP/1.1\r\nHost: hello\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let mut told = [0; 25];
    socket.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"12345").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("12345"),
        "{answer}"
    );
}

#[tokio::test]
async fn http_1_0_gets_its_answer_and_the_end_of_the_connection() {
    let bench = Bench::start().await;
    // Without a length: an HTTP/1.0 client knows the end by the connection's.
    let app = App::start(|_| async {
        let pieces = ["one ", "two"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let body: Body = StreamBody::new(futures::stream::iter(pieces)).boxed();
        Response::new(body)
    })
    .await;
    bench.serve_by(&[&app], rules());
    let got = exchanged(&bench, "GET / HTTP/1.0\r\nHost: hello\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.0 200 OK\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\none two"), "{got}");
}

#[tokio::test]
async fn the_host_is_found_however_it_is_written() {
    let (bench, app) = (Bench::start().await, App::named("found").await);
    bench.serve_by(&[&app], rules());
    for head in [
        "GET / HTTP/1.1\r\nHost: hello:8080\r\n",
        "GET / HTTP/1.1\r\nHost: HELLO\r\n",
        "GET / HTTP/1.1\r\nhost: hello.\r\n",
        "GET / HTTP/1.1\r\nHost: Hello.:8080\r\n",
        // A proxy's form: the request line says more than the header.
        "GET http://hello/ HTTP/1.1\r\nHost: other\r\n",
    ] {
        let got = exchanged(&bench, &format!("{head}Connection: close\r\n\r\n")).await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{head}: {got}");
    }
    let got = exchanged(&bench, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(
        got.starts_with("HTTP/1.1 400 ") && got.contains("x-sluice-reason: BadHost"),
        "{got}"
    );
}

#[tokio::test]
async fn large_heads_pass_both_ways_over_every_protocol() {
    let bench = Bench::start().await;
    let app = App::start(|request: Request<hyper::body::Incoming>| async move {
        let cookie = request.headers()["cookie"].clone();
        Response::builder()
            .header("x-echo", cookie)
            .body(text(""))
            .unwrap()
    })
    .await;
    // Envoy's limit is 60 KiB.
    let cookie = HeaderValue::from_str(&"c".repeat(56 << 10)).unwrap();
    for (h2_front, h2c) in [(false, false), (true, false), (false, true), (true, true)] {
        bench.serve_by(&[&app], RequestRules { h2c, ..rules() });
        let mut request = bench.get("/");
        request.headers_mut().insert("cookie", cookie.clone());
        let answer = if h2_front {
            request.headers_mut().remove("host");
            *request.version_mut() = Version::HTTP_2;
            h2_client().request(request).await.unwrap()
        } else {
            client().request(request).await.unwrap()
        };
        assert_eq!(answer.status(), 200, "h2 front {h2_front}, h2c {h2c}");
        assert_eq!(answer.headers()["x-echo"].len(), cookie.len());
    }
}

#[tokio::test]
async fn a_large_body_passes_both_ways_in_pieces() {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 128;
    let bench = Bench::start().await;
    let app = App::start(|request: Request<hyper::body::Incoming>| async move {
        let body = request
            .into_body()
            .map_err(|error| -> Infallible { panic!("{error}") });
        Response::new(body.boxed())
    })
    .await;
    for h2c in [false, true] {
        bench.serve_by(&[&app], RequestRules { h2c, ..rules() });
        let pieces = (0..PIECES).map(|n| {
            let byte = u8::try_from(n % 251).unwrap();
            Ok(Frame::data(Bytes::from(vec![byte; PIECE])))
        });
        let body: Body = StreamBody::new(futures::stream::iter(pieces)).boxed();
        let request = Request::post(format!("http://{}/", bench.address))
            .header("host", "hello")
            .body(body)
            .unwrap();
        let mut answer = client().request(request).await.unwrap().into_body();
        let mut count = 0;
        while let Some(frame) = answer.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            for byte in &data {
                assert_eq!(usize::from(*byte), count / PIECE % 251, "byte {count}");
                count += 1;
            }
        }
        assert_eq!(count, PIECES * PIECE, "h2c {h2c}");
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_its_request_harms_nobody_else() {
    let bench = Bench::start().await;
    let app = App::start(|request: Request<hyper::body::Incoming>| async move {
        let whole = request.into_body().collect().await.is_ok();
        Response::new(text(if whole { "whole" } else { "broken" }))
    })
    .await;
    bench.serve_by(&[&app], rules());
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    socket
        .write_all(b"POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: 1000\r\n\r\nnot all of it")
        .await
        .unwrap();
    until("it is at the instance", || bench.backend.in_flight() == 1).await;
    drop(socket);
    until("its place is free", || bench.backend.in_flight() == 0).await;
    assert_eq!(bench.backend.metrics.snapshot().codes, [(499, 1)]);
    let whole = Request::post(format!("http://{}/", bench.address))
        .header("host", "hello")
        .body(text("all of it"))
        .unwrap();
    let answer = said(client().request(whole).await.unwrap()).await;
    assert_eq!(answer, (200, "whole".into()));
}

#[tokio::test]
async fn a_body_that_a_client_spoils_is_no_failure_of_the_revision() {
    let bench = Bench::start().await;
    let app = App::start(|request: Request<hyper::body::Incoming>| async move {
        let _ = request.into_body().collect().await;
        Response::new(text("read"))
    })
    .await;
    for (h2c, so_far) in [(false, 1), (true, 2)] {
        bench.serve_by(&[&app], RequestRules { h2c, ..rules() });
        exchanged(
            &bench,
            "POST / HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n",
        )
        .await;
        until("it counts as the client's", || {
            bench.backend.metrics.snapshot().codes == [(499, so_far)]
        })
        .await;
    }
}

#[tokio::test]
async fn an_instance_that_never_took_a_connection_is_waited_for() {
    // Its Pod says that it is ready, as it was before the whole cluster was killed.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let bench = Bench::start().await;
    bench.backend.set_endpoints(Endpoints {
        rules: rules(),
        instances: vec![Instance::new("x:1", address).into()],
    });
    let asked = tokio::spawn(client().request(bench.get("/")));
    // Oftener than an instance that served before would be asked.
    until("it is tried again and again", || {
        bench.backend.metrics.snapshot().retries > 6
    })
    .await;
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 1024];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup";
    stream.write_all(answer).await.unwrap();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(said(answer).await, (200, "up".into()));
}
