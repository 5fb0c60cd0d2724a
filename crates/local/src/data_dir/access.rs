//! Whose a data directory is, and that nobody else reads it: it holds Secrets, tokens and keys. A
//! folder of something else that was named by mistake is neither used nor changed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::apiserver::private;

/// What a cluster keeps in its data directory.
const PARTS: [&str; 7] = [
    "lock",
    "endpoints.json",
    "ports.json",
    "kubeconfig",
    "sluice.log",
    "api",
    "node",
];
/// What is there before a cluster has ever been up: nobody else has a reason to make these two.
const FIRST: [&str; 2] = ["lock", "sluice.log"];
/// By this a data directory is known.
const STORE: &str = "api/objects.redb";
/// Others may make files here, and only the owner of each can delete it (as in /tmp).
const STICKY: u32 = 0o1000;

/// Why a folder is not used as a data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made, read or closed.
    #[error("{dir} cannot be used as data directory: {source}; name another one with --data-dir")]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Other things are in it.
    #[error(
        "{dir} is not empty and no data directory of a local cluster (it holds {example}); name a new or an empty folder with --data-dir, for example {}",
        .dir.join("sluice").display()
    )]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// One of the other things.
        example: String,
    },
    /// Others may put something in the place of our files.
    #[error(
        "{dir} is open to every user, who could put files of their own there; name a folder in it with --data-dir, for example {}",
        .dir.join("sluice").display()
    )]
    Common {
        /// The folder.
        dir: PathBuf,
    },
}

/// Whose the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// A data directory and nothing else, so that it can be closed as a whole.
    Own,
    /// A folder of somebody's with a data directory's parts in it, which are closed one by one.
    Among,
}

/// Makes the folder where it is missing, and says whose it is.
pub fn examine(dir: &Path) -> Result<Ownership, DataDirError> {
    let unusable = |source| DataDirError::Unusable {
        dir: dir.to_owned(),
        source,
    };
    private::make_folder(dir).map_err(unusable)?;
    let mode = fs::metadata(dir).map_err(unusable)?.permissions().mode();
    let names: Vec<OsString> = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.file_name())).collect())
        .map_err(unusable)?;
    let is_ours = |name: &OsStr| {
        let name = name.to_string_lossy();
        // An older release that was killed left a part of a record under this name.
        let part = name.strip_suffix(".partial").unwrap_or(&name);
        PARTS.contains(&part) || name.starts_with(private::PARTIAL)
    };
    let other = names.iter().find(|name| !is_ours(name));
    let common = || DataDirError::Common {
        dir: dir.to_owned(),
    };
    if dir.join(STORE).is_file() {
        return match other {
            None if !is_home(dir) && mode & STICKY == 0 => Ok(Ownership::Own),
            _ if mode & 0o002 != 0 => Err(common()),
            _ => Ok(Ownership::Among),
        };
    }
    if let Some(example) = other.or_else(|| not_first(dir, &names)) {
        return Err(DataDirError::Foreign {
            dir: dir.to_owned(),
            example: example.display().to_string(),
        });
    }
    match (mode & STICKY != 0, is_home(dir)) {
        (true, _) => Err(common()),
        (false, true) => Ok(Ownership::Among),
        (false, false) => Ok(Ownership::Own),
    }
}

/// What is no beginning of a data directory: a log without a lock, or a lock that holds something.
fn not_first<'a>(dir: &Path, names: &'a [OsString]) -> Option<&'a OsString> {
    let lock = fs::symlink_metadata(dir.join("lock"));
    let is_begun = lock.is_ok_and(|lock| lock.is_file() && lock.len() == 0);
    names.iter().find(|name| {
        let name = name.to_string_lossy();
        !(name.starts_with(private::PARTIAL) || is_begun && FIRST.contains(&&*name))
    })
}

fn is_home(dir: &Path) -> bool {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    home.is_some() && home == fs::canonicalize(dir).ok()
}

