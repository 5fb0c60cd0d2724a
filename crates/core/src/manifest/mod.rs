//! Reads files into Kubernetes objects, each with its file and line; errors point at the line.
//!
//! Pure: files in, objects and errors out; no Git, no cluster, no clock. One broken
//! manifest costs its own object and nothing else, and is never taken for a deleted one
//! ([`Loaded::broken`], [`Loaded::may_prune`]). YAML means what it means to kubectl
//! (`scalar`); folders made for Kustomize or Helm are named and left alone.

mod annotations;
mod error;
mod excerpt;
mod guess;
mod identity;
mod ignored;
mod json;
mod known;
mod lines;
mod loader;
mod names;
mod node;
mod object;
mod private;
mod references;
mod scalar;
mod schema;
pub(crate) mod server_fields;
mod traffic;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use crate::api::scope::Scope;
pub use error::{ManifestError, Notice, Origin};
pub use excerpt::Excerpt;
pub use ignored::{IGNORE_FILE, is_manifest_file};
pub use lines::Lines;
pub use loader::{Loaded, Loader, Options, load};
pub use object::Manifest;
pub use references::{Reference, dangling, references, words as field_words};
pub use traffic::{problem as traffic_problem, problem_in_service as traffic_problem_in_service};

/// A file of a snapshot.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the repository's root, with slashes.
    pub path: Arc<str>,
    /// The content.
    pub content: Arc<[u8]>,
    /// Names the content: equal ids promise equal content (Git's blob id).
    pub id: [u8; 20],
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.path == other.path
    }
}

impl Eq for File {}

impl Hash for File {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
        self.id.hash(state);
    }
}
