//! A folder on disk, read as if it were committed: for checking manifests before a push.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::snapshot::{BlobId, MAX_FILE, MAX_FILES, Refused, SourceFile};

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Its files that are wanted, by path from the folder.
    pub files: Vec<SourceFile>,
    /// What is there but would not be delivered.
    pub refused: Vec<Refused>,
}

/// Reads a folder, or a single file, with the limits of a snapshot. `.git` is left out.
/// Links are followed as long as they stay in the folder.
pub fn read_folder(path: &Path, wanted: fn(&str) -> bool) -> io::Result<Folder> {
    let root = path.canonicalize()?;
    let mut folder = Folder::default();
    if root.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        folder.take(&root, &name)?;
        return Ok(folder);
    }
    let mut ahead = vec![(root.clone(), String::new(), vec![root.clone()])];
    while let Some((here, prefix, open)) = ahead.pop() {
        for entry in fs::read_dir(&here)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let at = format!("{prefix}{name}");
            if name == ".git" {
                continue;
            }
            let real = match entry.path().canonicalize() {
                Ok(real) if real.starts_with(&root) => real,
                Ok(_) => {
                    folder.refuse(&at, "the link leaves the folder".into());
                    continue;
                }
                Err(error) => {
                    folder.refuse(&at, format!("it cannot be read: {error}"));
                    continue;
                }
            };
            if real.is_dir() {
                if open.contains(&real) {
                    folder.refuse(&at, "the link leads back to a folder that it is in".into());
                } else {
                    let open = open.iter().cloned().chain([real.clone()]).collect();
                    ahead.push((real, format!("{at}/"), open));
                }
            } else if wanted(&at) {
                folder.take(&real, &at)?;
            }
        }
    }
    folder.files.sort_by(|a, b| a.path.cmp(&b.path));
    folder.refused.sort();
    Ok(folder)
}

impl Folder {
    fn take(&mut self, real: &Path, at: &str) -> io::Result<()> {
        if fs::metadata(real)?.len() > MAX_FILE {
            self.refuse(at, format!("it is larger than {} MiB", MAX_FILE >> 20));
            return Ok(());
        }
        if self.files.len() >= MAX_FILES {
            return Err(io::Error::other(format!(
                "there are more than {MAX_FILES} files"
            )));
        }
        let content: Arc<[u8]> = fs::read(real)?.into();
        self.files.push(SourceFile {
            path: at.into(),
            blob: BlobId::of(&content),
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_is_read_as_git_would_have_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("apps/.git")).unwrap();
        fs::write(at("apps/a.yaml"), "a: 1\n").unwrap();
        fs::write(at("apps/b.png"), "x").unwrap();
        fs::write(at("apps/.git/c.yaml"), "x").unwrap();
        symlink("a.yaml", at("apps/link.yaml")).unwrap();
        symlink("/etc/passwd", at("apps/out.yaml")).unwrap();
        symlink("..", at("apps/loop")).unwrap();
        let read = read_folder(folder.path(), |path| path.ends_with(".yaml")).unwrap();
        let files: Vec<&str> = read.files.iter().map(|file| &*file.path).collect();
        assert_eq!(files, ["apps/a.yaml", "apps/link.yaml"]);
        assert_eq!(read.files[0].blob, read.files[1].blob);
        let refused: Vec<&str> = read.refused.iter().map(|r| r.path.as_str()).collect();
        assert_eq!(refused, ["apps/loop", "apps/out.yaml"]);

        let one = read_folder(&at("apps/a.yaml"), |_| true).unwrap();
        assert_eq!(&*one.files[0].path, "a.yaml");
    }
}
