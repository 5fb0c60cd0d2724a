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

use super::{
    ending::Ending,
    request_body::RequestBody,
    wire::{Look, Wire},
};

/// An open connection and the alarm clock of the request that uses it.
pub struct H1Connection {
    sender: SendRequest<RequestBody>,
    connection: Option<Connection<TokioIo<Wire>, RequestBody>>,
    look: Look,
    /// What is left of a connection that ended under a request.
    ended: Option<(TcpStream, Bytes)>,
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
        let (wire, look) = Wire::new(stream);
        let (sender, connection) = http1::handshake(TokioIo::new(wire))
            .await
            .map_err(io::Error::other)?;
        Ok(Box::new(H1Connection {
            sender,
            connection: Some(connection),
            look,
            ended: None,
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

    /// Whether another request can be sent: asks the kernel whether the other side has
    /// closed, for the runtime may not know yet.
    pub async fn is_usable(&mut self) -> bool {
        self.look.order();
        let usable = poll_fn(|cx| Poll::Ready(self.poll_reusable(cx))).await;
        self.look.take();
        usable
    }

    /// Whether another request can be sent as far as the runtime knows, within a poll.
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
        let (connection, finished, alarm, ended) = (
            &mut self.connection,
            &mut self.finished,
            &mut self.alarm,
            &mut self.ended,
        );
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
                Poll::Pending if *finished && connection.is_some() => {
                    // Ended without an answer: taking it apart fails the answer. Look again.
                    *ended = connection.take().map(take_apart);
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

    /// How it ended, after `send` failed with `error`.
    pub async fn ending(self, error: &hyper::Error) -> Ending {
        match self.into_stream() {
            Some((stream, ahead)) => Ending::of(&stream, &ahead, error).await,
            None => Ending::Served,
        }
    }

    /// The bare stream and what was read ahead of it, after a `101 Switching Protocols`.
    pub fn into_stream(self) -> Option<(TcpStream, Bytes)> {
        self.connection.map(take_apart).or(self.ended)
    }
}

fn take_apart(connection: Connection<TokioIo<Wire>, RequestBody>) -> (TcpStream, Bytes) {
    let parts = connection.into_parts();
    (parts.io.into_inner().into_inner(), parts.read_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_is_seen_that_the_runtime_has_not_been_told_of() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut kept = H1Connection::open(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (instance, _) = listener.accept().unwrap();
        assert!(kept.is_usable().await);
        // Nothing is awaited from here on: the runtime has no turn to look at its sockets.
        drop(instance);
        assert!(!kept.is_usable().await);
    }
}
