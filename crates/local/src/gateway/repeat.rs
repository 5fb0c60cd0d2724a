//! What is kept of a request that was handed to a connection, should it have to be sent
//! again.
//!
//! A request is sent again only if it surely was not processed, or in the one case where
//! an idempotent one may not have been (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1):
//!
//! - Nothing of it was written: the connection was refused, or found closed first. Any
//!   method, up to [`super::proxy`]'s number of attempts.
//! - HTTP/2: the app refused the stream, or its GOAWAY names an earlier stream as its last
//!   one (RFC 9113 section 8.7). Any method whose body was not begun. A shared connection
//!   that ends without such a word says nothing of its requests: they have failed.
//! - HTTP/1.1: a kept connection ended before the request was read ([`super::ending`]).
//!   Idempotent methods whose body was not begun; once, on a connection of its own.
//!
//! All else is the app's failure, and answered and counted as such: what is hidden from
//! users by a second attempt is hidden from the judge of a release as well.

use http::{Method, Request, request::Parts};

use super::request_body::RequestBody;

/// A hold on a request that is under way.
pub struct Repeat {
    head: Option<Parts>,
    body: RequestBody,
}

impl Repeat {
    /// Keeps the body alone: the request is not sent again once it was written.
    pub fn never(request: &Request<RequestBody>) -> Repeat {
        Repeat {
            head: None,
            body: request.body().again(),
        }
    }

    /// Keeps what is needed to send it again.
    pub fn of(request: &Request<RequestBody>) -> Repeat {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        Repeat {
            head: Some(head.into_parts().0),
            body: request.body().again(),
        }
    }

    /// Like [`Repeat::of`] for a request that may be done twice, else like
    /// [`Repeat::never`].
    pub fn if_idempotent(request: &Request<RequestBody>) -> Repeat {
        let idempotent = matches!(
            *request.method(),
            Method::GET
                | Method::HEAD
                | Method::OPTIONS
                | Method::TRACE
                | Method::PUT
                | Method::DELETE
        );
        if idempotent {
            Repeat::of(request)
        } else {
            Repeat::never(request)
        }
    }

    /// Whether the client broke off its body: nobody waits for an answer.
    pub fn client_left(&self) -> bool {
        self.body.is_broken()
    }

    /// The request, if it was kept and nothing of its body was taken.
    pub fn request(self) -> Option<Request<RequestBody>> {
        self.body
            .is_whole()
            .then_some(self.head)?
            .map(|head| Request::from_parts(head, self.body))
    }
}
