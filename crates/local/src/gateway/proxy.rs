//! One request from its arrival to the head of its answer: find the route, hold a
//! place, pass it on, and where it surely was not processed, pass it on again.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header::HOST, request::Parts,
    uri::Scheme,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::Backend,
    ending::Ending,
    h1::{H1Connection, SendError},
    h2::{self, H2Error},
    headers::{self, ClientAddress},
    instance::Instance,
    load_tracker::LoadTracker,
    refuse::Reason,
    repeat::Repeat,
    request_body::RequestBody,
    request_guard::RequestGuard,
    response_body::ResponseBody,
    table::{RouteTable, Target, host_key},
    tunnel,
};

/// Attempts a request gets in all as long as nothing of it was written. Two cover an
/// instance that ended a moment ago; the others are for connections that were closed while
/// they lay in the pool.
const ATTEMPTS: u32 = 4;
/// Instances are on this machine: one that has not accepted by then will not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long refusals of an instance that never took a connection are no failures: it is
/// starting, and its Pod's word for that is on its way.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);

/// The data plane's shared state.
#[derive(Debug)]
pub struct Proxy {
    /// The routes in force.
    pub table: ArcSwap<RouteTable>,
    /// The revisions.
    pub demand: LoadTracker,
    /// Requests without a route.
    pub unrouted: AtomicU64,
    /// Owns what outlives a request: tunnels and HTTP/2 connections to instances.
    pub tasks: TaskTracker,
    /// Ends them.
    pub cancel: CancellationToken,
}

/// How an attempt ended, if not with an answer.
enum Failure {
    /// No app has processed it.
    Again(Request<RequestBody>, Reason),
    /// A kept connection ended under it: once more, on a connection of its own, whose end
    /// is final.
    Afresh(Request<RequestBody>),
    /// It must not, or cannot, be repeated.
    Final(Reason),
    /// The client's own body broke off: it is not there to be told.
    ClientLeft,
}

impl Proxy {
    /// A proxy without routes.
    pub fn new(demand: LoadTracker, cancel: CancellationToken) -> Proxy {
        Proxy {
            table: ArcSwap::default(),
            demand,
            unrouted: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            cancel,
        }
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        client: &ClientAddress,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        match self.route(&request) {
            Ok((target, host)) => self.serve(client, request, &target, host, started).await,
            Err(reason) => {
                self.unrouted.fetch_add(1, Ordering::Relaxed);
                reason.response()
            }
        }
    }

