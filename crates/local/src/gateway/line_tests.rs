//! The line before a revision whose instances have all that they take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Notify, mpsc},
};

use super::{
    backend::{QUEUE_LIMIT, RequestRules},
    refuse::REASON,
    test_bench::{App, Bench, client, said, text, until},
};

#[tokio::test]
async fn container_concurrency_is_kept_and_the_line_is_served_in_order() {
    let bench = Bench::start().await;
    let (gate, now, most) = (
        Arc::new(Notify::new()),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let app = App::start({
        let (gate, now, most) = (gate.clone(), now.clone(), most.clone());
        move |request: Request<hyper::body::Incoming>| {
            let (gate, now, most) = (gate.clone(), now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.notified().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Response::new(text(request.uri().path().to_owned()))
            }
        }
    })
    .await;
    bench.serve_by(
        &[&app],
        RequestRules {
            container_concurrency: 1,
            ..RequestRules::default()
        },
    );
    let (done, mut order) = mpsc::unbounded_channel();
    for turn in 0..5 {
        let (request, done) = (bench.get(&format!("/{turn}")), done.clone());
        tokio::spawn(async move {
            let (_, path) = said(client().request(request).await.unwrap()).await;
            done.send(path).unwrap();
        });
        until("it is in line", || {
            bench.backend.in_flight() + bench.backend.waiting() == turn + 1
        })
        .await;
    }
    for turn in 0..5 {
        gate.notify_one();
        assert_eq!(order.recv().await.unwrap(), format!("/{turn}"));
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_line_is_bounded_and_those_who_left_make_room() {
    let bench = Bench::start().await;
    let far = tokio::time::Instant::now() + Duration::from_secs(600);
    let backend = &bench.backend;
    let mut line: Vec<_> = (0..QUEUE_LIMIT)
        .map(|_| Box::pin(backend.acquire(far)))
        .collect();
    for waiting in &mut line {
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    assert_eq!(backend.waiting(), QUEUE_LIMIT);
    let answer = client().request(bench.get("/")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[REASON]),
        (503, &HeaderValue::from_static("QueueFull"))
    );
    line.truncate(10);
    let mut next = Box::pin(backend.acquire(far));
    assert!(futures::poll!(next.as_mut()).is_pending());
    assert_eq!(backend.waiting(), 11);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_and_counts_as_499() {
    let bench = Bench::start().await;
    let app = App::start(|_| std::future::pending()).await;
    bench.serve_by(&[&app], RequestRules::default());
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: hello\r\n\r\n")
        .await
        .unwrap();
    until("it is at the instance", || bench.backend.in_flight() == 1).await;
    drop(socket);
    until("its place is free", || bench.backend.in_flight() == 0).await;
    assert_eq!(bench.backend.metrics.snapshot().codes, [(499, 1)]);
}
