//! Manifests of a folder on this machine, read as if they were committed.

use std::path::Path;
use std::sync::Arc;

use crate::api::object::ObjectKey;
use crate::api::{GROUP, serving};
use crate::git;
use crate::manifest::{self, File, Loaded, Loader, Manifest, Notice, Options, Origin};
use crate::plan::annotations;
use crate::presets::PRESETS;

/// Reads a folder or a file.
pub fn load(path: &Path, options: &Options) -> std::io::Result<Loaded> {
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
    let mut loaded = Arc::unwrap_or_clone(Loader::default().load(&files, &unreadable, options));
    let unknown = loaded
        .objects
        .iter()
        .filter_map(|m| policy_elsewhere(m, &loaded));
    let unknown: Vec<Notice> = unknown.collect();
    loaded.notices.extend(unknown);
    Ok(loaded)
}

/// What is to be known of a Service whose policy is neither a preset nor in the folder: only the cluster can have it.
fn policy_elsewhere(manifest: &Manifest, loaded: &Loaded) -> Option<Notice> {
    let key = &manifest.key;
    if key.group != serving::GROUP || key.kind != "Service" {
        return None;
    }
    let value = manifest.value.value();
    let policy = annotations::annotation(&value, annotations::POLICY)?;
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let wanted = ObjectKey::namespaced(GROUP, "RolloutPolicy", namespace, policy);
    let is_here = loaded.objects.iter().any(|other| other.key == wanted);
    if is_here || PRESETS.names().any(|preset| preset == policy) {
        return None;
    }
    let line = manifest.line_of(&["metadata", "annotations", annotations::POLICY]);
    let presets: Vec<&str> = PRESETS.names().collect();
    Some(Notice {
        origin: Origin {
            line: line.unwrap_or(manifest.origin.line),
            ..manifest.origin.clone()
        },
        identity: Some(key.clone()),
        message: format!(
            "{}: no RolloutPolicy {policy} in this folder, and no preset ({}): nothing is released before there is one in namespace {namespace}",
            annotations::POLICY,
            presets.join(", ")
        ),
    })
}
