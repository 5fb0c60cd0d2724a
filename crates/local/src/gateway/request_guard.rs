//! The account of one request: opened when its revision is known, closed when the
//! last byte of its answer is out or the client has left, and then counted.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    backend::{Backend, Lease, RequestRules},
    instance::Instance,
};

/// nginx's code for a client that left before the answer was complete; it exists in
/// counters only.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// One request at one revision.
#[derive(Debug)]
pub struct RequestGuard {
    backend: Arc<Backend>,
    lease: Option<Lease>,
    started: Instant,
    code: u16,
    complete: bool,
    /// The revision's rules when the request came.
    pub rules: RequestRules,
}

impl RequestGuard {
    /// Opens the account.
    pub fn open(backend: Arc<Backend>, started: Instant) -> RequestGuard {
        let rules = backend.rules();
        let code = CLIENT_CLOSED_REQUEST;
        RequestGuard {
            backend,
            lease: None,
            started,
            code,
            complete: false,
            rules,
        }
    }

    /// The revision.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// When the whole answer has to be out.
    pub fn deadline(&self) -> Instant {
        self.started + self.rules.timeout
    }

    /// When the answer's head has to be there.
    pub fn head_deadline(&self) -> Instant {
        self.started
            + self
                .rules
                .response_start_timeout
                .unwrap_or(Duration::MAX)
                .min(self.rules.timeout)
    }

    /// When the next piece of the body has to be there.
    pub fn next_deadline(&self) -> Instant {
        match self.rules.idle_timeout {
            Some(idle) => self.deadline().min(Instant::now() + idle),
            None => self.deadline(),
        }
    }

    /// The request holds a place at an instance.
    pub fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// At which instance it is.
    pub fn instance(&self) -> Option<&Arc<Instance>> {
        self.lease.as_ref().map(Lease::instance)
    }

    /// Gives the place back before the end: the attempt failed.
    pub fn release(&mut self) {
        self.lease = None;
    }

    /// The answer's head says this; it counts if the body is complete, too.
    pub fn answer(&mut self, code: u16) {
        self.code = code;
        self.complete = false;
    }

    /// Everything was sent.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// The gateway itself ends the request with this code.
    pub fn fail(&mut self, code: u16) {
        self.code = code;
        self.complete = true;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let code = if self.complete {
            self.code
        } else {
            CLIENT_CLOSED_REQUEST
        };
        self.backend.metrics.record(code, self.started.elapsed());
    }
}
