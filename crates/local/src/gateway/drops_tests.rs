//! What becomes of requests whose connection breaks before an answer: users of an app that
//! drops requests see it, users of one that closes connections at rest do not.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    backend::{Endpoints, RequestRules},
    instance::Instance,
    keep_alive::FRESH_ONLY,
    refuse::REASON,
    test_bench::{Bench, Body, client, said, text, until},
};

/// How an app ends a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// `close`: an orderly end, or a reset where something was left unread.
    Close,
    /// `shutdown` and then `close`, as hyper does.
    Shutdown,
    /// A reset, whatever was read.
    Reset,
}

async fn end(mut stream: TcpStream, how: End) {
    match how {
        End::Close => {}
        End::Shutdown => {
            let _ = stream.shutdown().await;
        }
        End::Reset => stream.set_zero_linger().unwrap(),
    }
}

/// What an app does with its n-th request (from 1) and its connection.
#[derive(Clone, Copy)]
struct Habit {
    /// Every n-th request is read and dropped without an answer.
    drops_every: usize,
    drop: End,
    /// After an answer, the next request on the connection is not read any more.
    refuses_kept: Option<End>,
    /// After an answer the connection is closed, without a word of it in the answer.
    closes_kept: Option<End>,
}

const ANSWERS: Habit = Habit {
    drops_every: usize::MAX,
    drop: End::Close,
    refuses_kept: None,
    closes_kept: None,
};

/// An app on bare sockets.
struct Sockets {
    address: SocketAddr,
    /// Requests that it has read.
    read: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sockets {
    async fn start(habit: Habit) -> Sockets {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (read, dropped) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let counters = (read.clone(), dropped.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream, habit, counters.clone()));
            }
        });
        Sockets {
            address,
            read,
            dropped,
            task,
        }
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }
}

