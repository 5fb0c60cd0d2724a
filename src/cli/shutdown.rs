//! When a person or a supervisor asks the process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wish to end, heard from the moment that this is made: one that comes while something is
/// still starting ends it in good order too.
pub struct Shutdown {
    interrupted: Option<Signal>,
    terminated: Option<Signal>,
}

impl Shutdown {
    /// From now on neither Ctrl-C nor SIGTERM ends the process by itself.
    pub fn listen() -> Self {
        // Without the handler the signal ends the process by itself.
        let heard = |kind| signal(kind).ok();
        Self {
            interrupted: heard(SignalKind::interrupt()),
            terminated: heard(SignalKind::terminate()),
        }
    }

    /// Resolves at a Ctrl-C or SIGTERM, also one that came before.
    pub async fn requested(&mut self) {
        tokio::select! {
            () = heard(&mut self.interrupted) => {}
            () = heard(&mut self.terminated) => {}
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending().await
    }
}
