//! The one HTTP/2 connection (clear text, prior knowledge) to an instance whose port
//! is named `h2c`. It is shared, so it is driven by a task of its own.

use std::{io, sync::Arc};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    instance::Instance,
    request_body::RequestBody,
    server::{HEADERS, TrackedExecutor},
};

/// Flow-control window per stream and connection: large enough that one stream can
/// fill a loopback link.
const WINDOW: u32 = 1 << 20;

/// Why there is no response head.
pub enum H2Error {
    /// The deadline passed.
    TimedOut,
    /// The stream or the connection broke.
    Broken {
        /// What hyper says of it.
        error: hyper::Error,
        /// The request, if it never left.
        unsent: Option<Box<Request<RequestBody>>>,
    },
}

/// Whether the app said that it did not and will not process the request: it refused the
/// stream, or the last stream that its GOAWAY names is an earlier one. h2 gives only such
/// streams a GOAWAY for an error; those that the app still works at fail by the end of the
/// connection.
pub fn was_not_processed(error: &hyper::Error) -> bool {
    let error = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    error.is_some_and(|error: &::h2::Error| {
        let refused = error.is_reset() && error.reason() == Some(::h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refused || error.is_go_away())
    })
}

/// The instance's connection, made if there is none that is open.
pub async fn connection(
    instance: &Arc<Instance>,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
) -> io::Result<SendRequest<RequestBody>> {
    if let Some(sender) = instance.pool.h2() {
        return Ok(sender);
    }
    let _turn = instance.pool.h2_turn().await;
    if let Some(sender) = instance.pool.h2() {
        return Ok(sender);
    }
    let stream = TcpStream::connect(instance.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::Builder::new(TrackedExecutor::new(tasks))
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let cancel = cancel.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = connection => {}
            () = cancel.cancelled() => {}
        }
    });
    instance.pool.set_h2(sender.clone());
    Ok(sender)
}

/// Sends a request and waits for the head of its response.
pub async fn send(
    sender: &mut SendRequest<RequestBody>,
    request: Request<RequestBody>,
    deadline: Instant,
) -> Result<Response<Incoming>, H2Error> {
    match timeout_at(deadline, sender.try_send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut failure)) => Err(H2Error::Broken {
            unsent: failure.take_message().map(Box::new),
            error: failure.into_error(),
        }),
        Err(_) => Err(H2Error::TimedOut),
    }
}
