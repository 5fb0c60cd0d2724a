//! The kubeconfig that leads to the server. A file that somebody has already keeps everything that
//! is in it: only entries of our own name are added or brought up to date.

mod merge;
mod text;

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub use merge::MergeError;

use crate::private;

/// The name of our cluster, user and context.
pub const NAME: &str = "sluice-local";
/// What is larger is no kubeconfig.
const LARGEST: u64 = 16 << 20;

/// What a client needs to know of a server.
#[derive(Debug)]
pub struct Access<'a> {
    /// Its URL.
    pub server: String,
    /// The authority that vouches for it.
    pub ca_pem: &'a str,
    /// The token that lets in.
    pub token: &'a str,
}

/// Why a kubeconfig cannot be written. What is there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file cannot be read or written.
    #[error(
        "the kubeconfig {path} cannot be {what}: {source}; name another file with --kubeconfig"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What is to be done with it.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Something is there that must not be replaced.
    #[error("{path} {what}; it was left as it is: name another file with --kubeconfig")]
    Unfit {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// A program is writing it, or was killed while it did.
    #[error(
        "{lock} is there: another program is writing the kubeconfig. If none is, delete that file; or name another with --kubeconfig"
    )]
    Locked {
        /// The file that says so.
        lock: PathBuf,
    },
    /// An entry of our name leads elsewhere.
    #[error(
        "{path} was left as it is: {source}. Remove it (`kubectl --kubeconfig {path} config delete-{kind} {NAME}`), or name another file with --kubeconfig"
    )]
    Taken {
        /// The file.
        path: PathBuf,
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// What the entry is.
        source: MergeError,
    },
    /// The file is something else.
    #[error(
        "{path} is there and not a kubeconfig that could be added to; it was left as it is: name another file with --kubeconfig, or move it away: {source}"
    )]
    NotOne {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: MergeError,
    },
}

/// The text of a kubeconfig for one server alone.
pub fn of_one(access: &Access<'_>) -> Result<String, MergeError> {
    Ok(merge::merge("", access)?.text)
}

/// Adds the server to the kubeconfig at `path`, which is made where there is none, and says
/// whether its context is the current one.
pub fn add(path: &Path, access: &Access<'_>) -> Result<bool, KubeconfigError> {
    let fault = |what| move |source| file(path, what, source);
    private::make_folder(private::folder_of(path)).map_err(fault("written"))?;
    let _lock = Lock::take(path)?;
    let Some((target, found)) = find(path)? else {
        let merged = merge::merge("", access).map_err(|source| refused(path, source))?;
        private::write(path, merged.text.as_bytes()).map_err(fault("written"))?;
        return Ok(merged.is_current);
    };
    let before = read(path, &target)?;
    let merged = merge::merge(&before, access).map_err(|source| refused(path, source))?;
    if merged.text == before {
        private::close(&target).map_err(fault("closed to other users"))?;
    } else {
        replace(&target, &found, &merged.text).map_err(fault("written"))?;
    }
    Ok(merged.is_current)
}

/// Writes a kubeconfig for this server alone in the place of our own file. A link that somebody
/// made there is followed, and what it leads to is added to.
pub fn replace_own(path: &Path, access: &Access<'_>) -> Result<bool, KubeconfigError> {
    if path.is_symlink() || path.is_dir() {
        return add(path, access);
    }
    let text = of_one(access).map_err(|source| refused(path, source))?;
    private::write(path, text.as_bytes()).map_err(|source| file(path, "written", source))?;
    Ok(true)
}

fn file(path: &Path, what: &'static str, source: io::Error) -> KubeconfigError {
    KubeconfigError::File {
        path: path.to_owned(),
        what,
        source,
    }
}

fn refused(path: &Path, source: MergeError) -> KubeconfigError {
    let path = path.to_owned();
    match source {
        MergeError::Taken { kind, .. } => KubeconfigError::Taken { path, kind, source },
        source => KubeconfigError::NotOne { path, source },
    }
}

