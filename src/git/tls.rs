//! Whom to believe over https, and the way through a proxy.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::Service;

use super::{Credentials, GitError};

/// A server that does not take a connection in this time is down.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// Connects with the public roots and those of the credentials.
pub(super) fn connector(
    url: &str,
    credentials: &Credentials,
) -> Result<HttpsConnector<Way>, GitError> {
    let bad = |detail: String| GitError::BadCredentials {
        url: url.to_owned(),
        detail,
    };
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(bundle) = &credentials.ca_bundle {
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate =
                certificate.map_err(|error| bad(format!("caBundle is not PEM: {error}")))?;
            roots.add(certificate).map_err(|error| {
                bad(format!("caBundle has a certificate that is none: {error}"))
            })?;
            found += 1;
        }
        if found == 0 {
            return Err(bad(
                "caBundle has no certificate: it wants PEM, beginning with -----BEGIN CERTIFICATE-----"
                    .into(),
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut plain = HttpConnector::new();
    plain.enforce_http(false);
    plain.set_nodelay(true);
    plain.set_connect_timeout(Some(CONNECT));
    let way = Way {
        plain,
        proxies: Arc::new(Matcher::from_env()),
    };
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(way))
}

/// Straight to the server, or through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY
/// name; by CONNECT in both cases, so that a proxy never sees credentials.
#[derive(Clone)]
pub(super) struct Way {
    plain: HttpConnector,
    proxies: Arc<Matcher>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.plain.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        // As in Go: this machine is never asked for through a proxy.
        let here = to
            .host()
            .is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
        let proxy = self.proxies.intercept(&to).filter(|_| !here);
        let mut plain = self.plain.clone();
        Box::pin(async move {
            let Some(proxy) = proxy else {
                return plain.call(to).await.map_err(Into::into);
            };
            let mut tunnel = Tunnel::new(proxy.uri().clone(), plain);
            if let Some(login) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(login.clone());
            }
            let through = tunnel.call(to).await;
            through.map_err(|error| format!("the proxy {} failed: {error}", proxy.uri()).into())
        })
    }
}

/// What a failed request means.
pub(super) fn explain(url: &str, error: &(dyn Error + 'static)) -> GitError {
    let mut words = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = certificate(error) {
            return GitError::Untrusted {
                url: url.to_owned(),
                detail: refused,
            };
        }
        words.push(error.to_string());
        // io::Error hides what it carries from `source`.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    words.dedup();
    GitError::Unreachable {
        url: url.to_owned(),
        detail: words.pop().unwrap_or_default(),
    }
}

fn certificate(error: &(dyn Error + 'static)) -> Option<String> {
    let rustls::Error::InvalidCertificate(why) = error.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    Some(match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody that we trust has signed it; put the CA's certificate (PEM) into caBundle"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; renew it on the server".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is made for another host ({why}); use the host that it names")
        }
        why => why.to_string(),
    })
}
