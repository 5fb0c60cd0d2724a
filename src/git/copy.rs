//! A repository's copy on this machine: where it is, who may write to it, and how it stays small.
//!
//! There is one for a URL, whoever reads it: refs below `refs/sluice/OWNER/` say which commits an
//! owner's own credentials were shown. Writers hold a lock on a file beside it, within a process
//! and between two; the copy appears and goes in one step, so that readers need none.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::Oid;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::snapshot::Fault;
use super::{CommitId, GitError, Reference, RemoteUrl};

/// Every fetch adds a pack file; what is in more than this becomes one again.
const MAX_PACKS: usize = 64;
/// How often a lock that another one holds is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Where what is fetched comes in.
pub(super) const INCOMING: &str = "refs/sluice/incoming";

/// One repository's copy.
pub(super) struct Copy {
    url: RemoteUrl,
    root: PathBuf,
    name: String,
}

/// The right to write to a copy, until it is dropped.
pub(super) struct Held(#[expect(dead_code, reason = "its lock ends with it")] File);

impl Copy {
    /// Names the copy; touches no disk.
    pub fn new(url: &RemoteUrl, root: &Path) -> Self {
        Self {
            url: url.clone(),
            root: root.to_owned(),
            name: format!("shared-{}", digest(&url.to_string(), 12)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.root.join(format!("{}.git", self.name))
    }

    /// Waits until nobody else writes to it, within this process or another one.
    pub fn lock(&self, wait: Duration, cancel: &CancellationToken) -> Result<Held, GitError> {
        let path = self.root.join(format!("{}.lock", self.name));
        let unusable = |error: io::Error| GitError::Cache {
            path: path.clone(),
            detail: error.to_string(),
        };
        self.make_root().map_err(unusable)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        let until = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Held(file)),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if cancel.is_cancelled() {
                return Err(GitError::Cancelled {
                    url: self.url.to_string(),
                });
            }
            if Instant::now() >= until {
                let waited = wait.as_secs_f32();
                return Err(GitError::Cache {
                    path,
                    detail: format!("another fetch has held it for {waited} s; it is tried again"),
                });
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Opens it where there is one.
    pub fn open(&self) -> Result<Option<git2::Repository>, Fault> {
        let path = self.path();
        close(&path)?;
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(git2::Repository::open_bare(&path)?))
    }

    /// Opens it, or makes an empty one; what has too many packs becomes one pack.
    pub fn open_or_make(&self, _held: &Held) -> Result<git2::Repository, Fault> {
        if let Some(repo) = self.open()? {
            if self.packs().len() <= MAX_PACKS {
                return Ok(repo);
            }
            self.repack(&repo)?;
            // What was opened before still looks into the packs that are gone.
            return Ok(git2::Repository::open_bare(self.path())?);
        }
        let unusable = |detail: String| GitError::Cache {
            path: self.path(),
            detail,
        };
        let fresh = self.root.join(format!("{}.new", self.name));
        remove(&fresh)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&fresh)
            .map_err(|error| unusable(error.to_string()))?;
        git2::Repository::init_bare(&fresh)
            .map_err(|error| unusable(error.message().to_owned()))?;
        fs::rename(&fresh, self.path()).map_err(|error| unusable(error.to_string()))?;
        Ok(git2::Repository::open_bare(self.path())?)
    }

    /// Deletes it, in one step for those who read it.
    pub fn throw_away(&self, _held: &Held) -> Result<(), GitError> {
        let gone = self.root.join(format!("{}.gone", self.name));
        remove(&gone)?;
        match fs::rename(self.path(), &gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::Cache {
                path: self.path(),
                detail: format!("it cannot be deleted: {error}"),
            }),
            _ => remove(&gone),
        }
    }

    fn make_root(&self) -> io::Result<()> {
        if self.root.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
    }

    fn packs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path().join("objects/pack")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "pack"))
            .collect()
    }

    /// Makes one pack of what owners' refs lead to. The old ones go last: whoever dies in between leaves
    /// a copy that is larger, and whole.
    pub fn repack(&self, repo: &git2::Repository) -> Result<(), Fault> {
        debug!(url = %self.url, "the copy has too many packs: making one of them");
        let old = self.packs();
        let commits = self.kept(repo)?;
        let mut builder = repo.packbuilder()?;
        if repo.is_shallow() {
            for commit in &commits {
                builder.insert_commit(*commit)?;
            }
        } else {
            let mut walk = repo.revwalk()?;
            for commit in &commits {
                walk.push(*commit)?;
            }
            builder.insert_walk(&mut walk)?;
        }
        builder.write(&self.path().join("objects/pack"), 0)?;
        let name = builder.name()?.map(|name| format!("pack-{name}.pack"));
        let failed = |error: io::Error| Fault::Broken(format!("it cannot be repacked: {error}"));
        if repo.is_shallow() {
            self.write_shallow(&commits).map_err(failed)?;
        }
        for pack in old {
            if pack.file_name().and_then(|n| n.to_str()) != name.as_deref() {
                fs::remove_file(pack.with_extension("idx")).map_err(failed)?;
                fs::remove_file(&pack).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The commits of all owners; every other ref goes.
    fn kept(&self, repo: &git2::Repository) -> Result<Vec<Oid>, Fault> {
        let mut commits = Vec::new();
        for reference in repo.references()? {
            let mut reference = reference?;
            let owned = reference.name().is_ok_and(is_owned);
            match reference.peel_to_commit() {
                Ok(commit) if owned => commits.push(commit.id()),
                _ => reference.delete()?,
            }
        }
        commits.sort();
        commits.dedup();
        Ok(commits)
    }

    /// Says that the history of each of these ends with it.
    fn write_shallow(&self, commits: &[Oid]) -> io::Result<()> {
        let lines: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
        let (fresh, path) = (self.path().join("shallow.new"), self.path().join("shallow"));
        fs::write(&fresh, lines)?;
        fs::rename(fresh, path)
    }
}

/// What one owner was shown of a repository, as refs in its copy.
pub(super) struct Owner {
    /// Digest of the owner's name.
    id: String,
    /// The copy that an older release made for this owner alone.
    old: PathBuf,
}

impl Owner {
    /// `name`: a Delivery's `namespace/name`.
    pub fn new(name: &str, url: &RemoteUrl, root: &Path) -> Self {
        let old = digest(&format!("{name}\n{url}"), 12);
        Self {
            id: digest(name, 8),
            old: root.join(format!("{old}.git")),
        }
    }

    /// The commit that the owner's credentials were shown for a reference, if its objects are here.
    pub fn known(&self, repo: &git2::Repository, reference: &Reference) -> Option<CommitId> {
        commit_at(repo, &self.ref_name(reference))
    }

    /// The same of the copy that an older release made.
    pub fn known_before(&self, reference: &Reference) -> Option<(git2::Repository, CommitId)> {
        close(&self.old).ok()?;
        let repo = git2::Repository::open_bare(&self.old).ok()?;
        let name = format!("refs/sluice/{}", digest(&reference.to_string(), 8));
        let commit = commit_at(&repo, &name)?;
        Some((repo, commit))
    }

    /// Deletes the copy that an older release made.
    pub fn forget_before(&self) {
        if let Err(error) = remove(&self.old) {
            warn!(%error, "the copy of a repository that an older release made is left");
        }
    }

    /// Notes that the owner's credentials were shown this commit; what they were shown for another
    /// reference is asked for no longer.
    pub fn note(
        &self,
        repo: &git2::Repository,
        reference: &Reference,
        commit: CommitId,
    ) -> Result<(), git2::Error> {
        let name = self.ref_name(reference);
        repo.reference(&name, commit.oid(), true, "sluice fetch")?;
        for other in repo.references_glob(&format!("refs/sluice/{}/*", self.id))? {
            let mut other = other?;
            if other.name().ok() != Some(name.as_str()) {
                other.delete()?;
            }
        }
        Ok(())
    }

    fn ref_name(&self, reference: &Reference) -> String {
        format!(
            "refs/sluice/{}/{}",
            self.id,
            digest(&reference.to_string(), 8)
        )
    }
}

/// Whether a ref is one of [`Owner`]'s, and not where a fetch comes in.
fn is_owned(name: &str) -> bool {
    let is_digest = |part: &str| part.len() == 16 && part.bytes().all(|b| b.is_ascii_hexdigit());
    name.strip_prefix("refs/sluice/")
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(owner, reference)| is_digest(owner) && is_digest(reference))
}

fn commit_at(repo: &git2::Repository, name: &str) -> Option<CommitId> {
    let commit = repo.find_reference(name).ok()?.peel_to_commit();
    commit.ok().map(|commit| commit.id().into())
}

fn digest(text: &str, bytes: usize) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(bytes)
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn remove(path: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::Cache {
            path: path.to_owned(),
            detail: format!("it cannot be deleted: {error}"),
        }),
        _ => Ok(()),
    }
}

/// Takes a copy from other users, for whom an older release left it open: the repository may be a
/// private one. What is around it may be somebody else's folder.
fn close(path: &Path) -> Result<(), GitError> {
    let closed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && found.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(path, Permissions::from_mode(0o700))
        }
        _ => Ok(()),
    };
    closed.map_err(|error| GitError::Cache {
        path: path.to_owned(),
        detail: format!("it cannot be closed to other users: {error}"),
    })
}
