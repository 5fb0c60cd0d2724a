//! The body of an answer on its way to the client: passed on frame by frame, trailers
//! included. While it flows it drives the connection it comes from; when it is
//! complete the connection goes back to the pool and the request is counted.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::{h1::H1Connection, request_guard::RequestGuard};

/// What the client gets.
pub enum ResponseBody {
    /// The gateway's own words.
    Text(Option<Bytes>),
    /// An instance's answer over HTTP/1.1.
    H1(Box<H1Body>),
    /// An instance's answer over HTTP/2.
    H2(Box<H2Body>),
}

/// An answer and the connection it arrives on.
pub struct H1Body {
    incoming: Incoming,
    connection: Option<Box<H1Connection>>,
    exchange: RequestGuard,
}

/// An answer that arrives on a shared connection.
pub struct H2Body {
    incoming: Incoming,
    alarm: Pin<Box<Sleep>>,
    exchange: RequestGuard,
}

/// Why a body ended early; the client sees a broken connection or a stream reset.
#[derive(Debug)]
pub enum BodyError {
    /// The instance broke off.
    Upstream(hyper::Error),
    /// A timeout of the revision passed.
    TimedOut,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Upstream(_) => f.write_str("the instance broke off its answer"),
            BodyError::TimedOut => f.write_str("request timeout"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Upstream(error) => Some(error),
            BodyError::TimedOut => None,
        }
    }
}

impl ResponseBody {
    /// An answer over HTTP/1.1. One without a body is complete at once.
    pub fn h1(
        incoming: Incoming,
        mut connection: Box<H1Connection>,
        exchange: RequestGuard,
        cx: &mut Context<'_>,
    ) -> ResponseBody {
        connection.set_alarm(exchange.next_deadline());
        let mut body = Box::new(H1Body {
            incoming,
            connection: Some(connection),
            exchange,
        });
        if body.incoming.is_end_stream() {
            body.finish(cx);
        }
        ResponseBody::H1(body)
    }

    /// An answer over HTTP/2.
    pub fn h2(incoming: Incoming, mut exchange: RequestGuard) -> ResponseBody {
        let alarm = Box::pin(tokio::time::sleep_until(exchange.next_deadline()));
        if incoming.is_end_stream() {
            exchange.complete();
            exchange.release();
        }
        ResponseBody::H2(Box::new(H2Body {
            incoming,
            alarm,
            exchange,
        }))
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// A body cut off in the middle counts as the instance's failure, whatever its head
/// said.
const CUT_OFF: u16 = 502;
const TIMED_OUT: u16 = 504;

impl H1Body {
    fn finish(&mut self, cx: &mut Context<'_>) {
        self.exchange.complete();
        if let Some(mut connection) = self.connection.take()
            && !self.exchange.backend().keep_alive.is_suspended()
            && connection.poll_reusable(cx)
            && let Some(instance) = self.exchange.instance()
        {
            instance.pool.put(connection);
        }
        self.exchange.release();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(connection) = &mut self.connection {
            connection.poll_drive(cx);
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.incoming.is_end_stream() {
                    self.finish(cx);
                } else if self.exchange.rules.idle_timeout.is_some()
                    && let Some(connection) = &mut self.connection
                {
                    connection.set_alarm(self.exchange.next_deadline());
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.finish(cx);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.fail(CUT_OFF);
                self.connection = None;
                Poll::Ready(Some(Err(BodyError::Upstream(error))))
            }
            Poll::Pending => {
                if self
                    .connection
                    .as_mut()
                    .is_some_and(|connection| connection.poll_alarm(cx))
                {
                    self.exchange.fail(TIMED_OUT);
                    self.connection = None;
                    return Poll::Ready(Some(Err(BodyError::TimedOut)));
                }
                Poll::Pending
            }
        }
    }
}

impl H2Body {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.incoming.is_end_stream() {
                    self.exchange.complete();
                    self.exchange.release();
                } else if self.exchange.rules.idle_timeout.is_some() {
                    self.alarm.as_mut().reset(self.exchange.next_deadline());
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.exchange.complete();
                self.exchange.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.fail(CUT_OFF);
                Poll::Ready(Some(Err(BodyError::Upstream(error))))
            }
            Poll::Pending => {
                if self.alarm.as_mut().poll(cx).is_ready() {
                    self.exchange.fail(TIMED_OUT);
                    return Poll::Ready(Some(Err(BodyError::TimedOut)));
                }
                Poll::Pending
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            ResponseBody::Text(text) => Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            ResponseBody::H1(body) => body.poll(cx),
            ResponseBody::H2(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Text(text) => text.is_none(),
            ResponseBody::H1(body) => body.incoming.is_end_stream(),
            ResponseBody::H2(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Text(text) => SizeHint::with_exact(
                text.as_ref()
                    .map_or(0, |t| u64::try_from(t.len()).unwrap_or(0)),
            ),
            ResponseBody::H1(body) => body.incoming.size_hint(),
            ResponseBody::H2(body) => body.incoming.size_hint(),
        }
    }
}
