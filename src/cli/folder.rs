//! Manifests of a folder on this machine, read as if they were committed.

use std::path::Path;
use std::sync::Arc;

use crate::api::object::ObjectKey;
use crate::api::{GROUP, serving};
use crate::git;
use crate::manifest::{self, File, Loaded, Loader, Notice, Options};
use crate::plan::annotations;
use crate::presets::PRESETS;
use crate::render::{Rendered, RenderedObject};

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

/// What is to be known of the folder: of its files, and of what they are rendered to.
pub fn notices(rendered: &Rendered) -> Vec<Notice> {
    let objects = rendered.objects().iter();
    let unknown = objects.filter_map(|object| policy_elsewhere(object, rendered));
    rendered.notices().iter().cloned().chain(unknown).collect()
}

/// What is to be known of a Service whose policy is neither a preset nor in the folder: only the cluster can have it.
fn policy_elsewhere(object: &RenderedObject, rendered: &Rendered) -> Option<Notice> {
    let key = object.key();
    if key.group != serving::GROUP || key.kind != "Service" {
        return None;
    }
    let policy = annotations::annotation(object.value(), annotations::POLICY)?;
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let wanted = ObjectKey::namespaced(GROUP, "RolloutPolicy", namespace, policy);
    let is_here = rendered
        .objects()
        .iter()
        .any(|other| *other.key() == wanted);
    if is_here || PRESETS.names().any(|preset| preset == policy) {
        return None;
    }
    let presets: Vec<&str> = PRESETS.names().collect();
    Some(Notice {
        origin: object.origin_of(&["metadata", "annotations", annotations::POLICY]),
        identity: Some(key.clone()),
        message: format!(
            "{}: no RolloutPolicy {policy} in this folder, and no preset ({}): nothing is released before there is one in namespace {namespace}",
            annotations::POLICY,
            presets.join(", ")
        ),
    })
}
