//! The server on a socket: TLS with a CA of its own, a bearer token, HTTP/1.1 and
//! HTTP/2, and the kubeconfig that knows all of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::credentials::{Credentials, CredentialsError, Token};
use super::kubeconfig::{self, Access, KubeconfigError};
use crate::model::status::ApiError;
use crate::model::user::User;
use crate::wire::path::{self, Route};

/// How long open requests get at the end.
const GRACE: Duration = Duration::from_secs(2);
/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The socket or its credentials are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A certificate cannot be made.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// A served socket.
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    /// The CA that clients are to trust.
    pub ca_pem: String,
    /// The token that clients are to send.
    pub token: String,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Listening {
    /// A kubeconfig with everything that a client needs.
    pub fn kubeconfig(&self) -> String {
        // What we made ourselves can be written.
        kubeconfig::of_one(&self.access()).unwrap_or_default()
    }

    /// Adds this server to the kubeconfig at `path`, or makes one, which only its owner reads; and
    /// says whether its context is the current one there.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<bool, KubeconfigError> {
        kubeconfig::add(path, &self.access())
    }

    /// Writes a kubeconfig of our own, in the place of the last one.
    pub fn replace_kubeconfig(&self, path: &Path) -> Result<bool, KubeconfigError> {
        kubeconfig::replace_own(path, &self.access())
    }

    fn access(&self) -> Access<'_> {
        Access {
            server: format!("https://{}", self.address),
            ca_pem: &self.ca_pem,
            token: &self.token,
        }
    }

    /// Takes no more connections, lets open requests end, and closes what is left.
    /// Shut the [`crate::ApiServer`] down first where its watches shall end with it.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "the API server's listener died");
        }
    }
}

/// Listens and serves until shut down.
pub async fn serve(
    router: Router,
    credentials: Arc<Credentials>,
    listen: SocketAddr,
) -> Result<Listening, ListenError> {
    let bind = |source| ListenError::Bind {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let acceptor = credentials.acceptor(address)?;
    let stop = CancellationToken::new();
    let router = guarded(router, credentials.token.clone());
    let accepting = tokio::spawn(accept(listener, acceptor, router, stop.clone()));
    Ok(Listening {
        address,
        ca_pem: credentials.ca_pem.clone(),
        token: credentials.token.as_str().to_owned(),
        stop,
        accepting,
    })
}

/// Lets in who knows the token; anyone may ask whether the server is well. Whoever comes from here
/// is somebody: without a user in it, a request would be the process's own.
fn guarded(router: Router, token: Token) -> Router {
    let expected = Arc::new(token);
    router.layer(axum::middleware::from_fn(
        move |mut request: Request<Body>, next: axum::middleware::Next| {
            let expected = Arc::clone(&expected);
            async move {
                let given = request.headers().get(header::AUTHORIZATION);
                let is_known = given.is_some_and(|given| expected.is_in(given.as_bytes()));
                request.extensions_mut().insert(match is_known {
                    true => User::admin("sluice-admin"),
                    false => User::anonymous(),
                });
                match path::parse(request.uri().path()) {
                    Route::Health | Route::Version => next.run(request).await,
                    _ if is_known => next.run(request).await,
                    _ => ApiError::unauthorized().into_response(),
                }
            }
        },
    ))
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), router.clone(), stop.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: the next one may be fine.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_done).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
) {
    // Small answers must not wait for more to come.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        tracing::debug!("a TLS handshake failed");
        return;
    };
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let answer: Result<Response<Body>, std::convert::Infallible> =
                router.oneshot(request.map(Body::new)).await;
            answer
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