    fn route(&self, request: &Request<Incoming>) -> Result<(Arc<Target>, HeaderValue), Reason> {
        if request.method() == Method::CONNECT {
            return Err(Reason::NotAForwardProxy);
        }
        let value = match request.uri().authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => request.headers().get(HOST).cloned(),
        }
        .ok_or(Reason::BadHost)?;
        let host = value.to_str().map_err(|_| Reason::BadHost)?;
        let path = request.uri().path();
        let found = self
            .table
            .load()
            .find(&host_key(host), path, request.headers());
        match found {
            Ok(target) => Ok((target, value)),
            Err(why) => Err(Reason::NoRoute(why, host.to_owned())),
        }
    }

    async fn serve(
        &self,
        client: &ClientAddress,
        mut request: Request<Incoming>,
        target: &Arc<Target>,
        host: HeaderValue,
        started: Instant,
    ) -> Response<ResponseBody> {
        let mut exchange = RequestGuard::open(target.backend.clone(), started);
        let upgrade = wanted_upgrade(&mut request);
        let (parts, body) = request.into_parts();
        let head = prepare(
            parts,
            client,
            target,
            host,
            upgrade.as_ref().map(|(p, _)| p),
        );
        let mut upgrade = upgrade.map(|(_, on)| on);
        let mut next = Request::from_parts(head, RequestBody::new(body));
        let (mut attempt, mut afresh) = (1, false);
        loop {
            let lease = match target.backend.try_acquire() {
                Some(lease) => Ok(lease),
                None => target.backend.acquire(exchange.deadline()).await,
            };
            let instance = match lease {
                Ok(lease) => {
                    let instance = lease.instance().clone();
                    exchange.hold(lease);
                    instance
                }
                Err(refusal) => return refuse(exchange, Reason::Refused(refusal)),
            };
            let outcome = if exchange.rules.h2c && upgrade.is_none() {
                self.attempt_h2(next, &instance, exchange).await
            } else {
                self.attempt_h1(next, &instance, exchange, &mut upgrade, afresh)
                    .await
            };
            let (mut back, failure) = match outcome {
                Ok(response) => return response,
                Err((back, failure)) => (back, failure),
            };
            let request = match failure {
                Failure::Again(request, Reason::UpstreamConnect)
                    if !instance.is_proven() && started.elapsed() < FIRST_CONNECTION =>
                {
                    request
                }
                Failure::Again(request, _) if attempt < ATTEMPTS => {
                    attempt += 1;
                    request
                }
                Failure::Afresh(request) => {
                    afresh = true;
                    request
                }
                Failure::Again(_, reason) | Failure::Final(reason) => return refuse(back, reason),
                // Counted as what it is: the client's own end.
                Failure::ClientLeft => return Reason::UpstreamReset.response(),
            };
            back.release();
            back.backend().metrics.record_retry();
            (next, exchange) = (request, back);
        }
    }

    async fn attempt_h1(
        &self,
        request: Request<RequestBody>,
        instance: &Arc<Instance>,
        mut exchange: RequestGuard,
        upgrade: &mut Option<OnUpgrade>,
        afresh: bool,
    ) -> Result<Response<ResponseBody>, (RequestGuard, Failure)> {
        let (mut connection, repeat) = match open(&request, instance, &exchange, afresh).await {
            Ok(opened) => opened,
            Err(_) => {
                instance.eject();
                return Err((exchange, Failure::Again(request, Reason::UpstreamConnect)));
            }
        };
        connection.set_alarm(exchange.head_deadline());
        let response = match connection.send(request).await {
            Ok(response) => response,
            Err(SendError::TimedOut) => {
                return Err((exchange, Failure::Final(Reason::RequestTimeout)));
            }
            Err(SendError::Broken { error, unsent }) => {
                let failure = match unsent {
                    Some(request) => Failure::Again(*request, Reason::UpstreamReset),
                    None => broken_h1(connection, &error, repeat, exchange.backend()).await,
                };
                return Err((exchange, failure));
            }
        };
        exchange.answer(response.status().as_u16());
        let (mut head, incoming) = response.into_parts();
        head.version = Version::HTTP_11;
        if head.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(on) = upgrade.take()
        {
            let protocol = head.headers.get(http::header::UPGRADE).cloned();
            headers::strip_hop_by_hop(&mut head.headers);
            if let Some(protocol) = protocol {
                headers::ask_upgrade(&mut head.headers, protocol);
            }
            self.tasks
                .spawn(tunnel::run(on, connection, exchange, self.cancel.clone()));
            return Ok(Response::from_parts(head, ResponseBody::Text(None)));
        }
        headers::strip_hop_by_hop(&mut head.headers);
        let mut pieces = Some((incoming, connection, exchange));
        let body = poll_fn(|cx| match pieces.take() {
            Some((incoming, connection, exchange)) => {
                Poll::Ready(ResponseBody::h1(incoming, connection, exchange, cx))
            }
            None => Poll::Pending,
        })
        .await;
        Ok(Response::from_parts(head, body))
    }

    async fn attempt_h2(
        &self,
        request: Request<RequestBody>,
        instance: &Arc<Instance>,
        mut exchange: RequestGuard,
    ) -> Result<Response<ResponseBody>, (RequestGuard, Failure)> {
        let until = exchange
            .head_deadline()
            .min(Instant::now() + CONNECT_TIMEOUT);
        let connected = timeout_at(until, h2::connection(instance, &self.tasks, &self.cancel));
        let Ok(Ok(mut sender)) = connected.await else {
            instance.eject();
            return Err((exchange, Failure::Again(request, Reason::UpstreamConnect)));
        };
        instance.prove();
        let repeat = Repeat::of(&request);
        let response = match h2::send(&mut sender, request, exchange.head_deadline()).await {
            Ok(response) => response,
            Err(H2Error::TimedOut) => {
                return Err((exchange, Failure::Final(Reason::RequestTimeout)));
            }
            Err(H2Error::Broken { error, unsent }) => {
                let failure = match unsent {
                    Some(request) => Failure::Again(*request, Reason::UpstreamReset),
                    None => broken_h2(&error, repeat),
                };
                return Err((exchange, failure));
            }
        };
        exchange.answer(response.status().as_u16());
        let (mut head, incoming) = response.into_parts();
        head.version = Version::HTTP_11;
        headers::strip_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(
            head,
            ResponseBody::h2(incoming, exchange),
        ))
    }
}

