//! A repository with a working copy, driven by the `git` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::git::{CommitId, GitError, Reference, RemoteUrl, Repository, RepositorySource, Sync};

/// A bare "remote", a working copy that pushes to it, and a cache folder for Sluice.
pub struct Team {
    root: TempDir,
}

impl Team {
    /// A remote with a branch `main` and one commit with `apps/hello.yaml`.
    pub fn new() -> Self {
        let team = Self::empty();
        team.commit("apps/hello.yaml", "kind: Service\n", "First");
        team
    }

    /// A remote without a commit.
    pub fn empty() -> Self {
        let team = Self {
            root: TempDir::new().unwrap(),
        };
        git(
            team.root.path(),
            &["init", "-q", "--bare", "-b", "main", "shop.git"],
        );
        git(team.root.path(), &["clone", "-q", "shop.git", "work"]);
        team.git(&["checkout", "-q", "-b", "main"]);
        team
    }

    pub fn bare(&self) -> PathBuf {
        self.root.path().join("shop.git")
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// The copies that Sluice has made.
    pub fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "git"))
            .collect()
    }

    /// The only one.
    pub fn copy(&self) -> PathBuf {
        let copies = self.copies();
        assert_eq!(copies.len(), 1, "{copies:?}");
        copies[0].clone()
    }

    /// Runs git in the working copy.
    pub fn git(&self, args: &[&str]) -> String {
        git(&self.work(), args)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a file, commits everything and pushes.
    pub fn commit(&self, path: &str, content: &str, subject: &str) -> CommitId {
        self.write(path, content);
        self.save(subject)
    }

    /// Commits everything and pushes the current branch.
    pub fn save(&self, subject: &str) -> CommitId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.git(&["push", "-q", "-f", "origin", "HEAD"]);
        self.head()
    }

    pub fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).trim().parse().unwrap()
    }

    pub fn source(&self) -> RepositorySource {
        RepositorySource {
            path: "apps".into(),
            ..RepositorySource::new(RemoteUrl::File(self.bare()))
        }
    }

    pub fn repository(&self, source: RepositorySource) -> Repository {
        self.owned("default/shop", source)
    }

    pub fn owned(&self, owner: &str, source: RepositorySource) -> Repository {
        Repository::new(owner, source, &self.cache()).unwrap()
    }

    /// One look at `reference` by file, with a new process's memory.
    pub fn look(&self, reference: Reference) -> Result<Sync, GitError> {
        self.repository(RepositorySource {
            reference,
            ..self.source()
        })
        .sync(&CancellationToken::new())
    }
}

pub fn sync(repository: &mut Repository) -> Result<Sync, GitError> {
    repository.sync(&CancellationToken::new())
}

/// The files of a look, as `path=content` lines.
pub fn files(sync: &Sync) -> Vec<String> {
    sync.snapshot
        .files
        .iter()
        .map(|file| {
            let content = String::from_utf8_lossy(&file.content);
            format!("{}={}", file.path, content.trim_end())
        })
        .collect()
}

pub fn git(at: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_DATE", "2026-11-23T10:00:00Z"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
