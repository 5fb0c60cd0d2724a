//! At which line of its file a field stands.

use std::collections::HashMap;
use std::sync::Arc;

use super::loader;
use super::node::Node;
use super::object::Manifest;

/// Looks lines up, and reads each file once.
#[derive(Debug, Default)]
pub struct Lines(HashMap<Arc<str>, Vec<Node>>);

impl Lines {
    /// The line of a field, such as `["spec", "template", "spec", "containers", "0"]`; of the nearest field above it
    /// where it is not in the file.
    pub fn of(&mut self, manifest: &Manifest, path: &[&str]) -> Option<u32> {
        let file = &manifest.origin.file;
        let read = || loader::objects_in(file, &manifest.content);
        let objects = self.0.entry(Arc::clone(file)).or_insert_with(read);
        let node = objects.get(manifest.index)?;
        (0..=path.len())
            .rev()
            .find_map(|length| node.find(path.get(..length)?))
            .map(|(at, _)| at.line)
    }
}
