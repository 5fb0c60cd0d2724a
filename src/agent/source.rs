//! Looks at one Delivery's repository again and again, and hands on what it finds.
//!
//! The last good state stays what it was while the remote is away; what is wrong
//! is part of what is handed on, so that it can be said.

mod copy;
mod follow;
mod state;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::api::delivery::Source;
use crate::git::{self, CommitId, GitError, NotACommitId, Reference, RemoteUrl, Snapshot};
use crate::manifest::{self, Loaded};
use crate::plan::DeliveryId;
use crate::render::{ClusterFacts, Destination, Rendered, render};
pub use follow::follow;
pub use state::{Failure, SourceState};

/// One commit, read.
#[derive(Debug)]
pub struct Checkout {
    /// The commit and its files.
    pub snapshot: Arc<Snapshot>,
    /// What the files say. Read by nobody but [`Self::render`]: what is wanted is what comes of that.
    loaded: Arc<Loaded>,
}

impl Checkout {
    /// Renders what the files say for a Delivery, with what the cluster knows at present.
    pub fn render<C: ClusterFacts>(&self, to: Destination, cluster: &C) -> Rendered {
        render(&self.loaded, to, cluster)
    }

    /// Every kind that the files have objects of, with its version. They are watched before anything is rendered,
    /// which asks the caches.
    pub fn kinds(&self) -> BTreeSet<(String, String)> {
        self.loaded.kinds()
    }
}

/// What is looked at, and how often.
#[derive(Clone, PartialEq)]
pub struct Poll {
    /// Whose copy it is, for the cache and the log.
    pub owner: DeliveryId,
    /// The repository; its credentials are read by whoever looks.
    pub source: git::RepositorySource,
    /// The Secret with the credentials, in the owner's namespace.
    pub secret: Option<String>,
    /// Time between two looks.
    pub interval: Duration,
    /// Where copies of repositories are kept.
    pub cache_dir: PathBuf,
    /// What manifests may contain.
    pub options: manifest::Options,
}

/// Why a Delivery's repository is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL cannot be understood.
    #[error(transparent)]
    Url(#[from] GitError),
    /// The commit is none.
    #[error(transparent)]
    Commit(#[from] NotACommitId),
    /// This agent does not read repositories of its own machine.
    #[error(
        "{url} is a repository on the agent's own machine, and an agent in a cluster reads none of these: use https:// or ssh://, or start the agent with --allow-file-repositories"
    )]
    File {
        /// The repository.
        url: String,
    },
}

/// The repository that a Delivery's spec names, without credentials; `files`: repositories on
/// this machine are read.
pub fn wanted(source: &Source, files: bool) -> Result<git::RepositorySource, SourceError> {
    let url = RemoteUrl::parse(&source.url)?;
    if !files && matches!(url, RemoteUrl::File(_)) {
        return Err(SourceError::File {
            url: url.to_string(),
        });
    }
    let reference = match &source.reference {
        None => Reference::Default,
        Some(reference) => {
            if let Some(commit) = &reference.commit {
                Reference::Commit(commit.parse::<CommitId>()?)
            } else if let Some(range) = &reference.semver {
                Reference::Semver(range.clone())
            } else if let Some(tag) = &reference.tag {
                Reference::Tag(tag.clone())
            } else if let Some(branch) = &reference.branch {
                Reference::Branch(branch.clone())
            } else {
                Reference::Default
            }
        }
    };
    Ok(git::RepositorySource {
        reference,
        path: source.path.clone().unwrap_or_default(),
        ..git::RepositorySource::new(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_on_the_agents_own_machine_is_refused_where_it_reads_none() {
        for url in [
            "file:///srv/shop.git",
            "/srv/shop.git",
            "FILE://localhost/srv/shop.git",
        ] {
            let source = Source {
                url: url.to_owned(),
                ..Source::default()
            };
            assert!(wanted(&source, true).is_ok());
            let refused = wanted(&source, false).unwrap_err().to_string();
            assert!(refused.contains("--allow-file-repositories"), "{refused}");
        }
        let remote = Source {
            url: "https://git.example.com/shop.git".to_owned(),
            ..Source::default()
        };
        assert!(wanted(&remote, false).is_ok());
    }
}
