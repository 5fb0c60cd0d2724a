//! The server on a socket: TLS with a CA of its own, a bearer token, HTTP/1.1 and
//! HTTP/2, and the kubeconfig that knows all of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

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
    #[error("cannot make the API server's certificate: {0}")]
    Certificate(String),
    /// A credential cannot be kept or read.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl From<rcgen::Error> for ListenError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

/// The CA and the token, kept in the data directory so that a kubeconfig stays valid.
pub struct Credentials {
    ca_pem: String,
    ca_key_pem: String,
    token: String,
}

impl Credentials {
    /// Reads what is kept, or makes it.
    pub fn load_or_make(dir: Option<&Path>, now: Timestamp) -> Result<Self, ListenError> {
        let Some(dir) = dir else {
            return Self::make(now);
        };
        let paths = [dir.join("ca.crt"), dir.join("ca.key"), dir.join("token")];
        let [ca, key, token] = &paths;
        if paths.iter().all(|path| path.exists()) {
            let read = |path: &Path| {
                std::fs::read_to_string(path).map_err(|source| ListenError::File {
                    path: path.to_owned(),
                    source,
                })
            };
            return Ok(Self {
                ca_pem: read(ca)?,
                ca_key_pem: read(key)?,
                token: read(token)?.trim().to_owned(),
            });
        }
        let made = Self::make(now)?;
        for (path, content) in [
            (ca, &made.ca_pem),
            (key, &made.ca_key_pem),
            (token, &made.token),
        ] {
            keep(path, content).map_err(|source| ListenError::File {
                path: path.clone(),
                source,
            })?;
        }
        Ok(made)
    }

    fn make(now: Timestamp) -> Result<Self, ListenError> {
        let key = KeyPair::generate()?;
        let mut params = ca();
        valid_around(&mut params, now);
        let ca = params.self_signed(&key)?;
        Ok(Self {
            ca_pem: ca.pem(),
            ca_key_pem: key.serialize_pem(),
            token: format!(
                "{}{}",
                uuid::Uuid::new_v4().simple(),
                uuid::Uuid::new_v4().simple()
            ),
        })
    }

    /// A server certificate for an address, good for this run.
    fn acceptor(&self, address: SocketAddr) -> Result<TlsAcceptor, ListenError> {
        // The issuer is told apart by its name and key alone, and both are as they were.
        let issuer = Issuer::new(ca(), KeyPair::from_pem(&self.ca_key_pem)?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(
            [
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ]
            .map(str::to_owned),
        )?;
        params.distinguished_name = named("sluice-local-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for ip in [
            address.ip(),
            std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::Ipv6Addr::LOCALHOST.into(),
        ] {
            params.subject_alt_names.push(SanType::IpAddress(ip));
        }
        valid_around(&mut params, Timestamp::now());
        let certificate = params.signed_by(&key, &issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ListenError::Certificate(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .map_err(|error| ListenError::Certificate(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn ca() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("sluice-local-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From a year ago, for clocks that disagree, to ten years from now.
fn valid_around(params: &mut CertificateParams, now: Timestamp) {
    let year = |at: Timestamp| i32::from(at.to_zoned(jiff::tz::TimeZone::UTC).year());
    params.not_before = rcgen::date_time_ymd(year(now) - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year(now) + 10, 1, 1);
}

/// Writes a file that only its owner reads.
fn keep(path: &Path, content: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
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
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sluice-local", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": STANDARD.encode(&self.ca_pem),
            }}],
            "users": [{"name": "sluice-local", "user": {"token": self.token}}],
            "contexts": [{"name": "sluice-local", "context": {
                "cluster": "sluice-local", "user": "sluice-local", "namespace": "default",
            }}],
            "current-context": "sluice-local",
        });
        serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string())
    }

    /// Writes the kubeconfig to a file that only its owner reads.
    pub fn write_kubeconfig(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        keep(path, &self.kubeconfig())
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
        token: credentials.token.clone(),
        stop,
        accepting,
    })
}

/// Lets in who knows the token; anyone may ask whether the server is well.
fn guarded(router: Router, token: String) -> Router {
    let expected: Arc<str> = format!("Bearer {token}").into();
    router.layer(axum::middleware::from_fn(
        move |mut request: Request<Body>, next: axum::middleware::Next| {
            let expected = Arc::clone(&expected);
            async move {
                let given = request.headers().get(header::AUTHORIZATION);
                if given.is_some_and(|given| same(given.as_bytes(), expected.as_bytes())) {
                    request.extensions_mut().insert(User::admin("sluice-admin"));
                    return next.run(request).await;
                }
                match path::parse(request.uri().path()) {
                    Route::Health | Route::Version => next.run(request).await,
                    _ => ApiError::unauthorized().into_response(),
                }
            }
        },
    ))
}

/// Compares without telling by its time where the difference is.
fn same(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len()
        && given
            .iter()
            .zip(expected)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
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
