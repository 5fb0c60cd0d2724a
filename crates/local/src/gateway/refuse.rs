//! The gateway's own answers: a status, a reason for programs in `x-sluice-reason`,
//! a sentence for people.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

use super::{backend::Refusal, response_body::ResponseBody, table::NoRoute};

/// The header that says why the gateway answered instead of an instance.
pub const REASON: HeaderName = HeaderName::from_static("x-sluice-reason");

/// Why an instance did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request names no host, or none that is one.
    BadHost,
    /// `CONNECT`: this is no forward proxy.
    NotAForwardProxy,
    /// No route.
    NoRoute(NoRoute, String),
    /// No place at an instance.
    Refused(Refusal),
    /// Connections are refused.
    UpstreamConnect,
    /// The connection broke before an answer.
    UpstreamReset,
    /// `timeoutSeconds` or `responseStartTimeoutSeconds` passed.
    RequestTimeout,
}

impl Reason {
    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Reason::BadHost => StatusCode::BAD_REQUEST,
            Reason::NotAForwardProxy => StatusCode::METHOD_NOT_ALLOWED,
            Reason::NoRoute(..) => StatusCode::NOT_FOUND,
            Reason::Refused(_) | Reason::UpstreamConnect => StatusCode::SERVICE_UNAVAILABLE,
            Reason::UpstreamReset => StatusCode::BAD_GATEWAY,
            Reason::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Reason::BadHost => "BadHost",
            Reason::NotAForwardProxy => "NotAForwardProxy",
            Reason::NoRoute(NoRoute::UnknownHost, _) => "UnknownHost",
            Reason::NoRoute(NoRoute::NoPath, _) => "NoMatchingPath",
            Reason::Refused(Refusal::QueueFull) => "QueueFull",
            Reason::Refused(Refusal::NoInstance) => "NoReadyInstance",
            Reason::Refused(Refusal::Gone) => "RevisionGone",
            Reason::UpstreamConnect => "UpstreamConnect",
            Reason::UpstreamReset => "UpstreamReset",
            Reason::RequestTimeout => "RequestTimeout",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Reason::BadHost => "the request has no usable Host".into(),
            Reason::NotAForwardProxy => "CONNECT is not served: this is no forward proxy".into(),
            Reason::NoRoute(NoRoute::UnknownHost, host) => format!("no route for host {host:?}"),
            Reason::NoRoute(NoRoute::NoPath, host) => {
                format!("host {host:?} has no route for this path or these headers")
            }
            Reason::Refused(refusal) => refusal.to_string(),
            Reason::UpstreamConnect => "no instance accepted a connection".into(),
            // Envoy's words, for whoever searches logs for them; the status is that of
            // Knative's queue-proxy, which stands between Envoy and the app.
            Reason::UpstreamReset => "upstream connect error or disconnect/reset before headers: \
                 the instance closed the connection without an answer"
                .into(),
            // Knative's words: clients and its conformance tests know them.
            Reason::RequestTimeout => "request timeout".into(),
        }
    }

    /// The whole answer.
    pub fn response(&self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::Text(Some(Bytes::from(
            self.sentence() + "\n",
        ))));
        *response.status_mut() = self.status();
        response
            .headers_mut()
            .insert(REASON, HeaderValue::from_static(self.word()));
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        response
    }
}
