//! Everything that rendering made of what Git says.

use std::sync::Arc;

use crate::api::delivery::Problem;
use crate::api::object::ObjectKey;
use crate::manifest::{Loaded, ManifestError, Notice, Reference};

use super::destination::Destination;
use super::note::Note;
use super::object::RenderedObject;

/// What a Delivery wants, and what of Git is not part of it. Made by [`super::render`] alone.
#[derive(Clone, Debug)]
pub struct Rendered {
    loaded: Arc<Loaded>,
    to: Destination,
    pub(super) objects: Vec<RenderedObject>,
    notes: Vec<Note>,
}

/// A file that cannot be read, or a manifest in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub origin: String,
    /// The objects that are known to be in it.
    pub keys: Vec<ObjectKey>,
    /// Whether those are all; where not, any object of the inventory might be in it.
    pub complete: bool,
}

impl Rendered {
    pub(super) fn new(
        loaded: Arc<Loaded>,
        to: Destination,
        objects: Vec<RenderedObject>,
        notes: Vec<Note>,
    ) -> Self {
        Self {
            loaded,
            to,
            objects,
            notes,
        }
    }

    /// Where it goes.
    pub fn to(&self) -> &Destination {
        &self.to
    }

    /// The objects that are wanted, in the order of Git's files.
    pub fn objects(&self) -> &[RenderedObject] {
        &self.objects
    }

    /// What was left out or refused.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What cannot be read.
    pub fn errors(&self) -> &[ManifestError] {
        &self.loaded.errors
    }

    /// What a person should know of the files.
    pub fn notices(&self) -> &[Notice] {
        &self.loaded.notices
    }

    /// Whether Git has no object at all, which is more likely an accident than a wish.
    pub fn is_of_nothing(&self) -> bool {
        self.loaded.objects.is_empty()
    }

    /// What cannot be read, so that no plan takes it for deleted.
    pub fn broken(&self) -> Vec<Broken> {
        let errors = self.errors().iter().filter(|error| !error.keeps_object);
        errors
            .map(|error| Broken {
                origin: error.origin.to_string(),
                keys: error.identity.iter().cloned().collect(),
                complete: !error.poisons_prune,
            })
            .collect()
    }

    /// What is wrong with objects that name a Service which is not there, each with its line.
    pub fn dangling<'a>(
        &self,
        found: impl Iterator<Item = (&'a ObjectKey, &'a Reference)>,
    ) -> Vec<ManifestError> {
        let of = |(key, reference): (&ObjectKey, &Reference)| {
            let object = self.objects.iter().find(|object| object.key() == key)?;
            Some(object.dangling(reference))
        };
        found.filter_map(of).collect()
    }

    /// What cannot be read, for people. What rendering refused is in the plan's report.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.errors().iter().map(ManifestError::problem)
    }
}
