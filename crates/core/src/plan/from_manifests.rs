//! Manifests as a plan takes them, and what they and the plan leave for a person to mend.

use super::{Broken, ManifestRef, Plan};
use crate::api::delivery::Problem;
use crate::manifest::{Loaded, ManifestError};

/// Returns where each manifest stands (`FILE:LINE`), in their order.
pub fn origins(loaded: &Loaded) -> Vec<String> {
    loaded
        .objects
        .iter()
        .map(|manifest| manifest.origin.to_string())
        .collect()
}

/// Returns the manifests as a plan takes them; `origins` are those of [`origins`].
pub fn manifests<'a>(loaded: &'a Loaded, origins: &'a [String]) -> Vec<ManifestRef<'a>> {
    let both = loaded.objects.iter().zip(origins);
    both.map(|(manifest, origin)| ManifestRef {
        value: &manifest.value,
        origin,
    })
    .collect()
}

/// Returns what cannot be read, so that no plan takes it for deleted.
pub fn broken(loaded: &Loaded) -> Vec<Broken> {
    let one = |error: &ManifestError| Broken {
        origin: error.origin.to_string(),
        keys: error.identity.iter().cloned().collect(),
        complete: !error.poisons_prune,
    };
    let errors = loaded.errors.iter().filter(|error| !error.keeps_object);
    errors.map(one).collect()
}

/// Returns what cannot be read, for people.
pub fn problems(loaded: &Loaded) -> impl Iterator<Item = Problem> {
    loaded.errors.iter().map(|error| Problem {
        object: error.identity.clone(),
        origin: Some(format!("{}:{}", error.origin, error.column)),
        message: error.sentence(),
    })
}

/// Returns what a plan leaves alone and a person should mend.
pub fn left(plan: &Plan) -> impl Iterator<Item = Problem> {
    plan.left
        .iter()
        .filter(|left| left.why.is_problem())
        .map(|left| Problem {
            object: left.object.clone(),
            origin: left.origin.clone(),
            message: left.why.to_string(),
        })
}