async fn converse(
    mut stream: TcpStream,
    habit: Habit,
    (read, dropped): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) {
    stream.set_nodelay(true).unwrap();
    let mut answered = 0;
    loop {
        if answered > 0 {
            if let Some(how) = habit.closes_kept {
                // Not always at once: the next request meets it now before, now after.
                for _ in 0..read.load(Ordering::SeqCst) % 40 {
                    tokio::task::yield_now().await;
                }
                return end(stream, how).await;
            }
            if let Some(how) = habit.refuses_kept {
                // There is a request, or the end.
                let _ = stream.peek(&mut [0]).await;
                return end(stream, how).await;
            }
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let number = read.fetch_add(1, Ordering::SeqCst) + 1;
        if number.is_multiple_of(habit.drops_every) {
            dropped.fetch_add(1, Ordering::SeqCst);
            return end(stream, habit.drop).await;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
        answered += 1;
    }
}

async fn bench_of(app: &Sockets) -> Bench {
    let bench = Bench::start().await;
    serve(&bench, app.address, false);
    bench
}

fn serve(bench: &Bench, address: SocketAddr, h2c: bool) {
    bench.backend.set_endpoints(Endpoints {
        rules: RequestRules {
            h2c,
            ..RequestRules::default()
        },
        instances: vec![Instance::new("x", address).into()],
    });
}

fn request(bench: &Bench, method: &Method) -> Request<Body> {
    let mut request = bench.get("/");
    *request.method_mut() = method.clone();
    request
}

/// How many of these requests, one after the other, were answered with 502.
async fn failures(bench: &Bench, method: Method, count: usize) -> usize {
    let (client, mut failed) = (client(), 0);
    for _ in 0..count {
        let answer = client.request(request(bench, &method)).await.unwrap();
        let status = answer.status().as_u16();
        assert!(matches!(status, 200 | 502), "{status}");
        failed += usize::from(status == 502);
        said(answer).await;
    }
    failed
}

async fn counted(bench: &Bench, codes: &[(u16, u64)]) {
    until("every request is counted once", || {
        bench.backend.metrics.snapshot().codes == codes
    })
    .await;
}

#[tokio::test]
async fn each_request_that_an_app_drops_fails_once_and_is_sent_once() {
    let cases = [
        (End::Close, Method::GET, 200),
        (End::Shutdown, Method::GET, 20),
        (End::Close, Method::PUT, 20),
        (End::Close, Method::DELETE, 20),
        (End::Close, Method::POST, 20),
    ];
    for (drop, method, count) in cases {
        let app = Sockets::start(Habit {
            drops_every: 2,
            drop,
            ..ANSWERS
        })
        .await;
        let bench = bench_of(&app).await;
        let case = format!("{drop:?} {method}");
        assert_eq!(failures(&bench, method, count).await, count / 2, "{case}");
        assert_eq!(app.read(), count, "{case}");
        let half = (count / 2) as u64;
        counted(&bench, &[(200, half), (502, half)]).await;
        assert_eq!(bench.backend.metrics.snapshot().retries, 0, "{case}");
    }
}

#[tokio::test]
async fn many_users_at_once_see_each_drop_too() {
    let app = Sockets::start(Habit {
        drops_every: 3,
        ..ANSWERS
    })
    .await;
    let bench = bench_of(&app).await;
    let users = (0..8).map(|_| failures(&bench, Method::GET, 30));
    let failed: usize = futures::future::join_all(users).await.iter().sum();
    assert_eq!((failed, app.read()), (80, 240));
    assert_eq!(app.dropped.load(Ordering::SeqCst), 80);
    counted(&bench, &[(200, 160), (502, 80)]).await;
}

#[tokio::test]
async fn of_an_apps_resets_one_in_a_thousand_may_be_taken_for_the_race() {
    let app = Sockets::start(Habit {
        drops_every: 2,
        drop: End::Reset,
        ..ANSWERS
    })
    .await;
    let bench = bench_of(&app).await;
    // The second request came on a kept connection; all after it on connections of their own.
    assert_eq!(failures(&bench, Method::GET, 200).await, 99);
    assert_eq!(app.read(), 201);
    counted(&bench, &[(200, 101), (502, 99)]).await;
    assert_eq!(bench.backend.metrics.snapshot().retries, 1);
    const { assert!(FRESH_ONLY >= 1_000) };
}

#[tokio::test]
async fn a_connection_closed_at_rest_is_no_users_trouble() {
    for how in [End::Close, End::Shutdown] {
        let app = Sockets::start(Habit {
            closes_kept: Some(how),
            ..ANSWERS
        })
        .await;
        let bench = bench_of(&app).await;
        let users = (0..4).map(|_| failures(&bench, Method::GET, 250));
        let failed: usize = futures::future::join_all(users).await.iter().sum();
        assert_eq!((failed, app.read()), (0, 1_000), "{how:?}");
        counted(&bench, &[(200, 1_000)]).await;
    }
}

#[tokio::test]
async fn a_request_that_meets_the_close_unread_is_sent_once_more() {
    for (how, retries) in [(End::Shutdown, 99), (End::Close, 1)] {
        let app = Sockets::start(Habit {
            refuses_kept: Some(how),
            ..ANSWERS
        })
        .await;
        let bench = bench_of(&app).await;
        assert_eq!(failures(&bench, Method::GET, 100).await, 0, "{how:?}");
        assert_eq!(app.read(), 100, "{how:?}");
        counted(&bench, &[(200, 100)]).await;
        // A reset says less than an end with a reset behind it: after it, none is kept.
        let seen = bench.backend.metrics.snapshot().retries;
        assert_eq!(seen, retries, "{how:?}");
    }
}

#[tokio::test]
async fn a_post_that_was_written_is_never_repeated_even_unread() {
    let app = Sockets::start(Habit {
        refuses_kept: Some(End::Shutdown),
        ..ANSWERS
    })
    .await;
    let bench = bench_of(&app).await;
    let posts = failures(&bench, Method::POST, 10).await;
    assert_eq!((posts, app.read()), (5, 5));
    counted(&bench, &[(200, 5), (502, 5)]).await;
    assert_eq!(bench.backend.metrics.snapshot().retries, 0);
}

#[tokio::test]
async fn a_body_that_was_begun_is_never_sent_again() {
    let app = Sockets::start(Habit {
        refuses_kept: Some(End::Shutdown),
        ..ANSWERS
    })
    .await;
    let bench = bench_of(&app).await;
    assert_eq!(failures(&bench, Method::GET, 1).await, 0);
    let pieces = ["first ", "second"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let body: Body = StreamBody::new(futures::stream::iter(pieces)).boxed();
    let put = request(&bench, &Method::PUT).map(|_| body);
    let answer = client().request(put).await.unwrap();
    assert_eq!(answer.headers()[REASON], "UpstreamReset");
    assert_eq!(answer.status(), 502);
    assert_eq!(app.read(), 1);
    counted(&bench, &[(200, 1), (502, 1)]).await;
}

#[tokio::test]
async fn a_kept_connection_that_began_an_answer_is_no_race() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Whoever comes a second time is refused, and gets another answer than 502.
        drop(listener);
        let mut buffer = [0; 1024];
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 ",
        ] {
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        end(stream, End::Reset).await;
    });
    let bench = Bench::start().await;
    serve(&bench, address, false);
    assert_eq!(failures(&bench, Method::GET, 2).await, 1);
    counted(&bench, &[(200, 1), (502, 1)]).await;
    assert_eq!(bench.backend.metrics.snapshot().retries, 0);
    app.await.unwrap();
}

