//! The HTTP server behind every sample: HTTP/1.1 and h2c on one loopback port.

use std::convert::Infallible;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rand::RngExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::knobs::{Fate, Knobs};
use super::{Answer, Sample};
use crate::node::grpc_health;

type Body = UnsyncBoxBody<Bytes, BodyError>;
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// So long after its head an answer breaks off: whoever passes it on has passed its beginning on.
const BREAKS_OFF_AFTER: Duration = Duration::from_millis(20);

/// One sample at work.
struct App {
    sample: &'static Sample,
    knobs: Knobs,
    revision: String,
    /// User requests so far; decides which one fails or is late.
    requests: AtomicU64,
    /// When it began to listen.
    listens_since: Instant,
    /// It was asked to fail from now on.
    fails: AtomicBool,
    /// When the first of them came.
    first: OnceLock<Instant>,
}

/// Serves until SIGTERM or SIGINT.
pub fn main(sample: &'static Sample, knobs: Knobs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sample {}: cannot start: {error}", sample.name);
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(sample, knobs)) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("sample {}: {error}", sample.name);
            ExitCode::FAILURE
        }
    }
}

async fn serve(sample: &'static Sample, knobs: Knobs) -> std::io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stopped = std::pin::pin!(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    if let Some(status) = knobs.crash_at_start {
        eprintln!(
            "{}: crashing at start with status {status}, as asked",
            sample.name
        );
        return Ok(ExitCode::from(status));
    }
    tokio::select! {
        () = &mut stopped => return Ok(ExitCode::SUCCESS),
        () = tokio::time::sleep(knobs.listen_after), if !knobs.listen_after.is_zero() => {}
        () = std::future::ready(()), if knobs.listen_after.is_zero() => {}
    }
    if knobs.never_listen {
        println!("{}: not listening, as asked", sample.name);
        stopped.await;
        return Ok(ExitCode::SUCCESS);
    }
    let listener = TcpListener::bind(("127.0.0.1", knobs.port)).await?;
    let app = App {
        sample,
        knobs,
        revision: std::env::var("K_REVISION").unwrap_or_default(),
        requests: AtomicU64::new(0),
        first: OnceLock::new(),
        listens_since: Instant::now(),
        fails: AtomicBool::new(false),
    };
    println!(
        "{} greets {:?} on 127.0.0.1:{} {}",
        sample.name, app.knobs.target, app.knobs.port, app.revision
    );
    Ok(accept(listener, Arc::new(app), stopped).await)
}

/// Answers connections until it is stopped, and lets open requests end; or until it crashes.
async fn accept(
    listener: TcpListener,
    app: Arc<App>,
    mut stopped: Pin<&mut impl Future<Output = ()>>,
) -> ExitCode {
    let mut crash = std::pin::pin!(crash_timer(app.knobs.crash_after));
    let http = auto::Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Small answers shall not wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                let app = Arc::clone(&app);
                let service = service_fn(move |request| {
                    let app = Arc::clone(&app);
                    async move { Ok::<_, Infallible>(app.answer(request).await) }
                });
                let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
                let connection = graceful.watch(connection);
                // How a connection ends is the client's business.
                connections.spawn(async move { drop(connection.await) });
            }
            Some(_) = connections.join_next() => {}
            () = &mut crash => {
                eprintln!("{}: crashing, as asked", app.sample.name);
                return ExitCode::FAILURE;
            }
            () = &mut stopped => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
    println!("{}: stopped", app.sample.name);
    ExitCode::SUCCESS
}

