//! Renders: turns what Git says into what is wanted of the cluster.
//!
//! Pure: manifests and a [`Destination`] in, [`Rendered`] objects and notes out. What is hashed, compared, applied and
//! shown is the rendered object and never the manifest: only [`render`] makes a [`RenderedObject`], and what comes after
//! it takes nothing else.
//!
//! Every object goes through the same stages, in [`render`]: what Git says (`manifest`), what changes it (none yet:
//! patches go there), what the Delivery may write (`place`), and what makes it fit to be applied (`finish`). So whatever
//! changes an object is before the checks and not behind them.

mod destination;
mod facts;
mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod note;
mod object;
mod place;
mod rendered;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::api::object::ObjectKey;
use crate::manifest::{Lines, Loaded, Manifest, Origin};

pub use crate::manifest::{Reference, field_words, references};
pub use destination::Destination;
pub use facts::{ClusterFacts, NoCluster};
pub use note::{Note, Remark, outside};
pub use object::RenderedObject;
pub use rendered::{Broken, Rendered};

use place::Place;

/// Works out what is wanted for each manifest.
///
/// ```
/// use std::sync::Arc;
///
/// use sluicegate_core::manifest;
/// use sluicegate_api::annotations::DeliveryId;
/// use sluicegate_core::render::{Destination, NoCluster, render};
///
/// let file = manifest::File {
///     path: "apps/words.yaml".into(),
///     content: b"{apiVersion: v1, kind: ConfigMap, metadata: {name: words, uid: 0c0c}}".to_vec().into(),
///     id: [1; 20],
/// };
/// let loaded = Arc::new(manifest::load(&[file], &manifest::Options::default()));
/// let rendered = render(&loaded, Destination::new(DeliveryId::new("default", "shop")), &NoCluster);
/// let words = &rendered.objects()[0];
/// assert_eq!(words.value()["metadata"].to_string(), r#"{"name":"words","namespace":"default"}"#);
/// assert_eq!(words.origin().to_string(), "apps/words.yaml:1");
/// ```
pub fn render<C: ClusterFacts + ?Sized>(
    loaded: &Arc<Loaded>,
    to: Destination,
    cluster: &C,
) -> Rendered {
    let place = Place::new(&to, loaded, cluster);
    let mut stages = Stages {
        place,
        cluster,
        lines: Lines::default(),
        notes: Vec::new(),
    };
    let objects = loaded.objects.iter();
    let objects = objects
        .filter_map(|manifest| stages.one(manifest))
        .collect();
    let notes = stages.notes;
    Rendered::new(Arc::clone(loaded), to, objects, notes)
}

/// The stages that an object goes through.
struct Stages<'a, C: ?Sized> {
    place: Place<'a, C>,
    cluster: &'a C,
    lines: Lines,
    notes: Vec<Note>,
}

impl<C: ClusterFacts + ?Sized> Stages<'_, C> {
    /// What is wanted for one manifest; `None` where it is nothing.
    fn one(&mut self, manifest: &Arc<Manifest>) -> Option<RenderedObject> {
        let mut value = manifest.value.value();
        let (key, refused) = self.place.of(manifest);
        if let Some(remark) = refused {
            self.note(manifest, &key, remark);
            return None;
        }
        for remark in finish::finish(&mut value, &key, self.cluster) {
            self.note(manifest, &key, remark);
        }
        Some(RenderedObject::new(key, value, Arc::clone(manifest)))
    }

    fn note(&mut self, manifest: &Manifest, key: &ObjectKey, remark: Remark) {
        let path = remark.path(key);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let line = self.lines.of(manifest, &path);
        self.notes.push(Note {
            origin: Origin {
                line: line.unwrap_or(manifest.origin.line),
                ..manifest.origin.clone()
            },
            object: key.clone(),
            field: field_words(&path),
            remark,
        });
    }
}
