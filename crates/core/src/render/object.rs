//! An object as it is wanted.

use std::sync::Arc;

use serde_json::Value;

use crate::api::delivery::Expand;
use crate::api::object::ObjectKey;
use crate::manifest::{self, Manifest, ManifestError, Origin, Reference};

/// An object as it is wanted: rendered from a manifest, and the only form of it that is hashed, compared, applied or
/// shown. Made by [`super::render`] alone.
#[derive(Clone, Debug)]
pub struct RenderedObject {
    key: ObjectKey,
    value: Value,
    manifest: Arc<Manifest>,
}

impl RenderedObject {
    pub(super) fn new(key: ObjectKey, value: Value, manifest: Arc<Manifest>) -> Self {
        Self {
            key,
            value,
            manifest,
        }
    }

    #[cfg(test)]
    pub(super) fn change(&mut self, change: impl Fn(&mut Value)) {
        change(&mut self.value);
    }

    /// Which object, in the namespace that it goes to.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where it begins in Git.
    pub fn origin(&self) -> &Origin {
        &self.manifest.origin
    }

    /// Where a field of it stands in Git; the object itself where the field is not in the file.
    ///
    /// The file is parsed again: this is for messages, not for loops.
    pub fn origin_of(&self, path: &[&str]) -> Origin {
        let line = self.manifest.line_of(path);
        Origin {
            line: line.unwrap_or(self.manifest.origin.line),
            ..self.manifest.origin.clone()
        }
    }

    /// What is wrong with it where it names a Service that is not there.
    pub fn dangling(&self, reference: &Reference) -> ManifestError {
        let mut error = manifest::dangling(&self.manifest, reference);
        error.identity = Some(self.key.clone());
        error
    }

    /// Why the traffic block of a Service cannot be used in the form that it is delivered in, if it cannot; with the
    /// part that is wrong in any form first.
    pub fn traffic_problem(&self, form: Expand) -> Option<String> {
        let block = self.value.pointer("/spec/traffic")?;
        self.traffic_problem_in_any_form().or_else(|| match form {
            Expand::Routes => None,
            Expand::Service => manifest::traffic_problem_in_service(block),
        })
    }

    /// Why the traffic block of a Service can be used in no form, if it cannot.
    pub fn traffic_problem_in_any_form(&self) -> Option<String> {
        let block = self.value.pointer("/spec/traffic")?;
        manifest::traffic_problem(block, &self.key.name)
    }
}
