//! Where a repository is over http(s), what is sent there, and what an answer means.

use std::net::IpAddr;

use base64::Engine;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;

use crate::git::tls::{self, Way};
use crate::git::wire::Wire;
use crate::git::{Credentials, GitError};

/// Where a server of Git's says what there is, below the repository's URL.
pub(super) const ASK: &str = "/info/refs?service=git-upload-pack";

type Http = Client<HttpsConnector<Way>, Full<Bytes>>;

/// Where the repository is after redirects, and whether it may see our credentials.
#[derive(Clone)]
pub(super) struct Place {
    pub client: Http,
    pub base: String,
    pub trusted: bool,
}

impl Place {
    pub(super) fn request(
        &self,
        wire: &Wire,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, GitError> {
        let url = wire.url.to_string();
        let bad = |detail: String| GitError::BadUrl {
            url: url.clone(),
            detail,
        };
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|error| {
            bad(format!(
                "{error}; write it with %xx where it has odd characters"
            ))
        })?;
        let shown = self.trusted.then(|| login(&url, &wire.credentials));
        let shown = shown.transpose()?.flatten();
        if shown.is_some() && !is_unseen(&uri) {
            return Err(GitError::NotEncrypted { url });
        }
        let mut request = Request::builder()
            .method(&method)
            .uri(uri)
            // Forges look for "git/" before they answer as a Git server.
            .header(
                USER_AGENT,
                concat!("git/2 (sluice ", env!("CARGO_PKG_VERSION"), ")"),
            )
            .header(ACCEPT, "*/*");
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-git-upload-pack-request");
        }
        if let Some(login) = shown {
            request = request.header(AUTHORIZATION, login);
        }
        request
            .body(Full::new(body))
            .map_err(|error| bad(error.to_string()))
    }
}

fn login(url: &str, credentials: &Credentials) -> Result<Option<HeaderValue>, GitError> {
    let text = if let Some(token) = &credentials.bearer_token {
        format!("Bearer {token}")
    } else if credentials.username.is_some() || credentials.password.is_some() {
        // GitHub wants this name for an app's token; the others take any.
        let user = credentials.username.as_deref().unwrap_or("x-access-token");
        let password = credentials.password.as_deref().unwrap_or_default();
        let packed = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        format!("Basic {packed}")
    } else {
        return Ok(None);
    };
    let mut header = HeaderValue::from_str(&text).map_err(|_| GitError::BadCredentials {
        url: url.to_owned(),
        detail: "bearerToken has characters that no token has; was it encoded twice?".into(),
    })?;
    header.set_sensitive(true);
    Ok(Some(header))
}

pub(super) fn send(
    wire: &Wire,
    place: &Place,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, GitError> {
    let url = wire.url.to_string();
    wire.wait(async {
        place
            .client
            .request(request)
            .await
            .map_err(|error| tls::explain(&url, &error))
    })
}

/// The new base where the answer is a redirect that may be followed.
pub(super) fn redirect(
    url: &str,
    base: &str,
    response: &Response<Incoming>,
) -> Result<Option<String>, GitError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |detail: String| GitError::NotGit {
        url: url.to_owned(),
        detail,
    };
    let to = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .ok_or_else(|| refused("it redirects to nowhere".into()))?;
    let to = if to.starts_with('/') {
        let origin: String = base.split('/').take(3).collect::<Vec<_>>().join("/");
        format!("{origin}{to}")
    } else {
        to.to_owned()
    };
    let authority = to.split('/').nth(2).unwrap_or_default();
    if authority.contains('@') {
        return Err(refused("it redirects to a URL with a login in it".into()));
    }
    let encrypted = |url: &str| url.starts_with("https://");
    if !encrypted(&to) && (encrypted(base) || !to.starts_with("http://")) {
        return Err(refused(format!("it redirects from https to {to}")));
    }
    match to.strip_suffix(ASK) {
        Some(next) => Ok(Some(next.to_owned())),
        None => Err(refused(format!(
            "it redirects to {to}, which is no repository; is the URL that of the repository itself, and is a login needed?"
        ))),
    }
}

/// Whether nobody on the way can read what is sent: it is encrypted, or stays on this machine.
fn is_unseen(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("https") || is_loopback
}