/// Takes from other users whatever they may do with the data directory, and says so where that
/// was anything. What Pods keep in their working folders has the modes that they gave it.
pub fn close(dir: &Path, standing: Ownership) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable {
        dir: dir.to_owned(),
        source,
    };
    let had_a_store = dir.join(STORE).is_file();
    let mut was_open = false;
    if standing == Ownership::Own {
        // A link to the folder is followed: it is the folder that is ours.
        let dir = fs::canonicalize(dir).map_err(unusable)?;
        was_open |= private::close(&dir).map_err(unusable)?;
    }
    let is_entered = |path: &Path| !is_working_folder(dir, path);
    for part in PARTS {
        was_open |= private::close_all(&dir.join(part), &is_entered).map_err(unusable)?;
    }
    if was_open && had_a_store {
        tracing::warn!(
            "the data directory {} was open to other users of this machine, who may have read Secrets and the token in it; now it is its owner's alone",
            dir.display()
        );
    }
    let mode = fs::metadata(dir).map_err(unusable)?.permissions().mode();
    if standing == Ownership::Among && mode & 0o077 != 0 {
        tracing::warn!(
            "{} holds other things too, and other users may look into it: only the cluster's own parts of it are closed to them; give it a folder of its own with --data-dir",
            dir.display()
        );
    }
    Ok(())
}

/// `node/pods/UID/work/CONTAINER`.
fn is_working_folder(dir: &Path, path: &Path) -> bool {
    let mut parts = path
        .strip_prefix(dir.join("node/pods"))
        .into_iter()
        .flat_map(Path::iter);
    parts.nth(1) == Some(OsStr::new("work")) && parts.count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(entries: &[(&str, &str)], mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in entries {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    #[test]
    fn a_folder_is_ours_by_the_store_and_by_nothing_else_in_it() {
        let store = (STORE, "");
        type Case<'a> = (&'a [(&'a str, &'a str)], u32, &'a str);
        let cases: &[Case<'_>] = &[
            (&[], 0o755, "Own"),
            (&[], 0o777, "Own"),
            (&[], 0o1777, "open to every user"),
            (&[("lock", "")], 0o755, "Own"),
            (&[("lock", ""), ("sluice.log", "x")], 0o755, "Own"),
            (&[("sluice.log", "x")], 0o755, "it holds sluice.log"),
            (&[("lock", "x")], 0o755, "it holds lock"),
            (&[("kubeconfig", "x")], 0o755, "it holds kubeconfig"),
            (
                &[("lock", ""), ("kubeconfig", "x")],
                0o755,
                "it holds kubeconfig",
            ),
            (&[("api/main.rs", "x")], 0o755, "it holds api"),
            (
                &[("lock", ""), (".profile", "x")],
                0o755,
                "it holds .profile",
            ),
            (&[store], 0o777, "Own"),
            (&[store, (".sluice-a1b2", "")], 0o755, "Own"),
            (&[store, ("ports.json.partial", "")], 0o755, "Own"),
            (&[store], 0o1777, "open to every user"),
            (&[store, ("notes", "")], 0o755, "Among"),
            (&[store, ("notes", "")], 0o777, "open to every user"),
        ];
        for (entries, mode, expected) in cases {
            let dir = folder(entries, *mode);
            let found = match examine(dir.path()) {
                Ok(standing) => format!("{standing:?}"),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expected), "{entries:?} {mode:o}: {found}");
        }
    }

    #[test]
    fn a_data_directory_is_closed_but_for_what_pods_made() {
        let work = "node/pods/1/work/main/mine";
        let secret = "node/pods/1/volumes/work/key";
        let dir = folder(
            &[(STORE, ""), (work, ""), (secret, ""), ("other/x", "")],
            0o755,
        );
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        for file in [STORE, work, secret, "other/x"] {
            fs::set_permissions(at(file), fs::Permissions::from_mode(0o644)).unwrap();
        }
        close(dir.path(), Ownership::Among).unwrap();
        assert_eq!(
            [mode(""), mode("other/x"), mode(work)],
            [0o755, 0o644, 0o644]
        );
        assert_eq!([mode("node"), mode("node/pods/1/work/main")], [0o700; 2]);
        assert_eq!([mode(STORE), mode(secret)], [0o600, 0o600]);
        fs::remove_dir_all(at("other")).unwrap();
        close(dir.path(), examine(dir.path()).unwrap()).unwrap();
        assert_eq!(mode(""), 0o700);
    }
}
