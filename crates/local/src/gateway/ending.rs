//! What the end of a kept connection under a request says of that request.
//!
//! An instance may close a connection that lies idle at any time, and a request may be on
//! its way then: nobody's fault, and a user must not see it. An app that reads a request
//! and hangs up is a failure that users and judges must see. Both are the end of a
//! connection without a byte of an answer; what tells them apart is the reset. A kernel
//! answers bytes that reach a closed socket with a reset, and sends one where a socket is
//! closed that holds bytes which were not read. So an orderly end with a reset behind it
//! is a request that was not read, and an orderly end that stays alone is one that was.
//! A reset without an end before it may be either.

use std::{error::Error as _, io, time::Duration};

use bytes::Bytes;
use tokio::{io::Interest, net::TcpStream, time::timeout};

/// How long the reset may be behind the end: both are sent by one call of a program, or by
/// two in a row. Longer than a busy machine stops a program between them, and short beside
/// what a user waits.
const RESET_BEHIND: Duration = Duration::from_millis(25);

/// How a connection ended before the head of an answer was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After the request was read, or in the middle of an answer.
    Served,
    /// Before the request was read.
    Unread,
    /// It was reset: the request may have been read.
    Reset,
}

impl Ending {
    /// Looks at a connection that broke with `error`; `ahead` was read of the answer.
    pub async fn of(stream: &TcpStream, ahead: &Bytes, error: &hyper::Error) -> Ending {
        if !ahead.is_empty() {
            return Ending::Served;
        }
        if error
            .source()
            .is_some_and(|source| source.is::<io::Error>())
        {
            return Ending::Reset;
        }
        if !error.is_incomplete_message() {
            return Ending::Served;
        }
        match timeout(RESET_BEHIND, stream.ready(Interest::ERROR)).await {
            Ok(_) => Ending::Unread,
            Err(_) => Ending::Served,
        }
    }
}
