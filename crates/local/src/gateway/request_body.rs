//! The body of a request on its way to an instance, in such a form that it can be
//! rolled back and sent to another one as long as nobody has read from it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

/// What is sent upstream.
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's body, passed on frame by frame.
    Streaming(Arc<Held>),
}

/// A client's body that both the connection and the retry can reach.
pub struct Held {
    incoming: Mutex<Incoming>,
    touched: AtomicBool,
    broken: AtomicBool,
}

impl RequestBody {
    /// Takes over the client's body.
    pub fn new(incoming: Incoming) -> RequestBody {
        if incoming.is_end_stream() {
            return RequestBody::Empty;
        }
        RequestBody::Streaming(Arc::new(Held {
            incoming: Mutex::new(incoming),
            touched: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }))
    }

    /// A second hold on the same body, for sending it again.
    pub fn again(&self) -> RequestBody {
        match self {
            RequestBody::Empty => RequestBody::Empty,
            RequestBody::Streaming(held) => RequestBody::Streaming(held.clone()),
        }
    }

    /// Whether it can still be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streaming(held) => !held.touched.load(Ordering::Acquire),
        }
    }

    /// Whether the client broke it off.
    pub fn is_broken(&self) -> bool {
        match self {
            RequestBody::Empty => false,
            RequestBody::Streaming(held) => held.broken.load(Ordering::Acquire),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Streaming(held) => {
                let frame = Pin::new(&mut *held.incoming.lock()).poll_frame(cx);
                if frame.is_ready() {
                    held.touched.store(true, Ordering::Release);
                }
                if let Poll::Ready(Some(Err(_))) = &frame {
                    held.broken.store(true, Ordering::Release);
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streaming(held) => held.incoming.lock().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Streaming(held) => held.incoming.lock().size_hint(),
        }
    }
}
