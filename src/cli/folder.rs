//! Manifests of a folder on this machine, read as if they were committed.

use std::path::Path;
use std::sync::Arc;

use crate::git;
use crate::manifest::{self, File, Loaded, Loader, Options};

/// Reads a folder or a file.
pub fn load(path: &Path, options: &Options) -> std::io::Result<Arc<Loaded>> {
    let folder = git::read_folder(path, manifest::is_manifest_file)?;
    let files: Vec<File> = folder
        .files
        .iter()
        .map(|file| File {
            path: file.path.clone(),
            content: file.content.clone(),
            id: file.blob.bytes(),
        })
        .collect();
    let unreadable: Vec<(String, String)> = folder
        .refused
        .iter()
        .map(|refused| (refused.path.clone(), refused.reason.clone()))
        .collect();
    Ok(Loader::default().load(&files, &unreadable, options))
}
