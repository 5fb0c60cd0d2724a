//! The demo's Git repository: bare, made from `examples-repo/`, committed to without a `git` program.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use git2::{Oid, Repository, RepositoryInitOptions, Signature};

use crate::local::apiserver::private;

/// `examples-repo/` as it is in the source tree, part of the binary.
const EXAMPLE: &[(&str, &str)] = &[
    (
        "README.md",
        include_str!("../../../examples-repo/README.md"),
    ),
    (
        "delivery.yaml",
        include_str!("../../../examples-repo/delivery.yaml"),
    ),
    (
        HELLO,
        include_str!("../../../examples-repo/apps/hello/service.yaml"),
    ),
    (
        "apps/random/service.yaml",
        include_str!("../../../examples-repo/apps/random/service.yaml"),
    ),
    (
        "apps/random/app.py",
        include_str!("../../../examples-repo/apps/random/app.py"),
    ),
    (
        "apps/random/Dockerfile",
        include_str!("../../../examples-repo/apps/random/Dockerfile"),
    ),
    (
        "apps/random/.sluiceignore",
        include_str!("../../../examples-repo/apps/random/.sluiceignore"),
    ),
    (
        "policies/careful-start.yaml",
        include_str!("../../../examples-repo/policies/careful-start.yaml"),
    ),
];

/// The manifest that the demo's releases change.
pub const HELLO: &str = "apps/hello/service.yaml";

/// The branch that the demo delivers.
pub const BRANCH: &str = "main";

/// Who the demo's own commits are by.
const EMAIL: &str = "demo@sluice.localhost";

/// A bare repository that the demo pushes to.
pub struct DemoRepository {
    path: PathBuf,
    repository: Repository,
}

impl DemoRepository {
    /// Creates it with one commit, the example as it is; the one of an earlier demo gets that
    /// commit on top.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        private::make_folder(path)
            .with_context(|| format!("no repository can be made at {}", path.display()))?;
        let is_empty = std::fs::read_dir(path)?.next().is_none();
        if !is_empty && !is_of_a_demo(path) {
            bail!(
                "{} is there and was not made by a demo: it was left as it is; name another folder with --data-dir",
                path.display()
            );
        }
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head(BRANCH);
        let repository = Repository::init_opts(path, &options)
            .with_context(|| format!("no repository can be made at {}", path.display()))?;
        let created = Self {
            path: path.to_owned(),
            repository,
        };
        created.commit("The shop's services", EXAMPLE)?;
        Ok(created)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its URL for `spec.source.url`.
    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// A file as the branch has it.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        let head = self.repository.find_commit(self.head()?)?.tree()?;
        let entry = head.get_path(Path::new(path))?;
        let blob = self.repository.find_blob(entry.id())?;
        Ok(String::from_utf8(blob.content().to_vec())?)
    }

    /// Commits these files on top of the branch and gives the commit's id.
    pub fn commit(&self, subject: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut index = git2::Index::new()?;
        let parent = self
            .head()
            .ok()
            .map(|id| self.repository.find_commit(id))
            .transpose()?;
        if let Some(parent) = &parent {
            index.read_tree(&parent.tree()?)?;
        }
        for (path, content) in files {
            let blob = self.repository.blob(content.as_bytes())?;
            index.add(&entry(path, blob, content.len()))?;
        }
        let tree = self
            .repository
            .find_tree(index.write_tree_to(&self.repository)?)?;
        let author = Signature::now("Sluice demo", EMAIL)?;
        let parents: Vec<_> = parent.iter().collect();
        let branch = format!("refs/heads/{BRANCH}");
        Ok(self
            .repository
            .commit(Some(&branch), &author, &author, subject, &tree, &parents)?
            .to_string())
    }

    fn head(&self) -> Result<Oid, git2::Error> {
        self.repository
            .refname_to_id(&format!("refs/heads/{BRANCH}"))
    }
}

/// Whether the first commit of the branch is one of ours.
fn is_of_a_demo(path: &Path) -> bool {
    let first = || -> Result<bool, git2::Error> {
        let repository = Repository::open_bare(path)?;
        let mut walk = repository.revwalk()?;
        walk.push_ref(&format!("refs/heads/{BRANCH}"))?;
        let mut ours = false;
        for id in walk {
            let commit = repository.find_commit(id?)?;
            if commit.parent_count() == 0 {
                ours = commit.author().email().ok() == Some(EMAIL);
            }
        }
        Ok(ours)
    };
    first().unwrap_or(false)
}

/// An index entry for a plain file; everything but mode, id and path is of no use in a bare repository.
fn entry(path: &str, id: Oid, size: usize) -> git2::IndexEntry {
    git2::IndexEntry {
        ctime: git2::IndexTime::new(0, 0),
        mtime: git2::IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        file_size: u32::try_from(size).unwrap_or(0),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_repository_holds_every_file_of_the_example() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-repo");
        let mut folders = vec![root.clone()];
        let mut missing = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                if !EXAMPLE.iter().any(|(file, _)| *file == name) {
                    missing.push(name);
                }
            }
        }
        assert!(
            missing.is_empty(),
            "not in the demo's repository: {missing:?}"
        );
    }

    #[test]
    fn a_commit_changes_one_file_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let demo = DemoRepository::create(dir.path()).unwrap();
        let changed = demo.read(HELLO).unwrap().replace("World", "Sluice");
        demo.commit("Greet Sluice", &[(HELLO, &changed)]).unwrap();
        let demo = DemoRepository::create(dir.path()).unwrap();
        assert!(demo.read(HELLO).unwrap().contains("World"), "told anew");
        demo.commit("Greet Sluice", &[(HELLO, &changed)]).unwrap();
        assert!(demo.read(HELLO).unwrap().contains("Sluice"));
        assert!(demo.read("apps/random/app.py").unwrap().contains("randint"));
    }
}
