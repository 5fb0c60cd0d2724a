//! Manifests as a plan takes them, and what they and the plan leave for a person to mend.

use super::{Broken, LeftAlone, ManifestRef, Plan, Why};
use crate::api::delivery::Problem;
use crate::manifest::{self, Loaded, Manifest, ManifestError};

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

/// Returns what is wrong with manifests, for people.
pub fn problems(errors: &[ManifestError]) -> impl Iterator<Item = Problem> {
    errors.iter().map(|error| Problem {
        object: error.identity.clone(),
        origin: Some(format!("{}:{}", error.origin, error.column)),
        message: error.sentence(),
    })
}

/// Returns what a plan leaves alone and a person should mend, but for what [`dangling`] returns.
pub fn left(plan: &Plan) -> impl Iterator<Item = Problem> {
    plan.left
        .iter()
        .filter(|left| left.why.is_problem() && !matches!(left.why, Why::Dangling(_)))
        .map(|left| Problem {
            object: left.object.clone(),
            origin: left.origin.clone(),
            message: left.why.to_string(),
        })
}

/// Returns the objects that name a Service which is delivered as a Configuration and a Route, each with its line.
pub fn dangling(loaded: &Loaded, plan: &Plan) -> Vec<ManifestError> {
    let origin = |manifest: &Manifest| manifest.origin.to_string();
    let of = |left: &LeftAlone| {
        let Why::Dangling(reference) = &left.why else {
            return None;
        };
        let mut manifests = loaded.objects.iter();
        let manifest = manifests.find(|m| Some(origin(m)) == left.origin)?;
        Some(manifest::dangling(manifest, reference))
    };
    plan.left.iter().filter_map(of).collect()
}
