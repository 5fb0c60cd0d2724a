//! One HTTP/1.1 connection to an instance, driven by the request that uses it.
//!
//! hyper's client splits a connection into a handle and a future that someone must
//! poll; the usual way spawns a task for that future, and then every request crosses
//! between tasks (often between threads) four times. Here the request polls both. A
//! connection at rest in the pool is polled by nobody: that the other side has closed
//! it is found out when it is taken.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::request_body::RequestBody;

/// An open connection and the alarm clock of the request that uses it.
pub struct H1Connection {
    sender: SendRequest<RequestBody>,
    connection: Option<Connection<TokioIo<TcpStream>, RequestBody>>,
    /// Kept with the connection because moving a timer to a later time is cheap and
    /// making one is not.
    alarm: Pin<Box<Sleep>>,
    finished: bool,
}

/// Why there is no response head.
pub enum SendError {
    /// The deadline passed.
    TimedOut,
    /// The connection broke. The request comes back if no byte of it was written.
    Broken {
        /// What hyper says of it.
        error: hyper::Error,
        /// The request, unsent.
        unsent: Option<Box<Request<RequestBody>>>,
    },
}

impl H1Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Box<H1Connection>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        Ok(Box::new(H1Connection {
            sender,
            connection: Some(connection),
            alarm: Box::pin(tokio::time::sleep_until(Instant::now())),
            finished: false,
        }))
    }

    /// Moves the connection on; true once it has ended.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.finished {
            self.finished = match &mut self.connection {
                Some(connection) => connection.poll_without_shutdown(cx).is_ready(),
                None => true,
            };
        }
        self.finished
    }

    /// Whether another request can be sent; looks at the socket first.
    pub async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_reusable(cx))).await
    }

    /// Like [`H1Connection::is_usable`], within a poll.
    pub fn poll_reusable(&mut self, cx: &mut Context<'_>) -> bool {
        !self.poll_drive(cx) && self.sender.is_ready()
    }

    /// Sets the alarm that [`H1Connection::poll_alarm`] and `send` look at.
    pub fn set_alarm(&mut self, at: Instant) {
        self.alarm.as_mut().reset(at);
    }

    /// Whether the alarm has rung.
    pub fn poll_alarm(&mut self, cx: &mut Context<'_>) -> bool {
        self.alarm.as_mut().poll(cx).is_ready()
    }

    /// Sends a request and waits for the head of its response, until the alarm.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let (connection, finished, alarm) =
            (&mut self.connection, &mut self.finished, &mut self.alarm);
        poll_fn(|cx| {
            if !*finished {
                *finished = match connection {
                    Some(connection) => connection.poll_without_shutdown(cx).is_ready(),
                    None => true,
                };
            }
            match answer.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut failure)) => Poll::Ready(Err(SendError::Broken {
                    unsent: failure.take_message().map(Box::new),
                    error: failure.into_error(),
                })),
                Poll::Pending if *finished && connection.take().is_some() => {
                    // Ended without an answer: dropping it fails the answer. Look again.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => match alarm.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Err(SendError::TimedOut)),
                    Poll::Pending => Poll::Pending,
                },
            }
        })
        .await
    }

    /// The bare stream and what was read ahead of it, after a `101 Switching Protocols`.
    pub fn into_stream(mut self) -> Option<(TcpStream, Bytes)> {
        let parts = self.connection.take()?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}
