//! A forge in this process: `git http-backend` behind a small CGI bridge, with TLS and
//! basic authentication where a story asks for them.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::fixture::Team;

/// What the bridge needs to know.
pub struct Desk {
    root: PathBuf,
    backend: PathBuf,
    /// `user:password` that is asked for.
    pub login: Mutex<Option<&'static str>>,
    /// Answered to everything, instead of Git.
    pub status: Mutex<Option<StatusCode>>,
    /// `METHOD path`, each as it came.
    pub requests: Mutex<Vec<String>>,
    port: u16,
}

pub struct Forge {
    pub desk: Arc<Desk>,
    /// The CA that signed its certificate.
    pub ca: String,
    scheme: &'static str,
    _runtime: Runtime,
}

impl Forge {
    pub fn plain(team: &Team) -> Self {
        Self::start(team, false)
    }

    pub fn tls(team: &Team) -> Self {
        Self::start(team, true)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}/{path}", self.scheme, self.desk.port)
    }

    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.desk.requests.lock())
    }

    fn start(team: &Team, encrypted: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let exec = super::fixture::git(team.root(), &["--exec-path"]);
        let desk = Arc::new(Desk {
            root: team.root().to_owned(),
            backend: PathBuf::from(exec.trim()).join("git-http-backend"),
            login: Mutex::new(None),
            status: Mutex::new(None),
            requests: Mutex::new(Vec::new()),
            port: listener.local_addr().unwrap().port(),
        });
        let (ca, acceptor) = certificates();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                let acceptor = encrypted.then(|| acceptor.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let _ =
                                    server.serve_connection(TokioIo::new(stream), service).await;
                            }
                        }
                        None => {
                            let _ = server.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                });
            }
        });
        Self {
            desk,
            ca,
            scheme: if encrypted { "https" } else { "http" },
            _runtime: runtime,
        }
    }
}

/// A CA, and a certificate for localhost that it signed.
fn certificates() -> (String, TlsAcceptor) {
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![leaf.der().clone()], key)
    .unwrap();
    (ca, TlsAcceptor::from(Arc::new(config)))
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    desk.requests
        .lock()
        .push(format!("{} {path}", parts.method));
    if let Some(status) = *desk.status.lock() {
        return status.into_response();
    }
    // A repository that has moved on this host, and one that has moved to another.
    for (old, new) in [
        ("/moved.git", "/shop.git".to_owned()),
        (
            "/away.git",
            format!("http://127.0.0.1:{}/shop.git", desk.port),
        ),
    ] {
        if let Some(rest) = path.strip_prefix(old) {
            let query = parts.uri.query().unwrap_or_default();
            let to = format!("{new}{rest}?{query}");
            return (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response();
        }
    }
    if let Some(login) = *desk.login.lock() {
        let wanted = base64::engine::general_purpose::STANDARD.encode(login);
        let given = parts.headers.get(header::AUTHORIZATION);
        if given.is_none_or(|given| given != format!("Basic {wanted}").as_str()) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
    }
    let question = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let header = |name| {
        let value = parts.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    cgi(
        &desk,
        &parts.method,
        &path,
        parts.uri.query(),
        header(header::CONTENT_TYPE),
        question,
    )
    .await
}

async fn cgi(
    desk: &Desk,
    method: &axum::http::Method,
    path: &str,
    query: Option<&str>,
    content_type: String,
    question: Bytes,
) -> Response<Body> {
    let mut child = tokio::process::Command::new(&desk.backend)
        .env("GIT_PROJECT_ROOT", &desk.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query.unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", content_type)
        .env("CONTENT_LENGTH", question.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let written = async move {
        let _ = input.write_all(&question).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), written);
    let output = output.unwrap().stdout;
    let end = output
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .unwrap()
}