/// The file that is meant, behind links; `None` where there is nothing.
fn find(path: &Path) -> Result<Option<(PathBuf, Metadata)>, KubeconfigError> {
    let fault = |source| file(path, "read", source);
    let unfit = |what: String| KubeconfigError::Unfit {
        path: path.to_owned(),
        what,
    };
    let named = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        named => named.map_err(fault)?,
    };
    let target = match std::fs::canonicalize(path) {
        Err(error) if named.is_symlink() => {
            let to = std::fs::read_link(path).unwrap_or_default();
            return Err(unfit(format!(
                "is a symbolic link to {}, which cannot be followed ({error})",
                to.display()
            )));
        }
        target => target.map_err(fault)?,
    };
    let found = std::fs::metadata(&target).map_err(fault)?;
    let unfit_for = if found.is_dir() {
        "is a folder, not a file".to_owned()
    } else if !found.is_file() {
        "is a device or a socket, not a file".to_owned()
    } else if found.len() > LARGEST {
        format!("has {} bytes, which is no kubeconfig", found.len())
    } else if found.permissions().mode() & 0o200 == 0 {
        "is read-only".to_owned()
    } else if !may_replace(&found) {
        format!("belongs to another user ({})", found.uid())
    } else {
        return Ok(Some((target, found)));
    };
    Err(unfit(unfit_for))
}

/// A file of somebody else is not replaced by one of ours; root leaves it to its owner.
fn may_replace(found: &Metadata) -> bool {
    let user = nix::unistd::geteuid();
    user.is_root() || found.uid() == user.as_raw()
}

fn read(path: &Path, target: &Path) -> Result<String, KubeconfigError> {
    let mut text = String::new();
    let read = File::open(target).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let shape = MergeError::Shape("it is not text in UTF-8".to_owned());
            Err(refused(path, shape))
        }
        Err(error) => Err(file(path, "read", error)),
    }
}

/// Puts the text in the place of a file, which goes on belonging to whom it belonged.
fn replace(target: &Path, found: &Metadata, text: &str) -> io::Result<()> {
    let partial = private::partial(target, text.as_bytes())?;
    let made = partial.as_file().metadata()?;
    if (made.uid(), made.gid()) != (found.uid(), found.gid()) {
        // A group that we are not in cannot be kept, and its members may not read it any more.
        let given =
            std::os::unix::fs::fchown(partial.as_file(), Some(found.uid()), Some(found.gid()));
        if made.uid() != found.uid() {
            given?;
        }
    }
    let mode = found.permissions().mode() & 0o700;
    partial
        .as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    private::persist(partial, target)
}

/// The lock of kubectl and of everything else that is made with client-go: a file beside the
/// kubeconfig, for as long as it is read and written.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, KubeconfigError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        match File::create_new(&lock) {
            Ok(_) => Ok(Self(lock)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(KubeconfigError::Locked { lock })
            }
            Err(error) => Err(file(path, "written", error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(token: &str) -> Access<'_> {
        Access {
            server: "https://127.0.0.1:6443".to_owned(),
            ca_pem: "CA",
            token,
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_token_is_never_in_a_file_that_others_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/config");
        assert!(add(&path, &access("one")).unwrap());
        assert_eq!(
            [mode(&path), mode(private::folder_of(&path))],
            [0o600, 0o700]
        );
        // Nothing to write: the mode is put right all the same.
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        add(&path, &access("one")).unwrap();
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        add(&path, &access("two")).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .contains("token: two")
        );
        let left = std::fs::read_dir(private::folder_of(&path)).unwrap();
        assert_eq!(left.count(), 1, "neither a lock nor a part of a file");
    }

    #[test]
    fn our_own_file_is_replaced_and_a_link_in_its_place_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubeconfig");
        std::fs::write(&path, "damaged: [").unwrap();
        assert!(replace_own(&path, &access("one")).unwrap());
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .contains("token: one")
        );
        let shared = dir.path().join("shared");
        std::fs::rename(&path, &shared).unwrap();
        let text = std::fs::read_to_string(&shared).unwrap();
        let text = text.replace("current-context: sluice-local", "current-context: prod");
        std::fs::write(&shared, text).unwrap();
        std::os::unix::fs::symlink("shared", &path).unwrap();
        assert!(!replace_own(&path, &access("two")).unwrap());
        assert!(path.is_symlink());
        let text = std::fs::read_to_string(&shared).unwrap();
        assert!(
            text.contains("current-context: prod") && text.contains("token: two"),
            "{text}"
        );
    }
}