async fn crash_timer(after: Option<Duration>) {
    match after {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
}

impl App {
    /// What probes are told.
    fn is_ready(&self) -> bool {
        let lasts = |after: Duration| self.listens_since.elapsed() < after;
        !self.knobs.never_ready && self.knobs.unready_after.is_none_or(lasts)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if self.knobs.crash_on_path.as_deref() == Some(path) {
            eprintln!("{}: crashing on {path}, as asked", self.sample.name);
            // At once and half way through the answer: that is what a crash is.
            std::process::exit(1);
        }
        if path == grpc_health::PATH {
            return health(self.is_ready());
        }
        if path == "/healthz" || is_probe(request.headers()) {
            return match self.is_ready() {
                false => self.text(StatusCode::SERVICE_UNAVAILABLE, "not ready, as asked\n"),
                true => self.text(StatusCode::OK, "ok\n"),
            };
        }
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        let since_first = self.first.get_or_init(Instant::now).elapsed();
        let slow = (self.knobs.delayed_for).is_none_or(|time| self.listens_since.elapsed() < time);
        if slow && !self.knobs.delay.is_zero() && self.knobs.delayed.takes(n) {
            tokio::time::sleep(self.knobs.delay).await;
        }
        if self.knobs.fail_from_path.as_deref() == Some(path) {
            self.fails.store(true, Ordering::Relaxed);
        }
        let fate = if self.fails.load(Ordering::Relaxed) {
            Fate::Fails
        } else {
            self.knobs.fate(n, since_first)
        };
        match fate {
            Fate::Answered => {}
            Fate::Fails => return self.text(self.knobs.fail_status, "failing, as asked\n"),
            Fate::Hangs => std::future::pending().await,
            Fate::BreaksOff => return self.broken_off(),
        }
        match path {
            "/echo" => echo(request),
            "/stream" => slow_stream(&self.knobs.target),
            _ => match self.sample.answer {
                Answer::Hello => {
                    self.text(StatusCode::OK, format!("Hello {}!\n", self.knobs.target))
                }
                Answer::Random => {
                    let number = rand::rng().random_range(1..=self.knobs.max);
                    let mut answer =
                        self.text(StatusCode::OK, format!("{{\"number\":{number}}}\n"));
                    answer.headers_mut().insert(
                        header::CONTENT_TYPE,
                        HeaderValue::from_static("application/json"),
                    );
                    answer
                }
            },
        }
    }

    fn text(&self, status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
        let body = Full::new(text.into()).map_err(|never: Infallible| match never {});
        self.response(status, body.boxed_unsync())
    }

    /// An answer whose connection is closed after the head and a piece of the body.
    fn broken_off(&self) -> Response<Body> {
        let beginning =
            futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"Hel"))) });
        let end = futures::stream::once(async {
            tokio::time::sleep(BREAKS_OFF_AFTER).await;
            Err("breaking off, as asked".into())
        });
        let body = StreamBody::new(beginning.chain(end));
        self.response(StatusCode::OK, body.boxed_unsync())
    }

    fn response(&self, status: StatusCode, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        // Which version answered, for whoever watches a split of traffic.
        if let Ok(revision) = HeaderValue::from_str(&self.revision)
            && !revision.is_empty()
        {
            headers.insert("x-sample-revision", revision);
        }
        response
    }
}

/// Kubernetes' and Knative's probes are known by their User-Agent or header.
fn is_probe(headers: &HeaderMap) -> bool {
    headers.contains_key("k-kubelet-probe")
        || headers
            .get(header::USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(b"kube-probe/"))
}

/// The answer to a gRPC probe: a message, and the status of the call in the trailers.
fn health(is_serving: bool) -> Response<Body> {
    let message = grpc_health::response(if is_serving { 1 } else { 2 });
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let frames = [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    response
}

/// Sends the request's body back as it comes.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body().map_err(Into::into).boxed_unsync());
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// Ten lines, one every 100 ms.
fn slow_stream(target: &str) -> Response<Body> {
    let target = target.to_owned();
    let lines = futures::stream::iter(1..=10u32).then(move |n| {
        let line = format!("{n} {target}\n");
        async move {
            if n > 1 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(Frame::data(Bytes::from(line)))
        }
    });
    Response::new(StreamBody::new(lines).boxed_unsync())
}