#[tokio::test]
async fn a_websocket_that_is_dropped_at_its_handshake_fails_once() {
    let app = Sockets::start(Habit {
        drops_every: 1,
        ..ANSWERS
    })
    .await;
    let bench = bench_of(&app).await;
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    let handshake =
        "GET /ws HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    socket.write_all(handshake.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    socket.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 502");
    assert_eq!(app.read(), 1);
    counted(&bench, &[(502, 1)]).await;
}

/// What an HTTP/2 app does with a request.
#[derive(Clone, Copy, Debug)]
enum Word {
    Answer,
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// `GOAWAY` with this last stream, then the end.
    GoAway(u32),
    /// The end without a word.
    Hangs,
}

/// An HTTP/2 app of bare frames that treats one request after the other by these words.
async fn frames(words: &'static [Word]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whatever fails here, the client has left.
            let _ = talk(stream, words, &counter).await;
        }
    });
    (address, seen)
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

async fn talk(mut stream: TcpStream, words: &[Word], seen: &AtomicUsize) -> std::io::Result<()> {
    let frame = |kind: u8, flags: u8, stream: u32, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
    };
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body).await?;
        match head[3] {
            SETTINGS if head[4] == 0 => stream.write_all(&frame(SETTINGS, 1, 0, &[])).await?,
            HEADERS => match words[seen.fetch_add(1, Ordering::SeqCst)] {
                // `:status: 200`, the eighth of HPACK's table, and the end of the stream.
                Word::Answer => stream.write_all(&frame(HEADERS, 5, id, &[0x88])).await?,
                Word::Reset(code) => {
                    stream
                        .write_all(&frame(3, 0, id, &code.to_be_bytes()))
                        .await?;
                }
                Word::GoAway(last) => {
                    let body = [last.to_be_bytes(), [0; 4]].concat();
                    stream.write_all(&frame(7, 0, 0, &body)).await?;
                    return Ok(());
                }
                Word::Hangs => return Ok(()),
            },
            _ => {}
        }
    }
}

#[tokio::test]
async fn over_http_2_only_what_the_app_says_it_did_not_process_is_repeated() {
    const REFUSED: u32 = 7;
    const CANCEL: u32 = 8;
    use Word::*;
    let cases: [(&'static [Word], u16); 8] = [
        (&[Reset(REFUSED), Answer], 200),
        (&[GoAway(0), Answer], 200),
        (&[Reset(CANCEL), Answer], 502),
        (&[GoAway(1), Answer], 502),
        (&[Hangs, Answer], 502),
        // On a kept connection as on a fresh one.
        (&[Answer, Reset(REFUSED), Answer], 200),
        (&[Answer, GoAway(1), Answer], 200),
        (&[Answer, Hangs, Answer], 502),
    ];
    for method in [Method::GET, Method::POST] {
        for (words, status) in cases {
            let (address, seen) = frames(words).await;
            let bench = Bench::start().await;
            serve(&bench, address, true);
            let client = client();
            let begun = usize::from(matches!(words[0], Answer));
            for _ in 0..begun {
                let answer = client.request(request(&bench, &method)).await.unwrap();
                assert_eq!(said(answer).await.0, 200);
            }
            let answer = client.request(request(&bench, &method)).await.unwrap();
            assert_eq!(said(answer).await.0, status, "{method} {words:?}");
            let sent = if status == 200 {
                words.len()
            } else {
                begun + 1
            };
            assert_eq!(seen.load(Ordering::SeqCst), sent, "{method} {words:?}");
            let all = begun as u64;
            let codes = match (status, begun) {
                (200, _) => vec![(200, all + 1)],
                (_, 0) => vec![(502, 1)],
                _ => vec![(200, all), (502, 1)],
            };
            counted(&bench, &codes).await;
        }
    }
}

#[tokio::test]
async fn a_grpc_message_that_was_begun_is_not_sent_again() {
    let (address, seen) = frames(&[Word::Reset(7), Word::Answer]).await;
    let bench = Bench::start().await;
    serve(&bench, address, true);
    let call = request(&bench, &Method::POST).map(|_| text("message"));
    let answer = client().request(call).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), seen.load(Ordering::SeqCst)),
        (502, 1)
    );
}
