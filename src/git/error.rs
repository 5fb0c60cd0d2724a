//! What can go wrong with a repository, each worded with what to do next.

use std::path::PathBuf;

/// Why a repository could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The text is not a repository's URL.
    #[error("\"{url}\" is not a repository URL: {detail}")]
    BadUrl {
        /// The text.
        url: String,
        /// What is wrong with it, and what to write instead.
        detail: String,
    },
    /// No answer, or an answer that broke off.
    #[error("{url} cannot be reached: {detail}")]
    Unreachable {
        /// The remote.
        url: String,
        /// What was tried and what happened.
        detail: String,
    },
    /// The remote did not answer in time.
    #[error(
        "{url} did not answer within {seconds} s; is the server up, and is the repository small enough for that?"
    )]
    TimedOut {
        /// The remote.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// The caller gave up (shutdown, or the Delivery was changed).
    #[error("reading {url} was cancelled")]
    Cancelled {
        /// The remote.
        url: String,
    },
    /// The credentials were refused, or none were given where some are needed.
    #[error("{url} refused the login: {detail}")]
    AuthFailed {
        /// The remote.
        url: String,
        /// What was sent, and what to check.
        detail: String,
    },
    /// The credentials in the Secret cannot be used at all.
    #[error("the credentials for {url} cannot be used: {detail}")]
    BadCredentials {
        /// The remote.
        url: String,
        /// Which key of the Secret, and why.
        detail: String,
    },
    /// The credentials would be sent over a connection that everybody on the way can read.
    #[error(
        "the credentials for {url} are not sent: over http:// everybody on the way can read them; use https://"
    )]
    NotEncrypted {
        /// The remote.
        url: String,
    },
    /// The SSH server's host key is unknown, changed or revoked.
    #[error("the SSH host key of {host} is not trusted: {detail}")]
    HostKey {
        /// Host, as known_hosts names it.
        host: String,
        /// Why, with the fingerprint, and what to do.
        detail: String,
    },
    /// The server's TLS certificate is not trusted.
    #[error("the TLS certificate of {url} is not trusted: {detail}")]
    Untrusted {
        /// The remote.
        url: String,
        /// Why, and what to do.
        detail: String,
    },
    /// There is no such repository.
    #[error("there is no repository at {url}: {detail}")]
    NotFound {
        /// The remote.
        url: String,
        /// What to check.
        detail: String,
    },
    /// Something answers, but it does not speak Git.
    #[error("{url} does not speak Git: {detail}")]
    NotGit {
        /// The remote.
        url: String,
        /// What it said instead.
        detail: String,
    },
    /// The repository has no commit yet.
    #[error(
        "the repository at {url} has no branch (none was pushed yet, or the last was deleted): push a commit to it"
    )]
    Empty {
        /// The remote.
        url: String,
    },
    /// The reference cannot be understood.
    #[error("{reference}: {detail}")]
    BadReference {
        /// As the Delivery says it.
        reference: String,
        /// What to write instead.
        detail: String,
    },
    /// The branch, tag or commit is not (or no longer) there.
    #[error("{url} has no {reference}: {detail}")]
    RefMissing {
        /// The remote.
        url: String,
        /// Such as `branch "main"`.
        reference: String,
        /// What is there instead, and what to do.
        detail: String,
    },
    /// The path is not one inside a repository.
    #[error("\"{path}\" is not a folder of a repository: {detail}")]
    BadPath {
        /// As the Delivery says it.
        path: String,
        /// What to write instead.
        detail: String,
    },
    /// The folder is not in the commit.
    #[error("there is no folder \"{path}\" in commit {commit} of {url}; {detail}")]
    PathMissing {
        /// The remote.
        url: String,
        /// The path.
        path: String,
        /// The commit, short.
        commit: String,
        /// What is there instead.
        detail: String,
    },
    /// The tree is larger than Sluice reads.
    #[error("\"{path}\" in {url} is too large: {detail}")]
    TooLarge {
        /// The remote.
        url: String,
        /// The path.
        path: String,
        /// The limit, and what to do.
        detail: String,
    },
    /// The copy cannot be read, also after it was thrown away and fetched anew.
    #[error("the copy of {url} in {} cannot be read, also after fetching it anew: {detail}; try `git fsck` in the repository", .cache.display())]
    Corrupt {
        /// The remote.
        url: String,
        /// The folder.
        cache: PathBuf,
        /// What libgit2 said.
        detail: String,
    },
    /// The cache folder cannot be written.
    #[error("the cache folder {} cannot be used: {detail}", .path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
}

impl GitError {
    /// Whether waiting may help; what is not transient needs a person.
    ///
    /// The agent asks again either way: this only decides whether it says
    /// "reconciling" or "stalled".
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Cancelled { .. }
                | Self::Corrupt { .. }
        )
    }

    /// Whether other credentials (a login, a key, known hosts, certificates) may mend this. A
    /// private repository is not found by who is not logged in.
    pub fn may_be_the_login(&self) -> bool {
        matches!(
            self,
            Self::AuthFailed { .. }
                | Self::BadCredentials { .. }
                | Self::NotEncrypted { .. }
                | Self::HostKey { .. }
                | Self::Untrusted { .. }
                | Self::NotFound { .. }
        )
    }

    /// Whether the remote has answered, and has not got what is asked for: the next commit may
    /// bring it.
    pub fn remote_is_well(&self) -> bool {
        matches!(
            self,
            Self::Empty { .. } | Self::RefMissing { .. } | Self::PathMissing { .. }
        )
    }

    /// One word for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "InvalidURL",
            Self::Unreachable { .. } => "GitUnreachable",
            Self::TimedOut { .. } => "GitTimedOut",
            Self::Cancelled { .. } => "Cancelled",
            Self::AuthFailed { .. } => "AuthenticationFailed",
            Self::BadCredentials { .. } => "InvalidCredentials",
            Self::NotEncrypted { .. } => "NotEncrypted",
            Self::HostKey { .. } => "HostKeyNotTrusted",
            Self::Untrusted { .. } => "CertificateNotTrusted",
            Self::NotFound { .. } => "RepositoryNotFound",
            Self::NotGit { .. } => "NotAGitServer",
            Self::Empty { .. } => "RepositoryEmpty",
            Self::BadReference { .. } => "InvalidReference",
            Self::RefMissing { .. } => "ReferenceNotFound",
            Self::BadPath { .. } => "InvalidPath",
            Self::PathMissing { .. } => "PathNotFound",
            Self::TooLarge { .. } => "TooLarge",
            Self::Corrupt { .. } => "CacheCorrupt",
            Self::Cache { .. } => "CacheUnusable",
        }
    }
}
