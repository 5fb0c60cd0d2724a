//! Whether a revision's connections are kept for another request.

use std::sync::atomic::{AtomicU32, Ordering};

/// Requests that get a connection of their own after a kept one was reset under one.
///
/// A reset may be the race with an instance that closes idle connections, or an app that
/// drops requests by resetting them; the request is sent once more in either case. Without
/// this, an app of the second kind would have every such failure hidden that comes on a kept
/// connection. With it, besides what was under way on kept connections at that moment, one
/// request in a thousand is. It counts for the revision, not for the instance: an app that
/// crashes comes back as another instance.
pub const FRESH_ONLY: u32 = 1_000;

/// A revision's account of connections that were reset.
#[derive(Debug, Default)]
pub struct KeepAlive {
    fresh: AtomicU32,
}

impl KeepAlive {
    /// Whether the next request may use a kept connection; to be asked once a request.
    pub fn allows(&self) -> bool {
        !self.is_suspended()
            || self
                .fresh
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_err()
    }

    /// Whether connections are not kept for now.
    pub fn is_suspended(&self) -> bool {
        self.fresh.load(Ordering::Relaxed) > 0
    }

    /// Notes that a kept connection was reset under a request.
    pub fn suspend(&self) {
        self.fresh.store(FRESH_ONLY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_reset_a_thousand_requests_get_connections_of_their_own() {
        let account = KeepAlive::default();
        assert!(account.allows());
        account.suspend();
        let refused = (0..FRESH_ONLY).filter(|_| !account.allows()).count();
        assert_eq!(refused, 1_000);
        assert!(!account.is_suspended() && account.allows());
    }
}
