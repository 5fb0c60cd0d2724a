//! The socket below a kept connection, which can be asked whether the other side has
//! closed it.
//!
//! A poll of a socket says what the runtime's last look at all sockets has found; an end
//! that came since then is not seen. On a busy machine that is long enough for a request
//! to be written to a connection that is closed already, and a POST is lost then. So
//! before a kept connection is used the kernel itself is asked: one system call.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A TCP connection whose owner can order a look at the kernel's state.
pub struct Wire {
    stream: TcpStream,
    look: Look,
}

/// The order to look: the next read that finds nothing asks the kernel.
#[derive(Clone, Default)]
pub struct Look(Arc<AtomicBool>);

impl Look {
    /// Gives the order.
    pub fn order(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was given; it holds for one read.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wire {
    /// Takes over a connection.
    pub fn new(stream: TcpStream) -> (Wire, Look) {
        let look = Look::default();
        let wire = Wire {
            stream,
            look: look.clone(),
        };
        (wire, look)
    }

    /// The bare stream.
    pub fn into_inner(self) -> TcpStream {
        self.stream
    }

    /// Whether there is anything but silence: an end, an error, or bytes that nobody
    /// asked for. The socket does not block.
    fn is_over(&self) -> bool {
        match SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]) {
            Ok(_) => true,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let polled = Pin::new(&mut wire.stream).poll_read(cx, buffer);
        if polled.is_pending() && wire.look.take() && wire.is_over() {
            // Nothing read is the end, and nobody uses the connection after it.
            return Poll::Ready(Ok(()));
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
