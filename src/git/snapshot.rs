//! The files of one folder at one commit, as a value.

use std::collections::HashMap;
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository, Tree};
use jiff::Timestamp;

use super::tree::{Found, Lost, is_link, lookup};
use super::{CommitId, GitError};

/// What a manifest may weigh: etcd takes 1.5 MiB an object, and files hold several.
pub const MAX_FILE: u64 = 3 << 20;
/// How many files a snapshot may have.
pub const MAX_FILES: usize = 50_000;
/// What all files of a snapshot may weigh together.
pub const MAX_TOTAL: u64 = 256 << 20;
/// How many tree entries are looked at; folders linked into folders multiply.
const MAX_ENTRIES: usize = 500_000;
const MAX_DEPTH: usize = 100;
/// Characters of a commit's first line, and of its author's name.
const LONGEST: usize = 200;
/// The first line of a Git LFS pointer file.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Id of a file's content: equal ids are equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlobId([u8; 20]);

impl BlobId {
    /// The id that Git gives this content.
    pub fn of(content: &[u8]) -> Self {
        Oid::hash_object(ObjectType::Blob, content).map_or(Self([0; 20]), Self::from)
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; 20] {
        self.0
    }
}

impl From<Oid> for BlobId {
    fn from(oid: Oid) -> Self {
        let mut id = [0; 20];
        for (to, from) in id.iter_mut().zip(oid.as_bytes()) {
            *to = *from;
        }
        Self(id)
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the repository's root, with slashes: `apps/hello.yaml`.
    pub path: Arc<str>,
    /// Id of the content.
    pub blob: BlobId,
    /// The content; shared between snapshots while it does not change.
    pub content: Arc<[u8]>,
}

/// Something under the folder that is not delivered, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Path from the repository's root.
    pub path: String,
    /// Why, and what to do.
    pub reason: String,
}

/// The files of one folder at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: CommitId,
    /// First line of its message.
    pub subject: String,
    /// `Name <address>`.
    pub author: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The folder, from the repository's root; empty for the root itself.
    pub path: String,
    /// Its files that are wanted, by path.
    pub files: Arc<[SourceFile]>,
    /// What is there but cannot be delivered, by path.
    pub refused: Arc<[Refused]>,
}

/// Why no snapshot came out.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something that a person must know.
    Said(GitError),
    /// The cached repository is broken.
    Broken(String),
}

impl From<git2::Error> for Fault {
    fn from(error: git2::Error) -> Self {
        Self::Broken(error.message().to_owned())
    }
}

impl From<GitError> for Fault {
    fn from(error: GitError) -> Self {
        Self::Said(error)
    }
}

