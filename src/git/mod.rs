//! Fetches one folder of one commit of a Git repository, as a value; knows nothing of Kubernetes.
//!
//! [`Repository::sync`] asks the remote's head and fetches only when it moved, over
//! `file`, `http(s)` and `ssh`, without OpenSSL: libgit2 does the packs, the network is
//! ours (rustls and russh). It blocks; callers give it a thread that may block.
//! What went wrong is a [`GitError`] that says what to do; the last good [`Snapshot`]
//! stays what it was.

mod commit;
mod copy;
mod credentials;
mod error;
mod fetch;
mod folder;
mod http;
mod known_hosts;
mod reference;
mod repository;
mod snapshot;
mod ssh;
mod tls;
mod tree;
mod url;
mod wire;

#[cfg(test)]
mod tests;

pub use commit::{CommitId, NotACommitId};
pub use credentials::{Credentials, EntryNotText};
pub use error::GitError;
pub use folder::{Folder, read_folder};
pub use reference::{Range, Reference};
pub use repository::{Repository, RepositorySource, Sync, TIMEOUT};
pub use snapshot::{BlobId, MAX_FILE, MAX_FILES, MAX_TOTAL, Refused, Snapshot, SourceFile};
pub use url::{RemoteUrl, SshAddress};
