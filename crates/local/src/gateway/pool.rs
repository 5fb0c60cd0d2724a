//! Connections to one instance that are open and have nothing to do.
//!
//! HTTP/1.1 connections lie in stacks, one stack a worker thread, so that the most
//! recently used one is taken first and threads do not meet; a stack that another
//! thread holds is passed over, never waited for. HTTP/2 needs one connection, which
//! all requests share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use hyper::client::conn::http2;
use parking_lot::Mutex;

use super::{h1::H1Connection, metrics::thread_shard, request_body::RequestBody};

const STACKS: usize = 4;
/// Idle connections kept per stack; more are closed.
const STACK_LIMIT: usize = 256;

/// Idle connections to one instance.
#[derive(Default)]
pub struct Pool {
    stacks: [Mutex<Vec<Idle>>; STACKS],
    h2: ArcSwapOption<http2::SendRequest<RequestBody>>,
    /// Held while an HTTP/2 connection is being made, so that only one is.
    h2_connecting: tokio::sync::Mutex<()>,
}

struct Idle {
    connection: Box<H1Connection>,
    since: Instant,
}

impl Pool {
    /// An idle HTTP/1.1 connection; it may have been closed by the other side since.
    pub fn take(&self) -> Option<Box<H1Connection>> {
        let mine = thread_shard();
        (0..STACKS).find_map(|step| {
            let stack = self.stacks.get(mine.wrapping_add(step) % STACKS)?;
            Some(stack.try_lock()?.pop()?.connection)
        })
    }

    /// Keeps a connection that is ready for another request.
    pub fn put(&self, connection: Box<H1Connection>) {
        let mine = thread_shard();
        for step in 0..STACKS {
            let Some(stack) = self.stacks.get(mine.wrapping_add(step) % STACKS) else {
                return;
            };
            if let Some(mut stack) = stack.try_lock() {
                if stack.len() < STACK_LIMIT {
                    stack.push(Idle {
                        connection,
                        since: Instant::now(),
                    });
                }
                return;
            }
        }
    }

    /// Closes connections that were idle for `limit` at `now`.
    pub fn prune(&self, now: Instant, limit: Duration) {
        for stack in &self.stacks {
            let mut stack = stack.lock();
            // Oldest first: what is pushed last is taken first.
            let stale = stack.partition_point(|idle| now.duration_since(idle.since) >= limit);
            let closed: Vec<Idle> = stack.drain(..stale).collect();
            drop(stack);
            drop(closed);
        }
    }

    /// The shared HTTP/2 connection, if it is open.
    pub fn h2(&self) -> Option<http2::SendRequest<RequestBody>> {
        self.h2
            .load()
            .as_ref()
            .filter(|sender| !sender.is_closed())
            .map(|s| s.as_ref().clone())
    }

    /// Shares a new HTTP/2 connection.
    pub fn set_h2(&self, sender: http2::SendRequest<RequestBody>) {
        self.h2.store(Some(Arc::new(sender)));
    }

    /// Waits for the turn to make the HTTP/2 connection; look again after it.
    pub async fn h2_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.h2_connecting.lock().await
    }
}