fn refuse(mut exchange: RequestGuard, reason: Reason) -> Response<ResponseBody> {
    exchange.fail(reason.status().as_u16());
    reason.response()
}

/// A connection for this request, and the means to send it again should that break: on
/// a connection of its own it is sent once.
async fn open(
    request: &Request<RequestBody>,
    instance: &Instance,
    exchange: &RequestGuard,
    afresh: bool,
) -> io::Result<(Box<H1Connection>, Repeat)> {
    if !afresh
        && exchange.backend().keep_alive.allows()
        && let Some(kept) = reuse(instance).await
    {
        return Ok((kept, Repeat::if_idempotent(request)));
    }
    let connection = connect(instance, exchange.head_deadline()).await?;
    instance.prove();
    Ok((connection, Repeat::never(request)))
}

/// A pooled connection that the instance has not closed meanwhile.
async fn reuse(instance: &Instance) -> Option<Box<H1Connection>> {
    while let Some(mut connection) = instance.pool.take() {
        if connection.is_usable().await {
            return Some(connection);
        }
    }
    None
}

async fn connect(instance: &Instance, deadline: Instant) -> io::Result<Box<H1Connection>> {
    let until = deadline.min(Instant::now() + CONNECT_TIMEOUT);
    timeout_at(until, H1Connection::open(instance.address)).await?
}

/// What is to be done about a request that was written to a connection that then broke;
/// `repeat` holds nothing if it must not be written twice.
async fn broken_h1(
    connection: Box<H1Connection>,
    error: &hyper::Error,
    repeat: Repeat,
    backend: &Backend,
) -> Failure {
    if repeat.client_left() {
        return Failure::ClientLeft;
    }
    let Some(request) = repeat.request() else {
        return Failure::Final(Reason::UpstreamReset);
    };
    match connection.ending(error).await {
        Ending::Served => Failure::Final(Reason::UpstreamReset),
        Ending::Unread => Failure::Afresh(request),
        Ending::Reset => {
            backend.keep_alive.suspend();
            Failure::Afresh(request)
        }
    }
}

fn broken_h2(error: &hyper::Error, repeat: Repeat) -> Failure {
    if repeat.client_left() {
        return Failure::ClientLeft;
    }
    match repeat.request() {
        Some(request) if h2::was_not_processed(error) => {
            Failure::Again(request, Reason::UpstreamReset)
        }
        _ => Failure::Final(Reason::UpstreamReset),
    }
}

fn wanted_upgrade(request: &mut Request<Incoming>) -> Option<(HeaderValue, OnUpgrade)> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    let protocol = headers::wanted_upgrade(request.headers())?;
    Some((protocol, hyper::upgrade::on(request)))
}

/// The request's head as the instance is to see it.
fn prepare(
    mut parts: Parts,
    client: &ClientAddress,
    target: &Target,
    host: HeaderValue,
    upgrade: Option<&HeaderValue>,
) -> Parts {
    headers::strip_hop_by_hop(&mut parts.headers);
    if parts.version == Version::HTTP_2 {
        headers::join_cookies(&mut parts.headers);
    }
    headers::add_forwarded(&mut parts.headers, client, &host);
    let h2c = target.backend.rules().h2c && upgrade.is_none();
    let host = target.rewrite_host.clone().unwrap_or(host);
    parts.uri = if h2c {
        absolute(&parts.uri, &host)
    } else if parts.uri.authority().is_some() {
        origin_form(&parts.uri)
    } else {
        parts.uri
    };
    if h2c {
        parts.headers.remove(HOST);
        parts.version = Version::HTTP_2;
    } else {
        headers::set_host(&mut parts.headers, host);
        parts.version = Version::HTTP_11;
    }
    for (name, value) in &target.append {
        parts.headers.insert(name.clone(), value.clone());
    }
    if let Some(protocol) = upgrade {
        headers::ask_upgrade(&mut parts.headers, protocol.clone());
    }
    parts.extensions.clear();
    parts
}

fn origin_form(uri: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri
        .path_and_query()
        .cloned()
        .or_else(|| Some(http::uri::PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_default()
}

/// HTTP/2 says scheme and authority in pseudo-headers, which come from the URI.
fn absolute(uri: &Uri, host: &HeaderValue) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = host.to_str().ok().and_then(|host| host.parse().ok());
    parts.path_and_query = uri
        .path_and_query()
        .cloned()
        .or_else(|| Some(http::uri::PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_else(|_| origin_form(uri))
}
