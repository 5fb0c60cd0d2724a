//! The line to one remote for the length of one look at it.
//!
//! libgit2 registers transports once for the whole process and gives them nothing but
//! the remote's URL. So each look gets a [`Wire`] with a number, the URL that libgit2
//! sees is `sluice-wire://NUMBER`, and the transport finds credentials, deadline and
//! cancellation under that number. Several Deliveries fetch side by side, each over
//! its own wire.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use git2::{ErrorClass, ErrorCode};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::http::HttpTransport;
use super::repository::RepositorySource;
use super::snapshot::Fault;
use super::ssh::SshTransport;
use super::{Credentials, GitError, RemoteUrl};

const SCHEME: &str = "sluice-wire";
/// An answer that stops coming for this long has broken off.
const STALL: Duration = Duration::from_secs(60);

/// The line to one remote.
pub(super) struct Wire {
    number: u64,
    pub url: RemoteUrl,
    pub credentials: Credentials,
    cancel: CancellationToken,
    deadline: Instant,
    timeout: Duration,
    /// Drives the network of this wire, on the thread that libgit2 calls us on.
    runtime: Runtime,
    /// What went wrong, in our words: libgit2 carries only a line of text.
    fault: Mutex<Option<GitError>>,
}

static WIRES: OnceLock<Mutex<HashMap<u64, Arc<Wire>>>> = OnceLock::new();

/// Ends a wire's registration when the look is over, however it ends.
pub(super) struct Open(Arc<Wire>);

impl std::ops::Deref for Open {
    type Target = Arc<Wire>;
    fn deref(&self) -> &Arc<Wire> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        wires().lock().remove(&self.0.number);
    }
}

/// The open wires; the first call registers our transport with libgit2.
fn wires() -> &'static Mutex<HashMap<u64, Arc<Wire>>> {
    WIRES.get_or_init(|| {
        let factory = |remote: &git2::Remote<'_>| {
            let number = remote
                .url()
                .ok()
                .and_then(|url| url.strip_prefix(SCHEME)?.strip_prefix("://")?.parse().ok());
            let wire: Option<Arc<Wire>> =
                number.and_then(|number: u64| wires().lock().get(&number).cloned());
            match wire {
                Some(wire) if matches!(wire.url, RemoteUrl::Http(_)) => {
                    git2::transport::Transport::smart(remote, true, HttpTransport::new(wire))
                }
                Some(wire) => {
                    git2::transport::Transport::smart(remote, false, SshTransport::new(wire))
                }
                None => Err(git2::Error::from_str("this wire is closed")),
            }
        };
        // SAFETY: libgit2's list of transports must not change while another thread reads it.
        // It is written here only, once, and every look at a remote in this program passes
        // through `Wire::open`, which waits for this to be done.
        let registered = unsafe { git2::transport::register(SCHEME, factory) };
        if let Err(error) = registered {
            tracing::error!(%error, "https and ssh remotes are out of reach");
        }
        Mutex::default()
    })
}

impl Wire {
    /// Opens the line; nothing is sent yet.
    pub fn open(source: &RepositorySource, cancel: &CancellationToken) -> Result<Open, GitError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| GitError::Unreachable {
                url: source.url.to_string(),
                detail: format!("the system gives us no event loop: {error}"),
            })?;
        let wire = Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            url: source.url.clone(),
            credentials: source.credentials.clone(),
            cancel: cancel.clone(),
            deadline: Instant::now() + source.timeout,
            timeout: source.timeout,
            runtime,
            fault: Mutex::new(None),
        });
        wires().lock().insert(wire.number, Arc::clone(&wire));
        Ok(Open(wire))
    }

    /// The URL that libgit2 sees.
    pub fn address(&self) -> String {
        match &self.url {
            RemoteUrl::File(path) => path.to_string_lossy().into_owned(),
            _ => format!("{SCHEME}://{}", self.number),
        }
    }

    /// Whether there is time left and nobody called it off.
    pub fn go_on(&self) -> bool {
        !self.cancel.is_cancelled() && Instant::now() < self.deadline
    }

    /// The same, as an error.
    pub fn check(&self) -> Result<(), GitError> {
        if self.cancel.is_cancelled() {
            return Err(self.called_off());
        }
        if !self.go_on() {
            return Err(self.timed_out(self.timeout.min(STALL)));
        }
        Ok(())
    }

    /// Waits for the network, but not longer than allowed.
    pub fn wait<T>(&self, step: impl Future<Output = Result<T, GitError>>) -> Result<T, GitError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(self.called_off()),
                done = tokio::time::timeout(left.min(STALL), step) => match done {
                    Ok(done) => done,
                    Err(_) => Err(self.timed_out(left.min(STALL))),
                },
            }
        })
    }

    fn called_off(&self) -> GitError {
        GitError::Cancelled {
            url: self.url.to_string(),
        }
    }

    fn timed_out(&self, waited: Duration) -> GitError {
        GitError::TimedOut {
            url: self.url.to_string(),
            seconds: if waited < STALL { self.timeout } else { STALL }.as_secs(),
        }
    }

    /// Keeps what went wrong, and gives libgit2 something to pass on.
    pub fn fail(&self, error: GitError) -> git2::Error {
        let text = error.to_string();
        self.fault.lock().get_or_insert(error);
        git2::Error::new(ErrorCode::GenericError, ErrorClass::Net, text)
    }

    /// An error that libgit2 reports through `std::io`.
    pub fn fail_io(&self, error: GitError) -> std::io::Error {
        std::io::Error::other(self.fail(error).message().to_owned())
    }

    /// What a failed connection means.
    pub fn explain_connect(&self, error: git2::Error) -> Fault {
        if let Some(said) = self.said() {
            return Fault::Said(said);
        }
        let url = self.url.to_string();
        Fault::Said(match &self.url {
            RemoteUrl::File(path) if error.code() == ErrorCode::Owner => GitError::AuthFailed {
                url,
                detail: format!(
                    "it belongs to another user; run `git config --global --add safe.directory {}` \
                     as the user that runs sluice",
                    path.display()
                ),
            },
            RemoteUrl::File(path) => GitError::NotFound {
                url,
                detail: match path.try_exists() {
                    Ok(true) => "the folder is there, but it is no Git repository".into(),
                    Ok(false) => "there is no such folder".into(),
                    Err(error) => format!("the folder cannot be read: {error}"),
                },
            },
            _ => GitError::Unreachable {
                url,
                detail: error.message().to_owned(),
            },
        })
    }

    /// What a failed fetch means. What is not the network's fault is taken for a broken
    /// copy: it is made anew, and if that does not help the message says so.
    pub fn explain_fetch(&self, error: git2::Error) -> Fault {
        if let Some(said) = self.said() {
            return Fault::Said(said);
        }
        match error.class() {
            ErrorClass::Net | ErrorClass::Http | ErrorClass::Ssh | ErrorClass::Ssl => {
                Fault::Said(GitError::Unreachable {
                    url: self.url.to_string(),
                    detail: error.message().to_owned(),
                })
            }
            _ => Fault::Broken(error.message().to_owned()),
        }
    }

    fn said(&self) -> Option<GitError> {
        if let Some(said) = self.fault.lock().take() {
            return Some(said);
        }
        self.check().err()
    }
}
