//! What the node needs of whatever runs its containers: to start one, to signal
//! it, to hear of its end, and to read what it prints. Processes are one way to
//! do that ([`super::process`]); a container engine can be another.

use futures::future::BoxFuture;
use tokio::io::AsyncRead;

pub use super::protocol::{Launch, Order};

/// Runs containers.
pub trait Runtime: Send + Sync + 'static {
    /// Starts one; the answer comes when it runs.
    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Box<dyn Instance>, StartError>>;
}

/// One run of one container. Dropping it ends it, and everything that it started.
pub trait Instance: Send {
    /// What `status.containerStatuses[].containerID` says.
    fn id(&self) -> String;

    /// What it prints: standard output and standard error, once.
    fn take_output(&mut self) -> Option<(Output, Output)>;

    /// Signals it; no error when it has ended already.
    fn order(&mut self, order: Order) -> BoxFuture<'_, ()>;

    /// Waits until nothing of it is left; may be dropped and called again.
    fn wait(&mut self) -> BoxFuture<'_, Exit>;
}

/// A stream of what a container prints.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody can say: what watched over it went away.
    Unknown,
}

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The command cannot be run: not found, not executable, no such directory.
    #[error("{0}")]
    Command(String),
    /// The runtime itself failed.
    #[error("the node cannot start a process: {0}")]
    Runtime(#[from] std::io::Error),
}
