//! The listener: HTTP/1.1 and HTTP/2 (prior knowledge) on one port, each connection a
//! task of ours.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{headers::ClientAddress, proxy::Proxy};

/// Flow-control windows of clients' HTTP/2 uploads.
const WINDOW: u32 = 1 << 20;
/// Streams a client may have open at once on one connection.
const STREAMS: u32 = 1_024;
/// Bytes of headers that an HTTP/2 message may have, either way: what a client that
/// knows Envoy's limit of 60 KiB may send.
pub const HEADERS: u32 = 64 << 10;
/// Rest after a failed accept: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Gives hyper's own tasks an owner that waits for them.
#[derive(Clone, Debug)]
pub struct TrackedExecutor(TaskTracker);

impl TrackedExecutor {
    /// Tasks will belong to `tasks`.
    pub fn new(tasks: &TaskTracker) -> TrackedExecutor {
        TrackedExecutor(tasks.clone())
    }
}

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Serves until `cancel`; then accepts no more, lets requests end within `grace`, and
/// drops the rest. Returns when no connection is left.
pub async fn serve(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    grace: Duration,
    cancel: CancellationToken,
) {
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    loop {
        let stream = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "gateway cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let task = converse(stream, proxy.clone(), connections.clone(), cancel.clone());
        let stop = stop.clone();
        connections.spawn(async move {
            tokio::select! {
                ended = task => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "client connection broke");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait())
        .await
        .is_err()
    {
        stop.cancel();
        // Streams of HTTP/2 connections end when their connection is dropped.
        let _ = tokio::time::timeout(grace, connections.wait()).await;
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn converse(
    stream: TcpStream,
    proxy: Arc<Proxy>,
    tasks: TaskTracker,
    cancel: CancellationToken,
) -> Result<(), BoxError> {
    let client = peer(&stream)?;
    let session = Arc::new((proxy, client));
    let service = service_fn(move |request| {
        let session = session.clone();
        async move { Ok::<_, Infallible>(session.0.handle(&session.1, request).await) }
    });
    let mut builder = auto::Builder::new(TrackedExecutor::new(&tasks));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = cancel.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn peer(stream: &TcpStream) -> io::Result<ClientAddress> {
    stream.set_nodelay(true)?;
    Ok(ClientAddress::new(stream.peer_addr()?.ip()))
}
