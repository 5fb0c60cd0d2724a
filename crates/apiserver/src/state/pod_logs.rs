//! How the API server reaches the logs that the node keeps, without knowing the node.

use bytes::Bytes;
use futures::stream::BoxStream;

/// What `GET .../pods/NAME/log` asks for (the query of Kubernetes' `PodLogOptions`).
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod's name.
    pub pod: String,
    /// The container; `None` is the only container there is.
    pub container: Option<String>,
    /// Keep the stream open and send lines as they are written.
    pub follow: bool,
    /// The container's run before its last restart.
    pub previous: bool,
    /// Prefix each line with its RFC 3339 time.
    pub timestamps: bool,
    /// Only the last this-many lines.
    pub tail_lines: Option<usize>,
    /// Only lines younger than this many seconds.
    pub since_seconds: Option<i64>,
    /// Stop after this many bytes.
    pub limit_bytes: Option<usize>,
}

/// Why a log cannot be had; worded for the client.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The container is not known to the node (answered as 400, as a kubelet's is).
    #[error("{0}")]
    BadRequest(String),
    /// No log is kept for it (404).
    #[error("{0}")]
    NotFound(String),
}

/// Who keeps the logs of containers: the node.
pub trait PodLogs: Send + Sync + 'static {
    /// Opens the log; the stream ends at its end, or, followed, when the container is gone.
    fn open(
        &self,
        request: LogRequest,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, LogError>;
}
