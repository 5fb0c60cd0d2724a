//! The HTTP client behind probes and scrapes: one connection pool, an address of our choosing.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT as USER_AGENT_NAME;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::CertificateError;
use tokio::net::TcpStream;

use super::trust::Trust;

/// What we call ourselves; a service's logs tell our requests from its users'.
const USER_AGENT: &str = concat!("sluice-probe/", env!("CARGO_PKG_VERSION"));

/// The longest answer that is read; a metrics page of a thousand services is some megabytes.
const LONGEST_BODY: usize = 64 << 20;

/// A request that got no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL.
    #[error("{url:?} is not an http or https URL: {why}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// No answer at all, or half of one.
    #[error("{0}")]
    Broken(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The other side's certificate is signed by nobody that is known here: nothing was asked of it.
    #[error(
        "{host} shows a certificate of an unknown authority; give the agent that one's certificate with --gateway-ca"
    )]
    Untrusted {
        /// The host of the URL.
        host: String,
    },
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body, to the end.
    pub body: Bytes,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: &'a str,
    /// Headers beside those that every request has.
    pub headers: &'a HeaderMap,
    /// When it is given up.
    pub timeout: Duration,
}

/// A client with connections that are kept.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<Dial>, Empty<Bytes>>,
}

impl HttpClient {
    /// A client that connects to the URL's own host, or to `connect_to` whatever the URL
    /// says: a tag's host often has no DNS entry where the agent runs.
    pub fn new(connect_to: Option<SocketAddr>, trust: &Trust) -> Self {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(trust.config())
            .https_or_http()
            .enable_http1()
            .wrap_connector(Dial { connect_to });
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(Duration::from_secs(10))
                .build(connector),
        }
    }

    /// Asks for a URL, reads the answer to its end, and gives up after `timeout`.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn get(&self, url: &str, timeout: Duration) -> Result<Answer, FetchError> {
        self.ask(Ask {
            method: Method::GET,
            url,
            headers: &HeaderMap::new(),
            timeout,
        })
        .await
    }

    /// Sends a request, reads the answer to its end, and gives up after its timeout. No redirect is followed.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, FetchError> {
        let Ask {
            method,
            url,
            headers,
            timeout,
        } = ask;
        let refused = |why: String| FetchError::Url {
            url: url.to_owned(),
            why,
        };
        let uri: Uri = url.parse().map_err(|e| refused(format!("{e}")))?;
        let host = uri.host().unwrap_or_default().to_owned();
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Empty::new())
            .map_err(|error| refused(error.to_string()))?;
        let ours = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(USER_AGENT_NAME, ours);
        for (name, value) in headers {
            request.headers_mut().insert(name, value.clone());
        }
        let answer = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| broken(&error, &host))?;
            let status = answer.status();
            let body = http_body_util::Limited::new(answer.into_body(), LONGEST_BODY)
                .collect()
                .await
                .map_err(|error| FetchError::Broken(error.to_string()))?
                .to_bytes();
            Ok(Answer { status, body })
        };
        tokio::time::timeout(timeout, answer)
            .await
            .unwrap_or(Err(FetchError::Timeout(timeout)))
    }
}

/// The innermost cause says what happened ("connection refused"); the outer ones only where.
fn broken(error: &(dyn std::error::Error + 'static), host: &str) -> FetchError {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if is_untrusted(inner) {
        return FetchError::Untrusted {
            host: host.to_owned(),
        };
    }
    FetchError::Broken(inner.to_string())
}

fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error that wraps another one gives that one's cause for its own, so it is opened layer by layer.
    let mut error = error;
    while let Some(wrapped) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        error = wrapped;
    }
    let error = error.downcast_ref::<rustls::Error>();
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    )
}

/// Connects to the URL's host, or to the one address that was given.
#[derive(Clone)]
struct Dial {
    connect_to: Option<SocketAddr>,
}

impl tower::Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = futures::future::BoxFuture<'static, std::io::Result<Self::Response>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect_to = self.connect_to;
        Box::pin(async move {
            let stream = match connect_to {
                Some(address) => TcpStream::connect(address).await?,
                None => {
                    let https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
                    let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
                    let host = uri.host().unwrap_or_default();
                    TcpStream::connect((host.trim_matches(['[', ']']), port)).await?
                }
            };
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