/// Whether credentials for the one may be shown to the other: the same host and port, or
/// the same host after it went from http to https.
pub(super) fn same_host(first: &str, second: &str) -> bool {
    let parts = |url: &str| {
        let uri: Uri = url.parse().ok()?;
        let host = uri.host()?.to_ascii_lowercase();
        let encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Some((host, port, encrypted))
    };
    match (parts(first), parts(second)) {
        (Some((a, 80, false)), Some((b, 443, true))) => a == b,
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Takes an answer that is one, and words what else comes.
pub(super) fn accept(
    wire: &Wire,
    place: &Place,
    response: Response<Incoming>,
    what: &str,
) -> Result<Response<Incoming>, GitError> {
    if response.status() != StatusCode::OK {
        return Err(refusal(wire, place, response.status()));
    }
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("no content type");
    if kind != format!("application/x-git-upload-pack-{what}") {
        return Err(GitError::NotGit {
            url: wire.url.to_string(),
            detail: format!(
                "it answered with {kind}; is the URL that of the repository itself, and not of a web page about it?"
            ),
        });
    }
    Ok(response)
}

/// What a status other than 200 means, and what to do about it.
fn refusal(wire: &Wire, place: &Place, status: StatusCode) -> GitError {
    let url = wire.url.to_string();
    let credentials = &wire.credentials;
    let given = credentials.username.is_some()
        || credentials.password.is_some()
        || credentials.bearer_token.is_some();
    let elsewhere = (!place.trusted && given).then(|| {
        format!(
            " (it redirects to {}, which does not get the credentials: use that URL)",
            place.base
        )
    });
    let elsewhere = elsewhere.unwrap_or_default();
    match status {
        StatusCode::UNAUTHORIZED if given => GitError::AuthFailed {
            url,
            detail: format!(
                "the user name, password or token is wrong or has expired; renew it in the Secret{elsewhere}"
            ),
        },
        StatusCode::UNAUTHORIZED => GitError::AuthFailed {
            url,
            detail: "it asks for a login, or the repository does not exist; \
                     give username and password, or token, by secretRef"
                .into(),
        },
        StatusCode::FORBIDDEN => GitError::AuthFailed {
            url,
            detail: format!(
                "the login may not read this repository; give it (or its token) read access{elsewhere}"
            ),
        },
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let detail = if given {
                "check the URL, and that the login may read it"
            } else {
                "check the URL; a private repository looks the same to who is not logged in"
            };
            GitError::NotFound {
                url,
                detail: format!("{detail}{elsewhere}"),
            }
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => GitError::Unreachable {
            url,
            detail: "the proxy asks for a login; put it into HTTPS_PROXY".into(),
        },
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            GitError::Unreachable {
                url,
                detail: format!("the server answered {status}"),
            }
        }
        status => GitError::NotGit {
            url,
            detail: format!("it answered {status}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{is_unseen, same_host};

    #[test]
    fn only_this_machine_is_shown_credentials_without_encryption() {
        for (url, may) in [
            ("https://git.example.com/shop.git", true),
            ("http://localhost:8080/shop.git", true),
            ("http://127.0.0.1/shop.git", true),
            ("http://127.9.9.9/shop.git", true),
            ("http://[::1]:80/shop.git", true),
            ("http://git.example.com/shop.git", false),
            ("http://localhost.example.com/shop.git", false),
            ("http://127.0.0.1.example.com/shop.git", false),
            ("http://10.0.0.1/shop.git", false),
            ("http://0.0.0.0/shop.git", false),
        ] {
            assert_eq!(is_unseen(&url.parse().unwrap()), may, "{url}");
        }
    }

    #[test]
    fn credentials_do_not_follow_a_redirect_to_another_host() {
        let base = "https://git.example.com/shop.git";
        assert!(same_host(base, "https://GIT.example.com/moved.git"));
        assert!(same_host(
            "http://git.example.com/a",
            "https://git.example.com/a"
        ));
        assert!(!same_host(base, "https://evil.example.com/shop.git"));
        assert!(!same_host(base, "https://git.example.com:8443/shop.git"));
        assert!(!same_host(base, "http://git.example.com/shop.git"));
    }
}
