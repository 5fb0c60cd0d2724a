//! One source: ask the remote's head, fetch what the shared copy has not got, read the folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::copy::{Copy, Held, Owner};
use super::fetch::Line;
use super::snapshot::{self, Fault, Snapshot};
use super::wire::Wire;
use super::{CommitId, Credentials, GitError, Reference, RemoteUrl};

/// Longest time for one look at a remote, a first fetch included.
pub const TIMEOUT: Duration = Duration::from_secs(300);

/// Which folder of which commit of which repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySource {
    /// The repository.
    pub url: RemoteUrl,
    /// The commit.
    pub reference: Reference,
    /// The folder from the repository's root (or a single file); empty for the root.
    pub path: String,
    /// What the remote wants to see.
    pub credentials: Credentials,
    /// Longest time for one look at the remote ([`TIMEOUT`]).
    pub timeout: Duration,
}

impl RepositorySource {
    /// The default branch's root, without credentials.
    pub fn new(url: RemoteUrl) -> Self {
        Self {
            url,
            reference: Reference::Default,
            path: String::new(),
            credentials: Credentials::default(),
            timeout: TIMEOUT,
        }
    }
}

/// What one look at the remote found.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The folder at the remote's commit.
    pub snapshot: Arc<Snapshot>,
    /// Whether the commit is another one than at the last look.
    pub moved: bool,
    /// Whether objects were fetched.
    pub fetched: bool,
}

/// One source, read from the copy that all sources of its URL share. Blocking: call it where
/// blocking is allowed (`tokio::task::spawn_blocking`), never on an async worker.
pub struct Repository {
    source: RepositorySource,
    copy: Copy,
    owner: Owner,
    wanted: fn(&str) -> bool,
    last: Option<Arc<Snapshot>>,
}

impl Repository {
    /// Names the copy; touches neither disk nor network.
    ///
    /// `owner` is who reads it (a Delivery's `namespace/name`): all owners share the copy of a URL, and
    /// each reads of it only the commits that the remote showed to its own credentials.
    pub fn new(owner: &str, source: RepositorySource, cache_root: &Path) -> Result<Self, GitError> {
        source.reference.check()?;
        let source = RepositorySource {
            path: normal_path(&source.path)?,
            ..source
        };
        Ok(Self {
            copy: Copy::new(&source.url, cache_root),
            owner: Owner::new(owner, &source.url, cache_root),
            source,
            wanted: |_| true,
            last: None,
        })
    }

    /// Reads only the files whose path is `wanted`; the others are not even loaded.
    pub fn only(mut self, wanted: fn(&str) -> bool) -> Self {
        self.wanted = wanted;
        self
    }

    /// Shows the remote these from now on.
    pub fn use_credentials(&mut self, credentials: Credentials) {
        self.source.credentials = credentials;
    }

    /// What is read.
    pub fn source(&self) -> &RepositorySource {
        &self.source
    }

    /// The last snapshot, of this process or of one before it; no network, and no wait for others.
    /// `None` before the first fetch, and where the copy cannot be read.
    pub fn last(&mut self) -> Option<Arc<Snapshot>> {
        if self.last.is_none() {
            self.last = self.remembered().map(Arc::new);
        }
        self.last.clone()
    }

    fn remembered(&self) -> Option<Snapshot> {
        let reference = &self.source.reference;
        let here = self.copy.open().ok().flatten().and_then(|repo| {
            let commit = self.owner.known(&repo, reference)?;
            Some((repo, commit))
        });
        let (repo, commit) = here.or_else(|| self.owner.known_before(reference))?;
        self.read(&repo, commit).ok()
    }

    /// Asks the remote's head, fetches where the copy has not got it, and reads the folder.
    ///
    /// After an error [`Repository::last`] is still what it was.
    pub fn sync(&mut self, cancel: &CancellationToken) -> Result<Sync, GitError> {
        let found = match self.attempt(cancel) {
            Err(Fault::Broken(detail)) => {
                warn!(url = %self.source.url, %detail, "the cached repository is broken: fetching it anew");
                self.copy.throw_away(&self.lock(cancel)?)?;
                self.attempt(cancel)
            }
            found => found,
        };
        let (snapshot, fetched) = found.map_err(|fault| match fault {
            Fault::Said(error) => error,
            Fault::Broken(detail) => GitError::Corrupt {
                url: self.source.url.to_string(),
                cache: self.copy.path(),
                detail,
            },
        })?;
        self.owner.forget_before();
        let moved = self.last.as_ref().map(|last| last.commit) != Some(snapshot.commit);
        self.last = Some(Arc::clone(&snapshot));
        Ok(Sync {
            snapshot,
            moved,
            fetched,
        })
    }

    fn attempt(&self, cancel: &CancellationToken) -> Result<(Arc<Snapshot>, bool), Fault> {
        let repo = match self.copy.open()? {
            Some(repo) => repo,
            None => self.copy.open_or_make(&self.lock(cancel)?)?,
        };
        let (commit, fetched) = match &self.source.reference {
            // A commit never moves: once it was shown, nobody is asked.
            Reference::Commit(id)
                if self.owner.known(&repo, &self.source.reference) == Some(*id) =>
            {
                (*id, false)
            }
            _ => self.ask(&repo, cancel)?,
        };
        if let Some(last) = &self.last
            && last.commit == commit
        {
            return Ok((Arc::clone(last), fetched));
        }
        let held = self.lock(cancel)?;
        let repo = self.copy.open_or_make(&held)?;
        Ok((Arc::new(self.read(&repo, commit)?), fetched))
    }

    fn lock(&self, cancel: &CancellationToken) -> Result<Held, GitError> {
        self.copy.lock(self.source.timeout, cancel)
    }

    fn read(&self, repo: &git2::Repository, commit: CommitId) -> Result<Snapshot, Fault> {
        snapshot::read(
            repo,
            &self.source.url.to_string(),
            commit,
            &self.source.path,
            self.wanted,
            self.last.as_deref(),
        )
    }

    /// Asks the remote, with this source's own credentials: what it shows them is what is read. What
    /// another owner fetched already is not fetched again.
    fn ask(
        &self,
        repo: &git2::Repository,
        cancel: &CancellationToken,
    ) -> Result<(CommitId, bool), Fault> {
        let wire = Wire::open(&self.source, cancel)?;
        let mut remote = Line::remote(repo, &wire)?;
        let mut line = Line::connect(&mut remote, &wire)?;
        let reference = &self.source.reference;
        let target = reference.resolve(&self.source.url.to_string(), &line.heads)?;
        if self.owner.known(repo, reference) == Some(target.commit) {
            return Ok((target.commit, false));
        }
        let held = self.lock(cancel)?;
        // Others may have fetched it meanwhile, or made the copy anew.
        let now = self.copy.open_or_make(&held)?;
        let here = target.name.is_some() && now.find_commit(target.commit.oid()).is_ok();
        let commit = match here {
            true => target.commit,
            false => line.download(&now, &target, reference)?,
        };
        self.owner.note(&now, reference, commit)?;
        Ok((commit, !here))
    }
}

/// `./apps/` is `apps`; what leaves the repository is refused.
fn normal_path(path: &str) -> Result<String, GitError> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(GitError::BadPath {
            path: path.into(),
            detail: "it contains \"..\"; write the path from the repository's root".into(),
        });
    }
    Ok(parts.join("/"))
}
