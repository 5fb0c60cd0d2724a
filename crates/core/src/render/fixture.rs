//! What tests render: a repository of objects, each in a file of its own.

use std::sync::Arc;

use serde_json::Value;

use crate::api::annotations::DeliveryId;
use crate::api::object::ObjectKey;
use crate::manifest::{self, File, Loaded};

pub(crate) use crate::manifest::ManifestError;

use super::{Destination, Rendered};

/// The Delivery that the tests speak of.
pub(crate) fn shop() -> Destination {
    Destination::new(DeliveryId::new("default", "shop"))
}

/// A repository: the first object is in `apps/0.yaml`, and so on.
pub(crate) fn repository(git: &[Value]) -> Arc<Loaded> {
    broken_repository(git, &[])
}

/// A repository of which a part cannot be read.
pub(crate) fn broken_repository(git: &[Value], broken: &[ManifestError]) -> Arc<Loaded> {
    let files = git.iter().map(|object| object.to_string().into_bytes());
    let files = files.enumerate().map(|(n, content)| File {
        path: format!("apps/{n}.yaml").into(),
        content: content.into(),
        id: [u8::try_from(n).unwrap_or_default(); 20],
    });
    let files: Vec<File> = files.collect();
    let mut loaded = manifest::load(&files, &manifest::Options::default());
    loaded.errors.extend(broken.iter().cloned());
    Arc::new(loaded)
}

/// A manifest that cannot be read, in a file of its own; of an object that is known, or of any.
pub(crate) fn broken(file: &str, object: Option<ObjectKey>) -> ManifestError {
    let mut error = ManifestError::unreadable(file, "it is broken");
    error.poisons_prune = object.is_none();
    error.identity = object;
    error
}

impl Rendered {
    /// What a stage that changes objects would have made of it.
    pub(crate) fn changed(mut self, change: impl Fn(&mut Value)) -> Self {
        for object in &mut self.objects {
            object.change(&change);
        }
        self
    }
}
