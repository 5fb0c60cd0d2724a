//! The copy of a repository on this machine, and what its manifests say.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Checkout, Poll};
use crate::git::{CommitId, Credentials, GitError, Repository, Snapshot};
use crate::manifest::{self, Loader};

/// A cached repository with what was read from it.
pub(super) struct Copy {
    repository: Repository,
    loader: Loader,
    /// The commit that was handed on last.
    handed: Option<CommitId>,
}

impl Copy {
    pub(super) fn open(poll: &Poll) -> Result<Self, GitError> {
        let owner = poll.owner.to_string();
        let repository = Repository::new(&owner, poll.source.clone(), &poll.cache_dir)?;
        Ok(Self {
            repository: repository.only(manifest::is_manifest_file),
            loader: Loader::default(),
            handed: None,
        })
    }

    /// The commit that was delivered before, where the copy still is at it; no network.
    pub(super) fn remember(
        &mut self,
        known: &str,
        options: &manifest::Options,
    ) -> Option<Arc<Checkout>> {
        let snapshot = self.repository.last()?;
        (snapshot.commit.to_string() == known).then(|| self.read(snapshot, options))
    }

    /// `None` when the commit is still the same.
    pub(super) fn look(
        &mut self,
        credentials: Credentials,
        options: &manifest::Options,
        cancel: &CancellationToken,
    ) -> Result<Option<Arc<Checkout>>, GitError> {
        self.repository.use_credentials(credentials);
        let found = self.repository.sync(cancel)?;
        // Not `moved`: a commit that was only remembered has not been handed on.
        if self.handed == Some(found.snapshot.commit) {
            return Ok(None);
        }
        Ok(Some(self.read(found.snapshot, options)))
    }

    fn read(&mut self, snapshot: Arc<Snapshot>, options: &manifest::Options) -> Arc<Checkout> {
        self.handed = Some(snapshot.commit);
        let files: Vec<manifest::File> = snapshot
            .files
            .iter()
            .map(|file| manifest::File {
                path: file.path.clone(),
                content: file.content.clone(),
                id: file.blob.bytes(),
            })
            .collect();
        let unreadable: Vec<(String, String)> = snapshot
            .refused
            .iter()
            .map(|refused| (refused.path.clone(), refused.reason.clone()))
            .collect();
        let loaded = self.loader.load(&files, &unreadable, options);
        Arc::new(Checkout { snapshot, loaded })
    }
}
