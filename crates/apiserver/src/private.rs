//! Files and folders that only their owner reads, from the first byte on and whatever the umask,
//! and that are written whole or not at all.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// What everybody but the owner may do.
const OTHERS: u32 = 0o077;
/// A file of which only a part was written when the process was killed is called so.
pub const PARTIAL: &str = ".sluice-";

/// Makes a folder, and those above it that are missing, for its owner alone. A folder that is
/// there stays as it is.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts a file with this content in the place of what is at `path`, and returns when it is on
/// disk.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    persist(partial(path, content)?, path)
}

/// Puts a file with this content in the place of what is at `path`, with the owner's part of
/// `mode`; it may be lost when the machine fails.
pub fn place(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let partial = partial(path, content)?;
    let mode = mode & 0o777 & !OTHERS;
    partial
        .as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    rename(partial, path)
}

/// Opens an empty file to write to and to read from; what was in it is gone.
pub fn create(path: &Path) -> io::Result<File> {
    let file = open(File::options().read(true).write(true).create(true), path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Opens a file as the options say. A new one is its owner's alone, and one that was there
/// becomes so.
pub fn open(options: &mut std::fs::OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(0o600).open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & OTHERS != 0 {
        file.set_permissions(Permissions::from_mode(mode & 0o7777 & !OTHERS))?;
    }
    Ok(file)
}

/// Takes from everybody but the owner what they may do with a file or a folder, and says whether
/// that was anything. Links and what is neither file nor folder are left, and so is what is not
/// there.
pub fn close(path: &Path) -> io::Result<bool> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let mode = found.permissions().mode();
    if mode & OTHERS == 0 || !(found.is_file() || found.is_dir()) {
        return Ok(false);
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS))?;
    Ok(true)
}

/// Closes a file, or a folder with everything in it but what is below the folders that are not to
/// be `entered`; says whether anything was open.
pub fn close_all(path: &Path, entered: &dyn Fn(&Path) -> bool) -> io::Result<bool> {
    let mut was_open = close(path)?;
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if is_folder && entered(path) {
        for entry in std::fs::read_dir(path)? {
            was_open |= close_all(&entry?.path(), entered)?;
        }
    }
    Ok(was_open)
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A file with this content beside `path`, which goes when it is dropped.
pub fn partial(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut partial = tempfile::Builder::new()
        .prefix(PARTIAL)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder_of(path))?;
    partial.write_all(content)?;
    Ok(partial)
}

/// Puts such a file in the place of what is at `path`, and returns when it is on disk.
pub fn persist(partial: NamedTempFile, path: &Path) -> io::Result<()> {
    partial.as_file().sync_all()?;
    rename(partial, path)?;
    File::open(folder_of(path))?.sync_all()
}

fn rename(partial: NamedTempFile, path: &Path) -> io::Result<()> {
    partial.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/er");
        make_folder(&folder).unwrap();
        assert_eq!([mode(&folder), mode(folder_of(&folder))], [0o700; 2]);
        for (name, asked, got) in [
            ("a", 0o644, 0o600),
            ("b", 0o755, 0o700),
            ("c", 0o440, 0o400),
        ] {
            // Twice: what cannot be written to is replaced all the same.
            for content in ["old", "new"] {
                place(&folder.join(name), content.as_bytes(), asked).unwrap();
                let text = std::fs::read_to_string(folder.join(name)).unwrap();
                assert_eq!((text.as_str(), mode(&folder.join(name))), (content, got));
            }
        }
        let log = folder.join("log");
        std::fs::write(&log, "old").unwrap();
        set_mode(&log, 0o666);
        create(&log).unwrap();
        assert_eq!(
            (std::fs::read_to_string(&log).unwrap().len(), mode(&log)),
            (0, 0o600)
        );
    }

    #[test]
    fn a_file_is_written_whole_or_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "theirs").unwrap();
        let file = dir.path().join("file");
        symlink(&other, &file).unwrap();
        write(&file, b"ours").unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
        assert_eq!(
            (
                std::fs::read_to_string(&file).unwrap().as_str(),
                mode(&file)
            ),
            ("ours", 0o600)
        );
        // A folder cannot be replaced by a file, and no part of one is left.
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        assert!(write(&folder, b"ours").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn closing_leaves_links_and_what_is_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["top/in", "top/out", "else"] {
            std::fs::create_dir_all(at(folder)).unwrap();
            set_mode(&at(folder), 0o755);
        }
        for file in ["top/in/a", "top/out/b", "else/c"] {
            std::fs::write(at(file), "").unwrap();
            set_mode(&at(file), 0o644);
        }
        set_mode(&at("top/in/a"), 0o755);
        symlink(at("else"), at("top/link")).unwrap();
        let closed = || close_all(&at("top"), &|path| !path.ends_with("out")).unwrap();
        assert!(closed());
        assert!(!closed(), "nothing is open any more");
        let modes = ["top", "top/in/a", "top/out", "top/out/b", "else", "else/c"];
        assert_eq!(
            modes.map(|name| mode(&at(name))),
            [0o700, 0o700, 0o700, 0o644, 0o755, 0o644]
        );
        assert!(!close_all(&at("nowhere"), &|_| true).unwrap());
    }
}
