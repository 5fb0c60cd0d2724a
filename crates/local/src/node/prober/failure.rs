//! Why a container cannot be asked, and why an attempt to ask it failed; in a kubelet's words.

use std::io;

use crate::node::grpc_health::{HealthError, refusal};
use crate::node::lifecycle::probe::ProbeKind;
use crate::node::lifecycle::status::ADDRESS;
use crate::node::runtime::StartError;

/// A probe that the local node cannot make.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} probe: {source}; the local node knows httpGet (http), tcpSocket, grpc and exec",
    .kind.word().to_lowercase()
)]
pub struct UnknownProbe {
    pub(super) kind: ProbeKind,
    pub(super) source: UnknownCheck,
}

/// What is not known of a probe.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnknownCheck {
    #[error("httpGet over https is not supported")]
    Https,
    #[error("no port is named {0:?}")]
    NoPort(String),
    #[error("{0} is not a port of this container")]
    NotAPort(i32),
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("Get \"http://{}:{port}{path}\": {source}", ADDRESS)]
    Get {
        port: u16,
        path: String,
        source: GetError,
    },
    #[error("HTTP probe failed with statuscode: {0}")]
    Status(u16),
    #[error(transparent)]
    Grpc(#[from] HealthError),
    /// The command could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("command exited with status {0}")]
    Exited(i32),
    /// The command failed with these words.
    #[error("{0}")]
    Said(String),
    #[error("command was ended by signal {0}")]
    Signal(i32),
    #[error("command was lost")]
    Lost,
}

/// Nobody takes a connection.
#[derive(Debug, thiserror::Error)]
#[error("dial tcp {}:{port}: connect: {}", ADDRESS, refusal(.source))]
pub(super) struct ConnectError {
    pub(super) port: u16,
    pub(super) source: io::Error,
}

/// Why a GET has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum GetError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
    #[error(transparent)]
    Request(#[from] http::Error),
}