/// Reads the folder `path` at `commit`; contents and, where the folder did not change,
/// the file list are taken from `previous`.
pub(super) fn read(
    repo: &Repository,
    url: &str,
    commit: CommitId,
    path: &str,
    wanted: fn(&str) -> bool,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, Fault> {
    let object = repo.find_commit(commit.oid())?;
    let root = object.tree()?;
    let mut walk = Walk {
        repo,
        root: &root,
        url,
        path,
        wanted,
        known: previous
            .map(|s| s.files.iter().map(|f| (f.blob, &f.content)).collect())
            .unwrap_or_default(),
        files: Vec::new(),
        refused: Vec::new(),
        entries: 0,
        total: 0,
    };
    walk.start(commit)?;
    let Walk {
        mut files, refused, ..
    } = walk;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let author = object.author();
    Ok(Snapshot {
        commit,
        subject: short(object.summary_bytes().unwrap_or_default()),
        author: format!(
            "{} <{}>",
            short(author.name_bytes()),
            short(author.email_bytes())
        ),
        committed_at: Timestamp::from_second(object.time().seconds()).unwrap_or_default(),
        path: path.to_owned(),
        files: match previous {
            Some(previous) if *previous.files == *files => previous.files.clone(),
            _ => files.into(),
        },
        refused: refused.into(),
    })
}

/// Who writes a book into a commit's first line does not fill the status of every service with it.
fn short(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

/// The folders that `path` is in: a link to one of them would go round for ever.
fn above(repo: &Repository, root: &Tree<'_>, path: &str) -> Result<Vec<Oid>, Fault> {
    let mut folders = vec![root.id()];
    for (end, _) in path.match_indices('/') {
        let parent = path.get(..end).unwrap_or_default();
        match lookup(repo, root, parent) {
            Ok(Found::Folder(oid)) => folders.push(oid),
            Ok(_) | Err(Lost::Nowhere(_)) => {}
            Err(Lost::Broken(error)) => return Err(error.into()),
        }
    }
    Ok(folders)
}

/// The folders at the root, for the message about a missing one.
fn folders(root: &Tree<'_>) -> String {
    let names: Vec<String> = root
        .iter()
        .filter(|entry| entry.kind() == Some(ObjectType::Tree))
        .map(|entry| String::from_utf8_lossy(entry.name_bytes()).into_owned())
        .take(8)
        .collect();
    if names.is_empty() {
        "the repository has no folders at its root".to_owned()
    } else {
        format!("folders at the root: {}", names.join(", "))
    }
}

struct Walk<'a> {
    repo: &'a Repository,
    root: &'a Tree<'a>,
    url: &'a str,
    path: &'a str,
    wanted: fn(&str) -> bool,
    known: HashMap<BlobId, &'a Arc<[u8]>>,
    files: Vec<SourceFile>,
    refused: Vec<Refused>,
    entries: usize,
    total: u64,
}

impl Walk<'_> {
    /// Walks what the snapshot's path leads to: a folder, or one file.
    fn start(&mut self, commit: CommitId) -> Result<(), Fault> {
        let missing = |detail: String| {
            Fault::Said(GitError::PathMissing {
                url: self.url.into(),
                path: self.path.into(),
                commit: commit.short(),
                detail,
            })
        };
        match lookup(self.repo, self.root, self.path) {
            Ok(Found::Folder(oid)) => {
                let mut open = above(self.repo, self.root, self.path)?;
                open.push(oid);
                self.folder(&self.repo.find_tree(oid)?, self.path, &mut open)
            }
            Ok(Found::File(oid)) => self.file(oid, self.path),
            Ok(Found::Submodule) => Err(missing(
                "it is a submodule; deliver that repository by a Delivery of its own".into(),
            )),
            Err(Lost::Nowhere(why)) => Err(missing(format!("{why}; {}", folders(self.root)))),
            Err(Lost::Broken(error)) => Err(error.into()),
        }
    }

    /// `open`: the folders that we are in, so that a link back to one of them is seen.
    fn folder(&mut self, tree: &Tree<'_>, path: &str, open: &mut Vec<Oid>) -> Result<(), Fault> {
        if open.len() > MAX_DEPTH {
            self.refuse(
                path,
                format!("it is nested more than {MAX_DEPTH} folders deep"),
            );
            return Ok(());
        }
        for entry in tree.iter() {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(self.too_large(format!(
                    "it has more than {MAX_ENTRIES} entries (linked folders count each time); \
                     deliver a smaller folder"
                )));
            }
            let name = String::from_utf8_lossy(entry.name_bytes());
            let at = if path.is_empty() {
                name.clone().into_owned()
            } else {
                format!("{path}/{name}")
            };
            if std::str::from_utf8(entry.name_bytes()).is_err() {
                self.refuse(&at, "its name is not UTF-8; rename it".into());
            } else if is_link(entry.filemode()) {
                self.link(entry.id(), path, &at, open)?;
            } else {
                match entry.kind() {
                    Some(ObjectType::Tree) => self.enter(entry.id(), &at, open)?,
                    Some(ObjectType::Commit) => self.submodule(&at),
                    _ => self.file(entry.id(), &at)?,
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, oid: Oid, at: &str, open: &mut Vec<Oid>) -> Result<(), Fault> {
        let tree = self.repo.find_tree(oid)?;
        open.push(oid);
        self.folder(&tree, at, open)?;
        open.pop();
        Ok(())
    }

    fn link(&mut self, oid: Oid, folder: &str, at: &str, open: &mut Vec<Oid>) -> Result<(), Fault> {
        let blob = self.repo.find_blob(oid)?;
        let target = String::from_utf8_lossy(blob.content()).into_owned();
        let found = if target.starts_with('/') {
            Err(Lost::Nowhere(
                "a link must stay inside the repository".to_owned(),
            ))
        } else {
            lookup(self.repo, self.root, &format!("{folder}/{target}"))
        };
        match found {
            Ok(Found::Folder(oid)) if open.contains(&oid) => self.refuse(
                at,
                format!("the link to \"{target}\" leads back to a folder that it is in"),
            ),
            Ok(Found::Folder(oid)) => self.enter(oid, at, open)?,
            Ok(Found::File(oid)) => self.file(oid, at)?,
            Ok(Found::Submodule) => self.submodule(at),
            Err(Lost::Broken(error)) => return Err(error.into()),
            Err(Lost::Nowhere(why)) => self.refuse(
                at,
                format!("the link to \"{target}\" is not followed: {why}"),
            ),
        }
        Ok(())
    }

    fn submodule(&mut self, at: &str) {
        self.refuse(
            at,
            "it is a submodule, which is not delivered; make a Delivery for that repository".into(),
        );
    }

    fn file(&mut self, oid: Oid, at: &str) -> Result<(), Fault> {
        if !(self.wanted)(at) {
            return Ok(());
        }
        let blob = BlobId::from(oid);
        let content = match self.known.get(&blob) {
            Some(content) => Arc::clone(content),
            None => {
                let (size, _) = self.repo.odb()?.read_header(oid)?;
                if size as u64 > MAX_FILE {
                    let mib = MAX_FILE >> 20;
                    self.refuse(
                        at,
                        format!(
                            "it is larger than {mib} MiB; split it, or list it in .sluiceignore"
                        ),
                    );
                    return Ok(());
                }
                Arc::from(self.repo.find_blob(oid)?.content())
            }
        };
        if content.starts_with(LFS) {
            self.refuse(
                at,
                "it is a Git LFS pointer, which is not delivered; commit the file itself".into(),
            );
            return Ok(());
        }
        self.total += content.len() as u64;
        if self.files.len() >= MAX_FILES || self.total > MAX_TOTAL {
            return Err(self.too_large(format!(
                "more than {MAX_FILES} files or {} MiB; deliver smaller folders by several Deliveries",
                MAX_TOTAL >> 20
            )));
        }
        self.files.push(SourceFile {
            path: at.into(),
            blob,
            content,
        });
        Ok(())
    }

    fn refuse(&mut self, path: &str, reason: String) {
        self.refused.push(Refused {
            path: path.to_owned(),
            reason,
        });
    }

    fn too_large(&self, detail: String) -> Fault {
        Fault::Said(GitError::TooLarge {
            url: self.url.to_owned(),
            path: self.path.to_owned(),
            detail,
        })
    }
}
