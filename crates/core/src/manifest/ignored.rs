//! Which files under the folder are manifests at all.

use std::collections::BTreeMap;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::File;
use super::error::{ManifestError, Origin};

/// The file that lists what is not delivered, in the syntax of .gitignore.
pub const IGNORE_FILE: &str = ".sluiceignore";

/// Whether a file can hold manifests (or says which do not), by its name.
///
/// `.yaml`, `.yml` and `.json`; files and folders that begin with a dot belong to tools
/// (`.github`, `.gitlab-ci.yml`) and are left alone.
pub fn is_manifest_file(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    if folders.split('/').any(|folder| folder.starts_with('.')) {
        return false;
    }
    if name == IGNORE_FILE {
        return true;
    }
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !name.starts_with('.') && matches!(ending, Some("yaml" | "yml" | "json"))
        || name == "Kustomization"
}

/// The `.sluiceignore` files of a snapshot.
pub(super) struct Ignored {
    /// By folder.
    rules: BTreeMap<String, Gitignore>,
}

impl Ignored {
    /// Reads them; a pattern that is none is an error of its own line.
    pub fn read<'a>(files: impl Iterator<Item = &'a File>) -> (Self, Vec<ManifestError>) {
        let mut rules = BTreeMap::new();
        let mut errors = Vec::new();
        for file in files {
            let (folder, name) = split(&file.path);
            if name != IGNORE_FILE {
                continue;
            }
            let mut builder = GitignoreBuilder::new("");
            for (line, pattern) in (1..).zip(String::from_utf8_lossy(&file.content).lines()) {
                if let Err(error) = builder.add_line(None, pattern) {
                    errors.push(ManifestError {
                        origin: Origin {
                            file: file.path.clone(),
                            line,
                        },
                        poisons_prune: false,
                        hint: Some("write it as in .gitignore".into()),
                        content: file.content.clone(),
                        ..ManifestError::unreadable("", &error.to_string())
                    });
                }
            }
            if let Ok(built) = builder.build() {
                rules.insert(folder.to_owned(), built);
            }
        }
        (Self { rules }, errors)
    }

    /// Whether a path is left out; the file nearest to it decides.
    pub fn contains(&self, path: &str) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        let mut folder = path;
        while !folder.is_empty() {
            folder = split(folder).0;
            if let Some(rules) = self.rules.get(folder) {
                let below = path.strip_prefix(folder).unwrap_or(path);
                let below = below.strip_prefix('/').unwrap_or(below);
                let matched = rules.matched_path_or_any_parents(below, false);
                if !matched.is_none() {
                    return matched.is_ignore();
                }
            }
        }
        false
    }
}

/// A path's folder (empty at the root) and name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
