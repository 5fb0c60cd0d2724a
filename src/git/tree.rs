//! Finding a path in a commit's tree, symbolic links followed as long as they stay inside.

use git2::{ObjectType, Oid, Repository, Tree};

/// As many links in a row as Linux follows.
const MAX_HOPS: usize = 40;
const LINK: i32 = 0o120_000;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder.
    Folder(Oid),
    /// A file.
    File(Oid),
    /// Another repository, linked in as a submodule.
    Submodule,
}

/// Why a path leads nowhere.
#[derive(Debug)]
pub(super) enum Lost {
    /// It is not there, or leads out of the repository; the words say which.
    Nowhere(String),
    /// The repository itself cannot be read.
    Broken(git2::Error),
}

impl From<git2::Error> for Lost {
    fn from(error: git2::Error) -> Self {
        Self::Broken(error)
    }
}

/// Whether a tree entry is a symbolic link.
pub(super) fn is_link(mode: i32) -> bool {
    mode & 0o170_000 == LINK
}

/// Follows `path` from the root of the tree.
pub(super) fn lookup(repo: &Repository, root: &Tree<'_>, path: &str) -> Result<Found, Lost> {
    // Components still to go, last first; the folders entered so far, by name.
    let mut ahead: Vec<String> = components(path);
    let mut inside: Vec<(String, Oid)> = Vec::new();
    let mut hops = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            if inside.pop().is_none() {
                return Err(Lost::Nowhere("it leaves the repository".into()));
            }
            continue;
        }
        let here = inside.last().map_or(root.id(), |(_, oid)| *oid);
        let tree = repo.find_tree(here)?;
        let Some(entry) = tree.get_name(&name) else {
            let at: Vec<&str> = inside.iter().map(|(name, _)| name.as_str()).collect();
            let at = if at.is_empty() {
                "the repository's root".to_owned()
            } else {
                format!("\"{}\"", at.join("/"))
            };
            return Err(Lost::Nowhere(format!("\"{name}\" is not in {at}")));
        };
        if is_link(entry.filemode()) {
            hops += 1;
            if hops > MAX_HOPS {
                return Err(Lost::Nowhere("its links go round in circles".into()));
            }
            let blob = repo.find_blob(entry.id())?;
            let target = String::from_utf8_lossy(blob.content()).into_owned();
            if target.starts_with('/') {
                return Err(Lost::Nowhere(format!(
                    "it points to \"{target}\", outside of the repository"
                )));
            }
            ahead.extend(components(&target));
            continue;
        }
        match entry.kind() {
            Some(ObjectType::Tree) => inside.push((name, entry.id())),
            Some(ObjectType::Commit) => return Ok(Found::Submodule),
            _ if ahead.is_empty() => return Ok(Found::File(entry.id())),
            _ => return Err(Lost::Nowhere(format!("\"{name}\" is a file"))),
        }
    }
    Ok(Found::Folder(
        inside.last().map_or(root.id(), |(_, oid)| *oid),
    ))
}

/// The parts of a path, last first.
fn components(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .rev()
        .collect()
}
