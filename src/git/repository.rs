//! One source's cached copy: ask the remote's head, fetch only when it moved, read the folder.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use git2::{Direction, FetchOptions, RemoteCallbacks};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::reference::{Advertised, Target};
use super::snapshot::{self, Fault, Snapshot};
use super::wire::Wire;
use super::{CommitId, Credentials, GitError, Reference, RemoteUrl};

/// Longest time for one look at a remote, a first fetch included.
pub const TIMEOUT: Duration = Duration::from_secs(300);
/// Every fetch adds a pack file; a copy with more than this is made anew, which is
/// cheaper than repacking and keeps the cache from growing for ever.
const MAX_PACKS: usize = 64;

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

/// One source and its cached copy. Blocking: call it where blocking is allowed
/// (`tokio::task::spawn_blocking`), never on an async worker.
pub struct Repository {
    source: RepositorySource,
    cache: PathBuf,
    wanted: fn(&str) -> bool,
    last: Option<Arc<Snapshot>>,
}

impl Repository {
    /// Names the copy; touches neither disk nor network.
    ///
    /// `owner` is whose copy it is (a Delivery's `namespace/name`): two owners never share
    /// one, so that they can fetch at the same time with different credentials.
    pub fn new(owner: &str, source: RepositorySource, cache_root: &Path) -> Result<Self, GitError> {
        source.reference.check()?;
        let source = RepositorySource {
            path: normal_path(&source.path)?,
            ..source
        };
        let digest = Sha256::digest(format!("{owner}\n{}", source.url));
        let name: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
        Ok(Self {
            cache: cache_root.join(format!("{name}.git")),
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

    /// The last snapshot, of this process or of one before it; no network.
    /// `None` before the first fetch, and where the copy cannot be read.
    pub fn last(&mut self) -> Option<Arc<Snapshot>> {
        if self.last.is_none()
            && self.close().is_ok()
            && let Ok(repo) = git2::Repository::open_bare(&self.cache)
            && let Some(commit) = self.known(&repo)
        {
            self.last = self.read(&repo, commit).ok().map(Arc::new);
        }
        self.last.clone()
    }

    /// Asks the remote's head, fetches where it moved, and reads the folder.
    ///
    /// After an error [`Repository::last`] is still what it was.
    pub fn sync(&mut self, cancel: &CancellationToken) -> Result<Sync, GitError> {
        let found = match self.attempt(cancel) {
            Err(Fault::Broken(detail)) => {
                warn!(url = %self.source.url, %detail, "the cached repository is broken: fetching it anew");
                self.throw_away()?;
                self.attempt(cancel)
            }
            found => found,
        };
        let (snapshot, fetched) = found.map_err(|fault| match fault {
            Fault::Said(error) => error,
            Fault::Broken(detail) => GitError::Corrupt {
                url: self.source.url.to_string(),
                cache: self.cache.clone(),
                detail,
            },
        })?;
        let moved = self.last.as_ref().map(|last| last.commit) != Some(snapshot.commit);
        self.last = Some(Arc::clone(&snapshot));
        Ok(Sync {
            snapshot,
            moved,
            fetched,
        })
    }

    /// Deletes the copy, for a source that is gone.
    pub fn remove(self) -> Result<(), GitError> {
        self.throw_away()
    }

    fn attempt(&self, cancel: &CancellationToken) -> Result<(Arc<Snapshot>, bool), Fault> {
        let repo = self.open()?;
        let (commit, fetched) = match &self.source.reference {
            // A commit never moves: once it is here, nobody is asked.
            Reference::Commit(id) if repo.find_commit(id.oid()).is_ok() => (*id, false),
            _ => self.fetch(&repo, cancel)?,
        };
        if let Some(last) = &self.last
            && last.commit == commit
        {
            return Ok((Arc::clone(last), fetched));
        }
        Ok((Arc::new(self.read(&repo, commit)?), fetched))
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

    /// Opens the copy, or makes an empty one.
    fn open(&self) -> Result<git2::Repository, Fault> {
        if self.packs() > MAX_PACKS {
            debug!(url = %self.source.url, "the copy has too many packs: fetching it anew");
            self.throw_away()?;
        }
        self.close()?;
        if self.cache.exists() {
            return Ok(git2::Repository::open_bare(&self.cache)?);
        }
        let unusable = |detail: String| GitError::Cache {
            path: self.cache.clone(),
            detail,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.cache)
            .map_err(|error| unusable(error.to_string()))?;
        git2::Repository::init_bare(&self.cache)
            .map_err(|error| unusable(error.message().to_owned()).into())
    }

    /// Takes the copy from other users, for whom an older release left it open: the repository may
    /// be a private one. What is around it may be somebody else's folder.
    fn close(&self) -> Result<(), GitError> {
        let closed = match fs::symlink_metadata(&self.cache) {
            Ok(found) if found.is_dir() && found.permissions().mode() & 0o077 != 0 => {
                fs::set_permissions(&self.cache, fs::Permissions::from_mode(0o700))
            }
            _ => Ok(()),
        };
        closed.map_err(|error| GitError::Cache {
            path: self.cache.clone(),
            detail: format!("it cannot be closed to other users: {error}"),
        })
    }

    fn packs(&self) -> usize {
        fs::read_dir(self.cache.join("objects/pack")).map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| entry.path().extension().is_some_and(|e| e == "pack"))
                .count()
        })
    }

    fn throw_away(&self) -> Result<(), GitError> {
        match fs::remove_dir_all(&self.cache) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::Cache {
                path: self.cache.clone(),
                detail: format!("it cannot be deleted: {error}"),
            }),
            _ => Ok(()),
        }
    }

    /// Our own ref for this reference: another branch of the same remote has another one.
    fn ref_name(&self) -> String {
        let digest = Sha256::digest(self.source.reference.to_string());
        let name: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        format!("refs/sluice/{name}")
    }

    /// The commit of the last fetch, if its objects are here.
    fn known(&self, repo: &git2::Repository) -> Option<CommitId> {
        let commit = repo.find_reference(&self.ref_name()).ok()?.peel_to_commit();
        commit.ok().map(|commit| commit.id().into())
    }

    fn fetch(
        &self,
        repo: &git2::Repository,
        cancel: &CancellationToken,
    ) -> Result<(CommitId, bool), Fault> {
        let wire = Wire::open(&self.source, cancel)?;
        wire.check()?;
        let address = wire.address();
        let mut remote = repo.remote_anonymous(&address)?;
        if remote.url().ok() != Some(address.as_str()) {
            return Err(Fault::Said(GitError::BadUrl {
                url: self.source.url.to_string(),
                detail:
                    "this machine's Git configuration (url.*.insteadOf) leads elsewhere; write the \
                         URL that is meant"
                        .into(),
            }));
        }
        let mut connection = remote
            .connect_auth(Direction::Fetch, Some(callbacks(&wire)), None)
            .map_err(|error| wire.explain_connect(error))?;
        let heads: Vec<Advertised> = connection
            .list()
            .map_err(|error| wire.explain_connect(error))?
            .iter()
            .map(|head| Advertised {
                name: head.name().to_owned(),
                oid: head.oid(),
            })
            .collect();
        let url = self.source.url.to_string();
        let target = self.source.reference.resolve(&url, &heads)?;
        if self.known(repo) == Some(target.commit) {
            return Ok((target.commit, false));
        }
        debug!(%url, commit = %target.commit.short(), "fetching");
        let commit = self.download(repo, connection.remote(), &wire, &target)?;
        repo.reference(&self.ref_name(), commit.oid(), true, "sluice fetch")?;
        Ok((commit, true))
    }

    fn download(
        &self,
        repo: &git2::Repository,
        remote: &mut git2::Remote<'_>,
        wire: &Arc<Wire>,
        target: &Target,
    ) -> Result<CommitId, Fault> {
        const INCOMING: &str = "refs/sluice/incoming";
        let from = match &target.name {
            Some(name) => name.clone(),
            None => target.commit.to_string(),
        };
        let fetched = self.fetch_refs(repo, remote, wire, &[format!("+{from}:{INCOMING}")], true);
        match (fetched, &target.name) {
            (Ok(()), _) => {}
            (Err(fault), Some(_)) => return Err(fault),
            // Not every server hands out a commit by its id: fetch all there is, and look.
            (Err(_), None) => {
                wire.check()?;
                let all = [
                    "+refs/heads/*:refs/sluice/heads/*".to_owned(),
                    "+refs/tags/*:refs/sluice/tags/*".to_owned(),
                ];
                self.fetch_refs(repo, remote, wire, &all, false)?;
            }
        }
        match repo.find_commit(target.commit.oid()) {
            Ok(commit) => Ok(commit.id().into()),
            // The branch moved between the question and the fetch: what came is newer.
            Err(_) if target.name.is_some() => {
                let incoming = repo.find_reference(INCOMING)?;
                Ok(incoming.peel_to_commit()?.id().into())
            }
            Err(_) => Err(Fault::Said(GitError::RefMissing {
                url: self.source.url.to_string(),
                reference: self.source.reference.to_string(),
                detail: "no branch and no tag leads to it; was it pushed, or lost by a force-push?"
                    .into(),
            })),
        }
    }

    fn fetch_refs(
        &self,
        repo: &git2::Repository,
        remote: &mut git2::Remote<'_>,
        wire: &Arc<Wire>,
        refspecs: &[String],
        shallow: bool,
    ) -> Result<(), Fault> {
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks(wire))
            .download_tags(git2::AutotagOption::None)
            .update_fetchhead(false);
        // libgit2 refuses a depth on local paths, where copying costs little anyway.
        if !matches!(self.source.url, RemoteUrl::File(_)) {
            if shallow {
                options.depth(1);
            } else if repo.is_shallow() {
                // GIT_FETCH_DEPTH_UNSHALLOW: without it nothing below a known tip is sent.
                options.depth(i32::MAX);
            }
        }
        remote
            .fetch(refspecs, Some(&mut options), None)
            .map_err(|error| wire.explain_fetch(error))
    }
}

/// Progress reports are where libgit2 lets us out of a long transfer.
fn callbacks(wire: &Arc<Wire>) -> RemoteCallbacks<'static> {
    let mut callbacks = RemoteCallbacks::new();
    let transfer = Arc::clone(wire);
    callbacks.transfer_progress(move |_| transfer.go_on());
    let sideband = Arc::clone(wire);
    callbacks.sideband_progress(move |_| sideband.go_on());
    callbacks
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
