//! What was read from Git, in the words of plans and of status.

use crate::api::delivery::Problem;
use crate::cluster::StepOutcome;
use crate::manifest::Loaded;
use crate::plan::{Broken, ManifestRef, Plan};

/// Where each manifest stands, in their order.
pub fn origins(loaded: &Loaded) -> Vec<String> {
    loaded
        .objects
        .iter()
        .map(|manifest| manifest.origin.to_string())
        .collect()
}

/// The manifests as a plan takes them; `origins` are [`origins`]'.
pub fn manifests<'a>(loaded: &'a Loaded, origins: &'a [String]) -> Vec<ManifestRef<'a>> {
    let both = loaded.objects.iter().zip(origins);
    both.map(|(manifest, origin)| ManifestRef {
        value: &manifest.value,
        origin,
    })
    .collect()
}

/// What cannot be read, so that no plan takes it for deleted.
pub fn broken(loaded: &Loaded) -> Vec<Broken> {
    let one = |error: &crate::manifest::ManifestError| Broken {
        origin: error.origin.to_string(),
        keys: error.identity.iter().cloned().collect(),
        complete: !error.poisons_prune,
    };
    loaded.errors.iter().map(one).collect()
}

/// What cannot be read, for people.
pub fn problems(loaded: &Loaded) -> impl Iterator<Item = Problem> {
    loaded.errors.iter().map(|error| Problem {
        object: error.identity.clone(),
        origin: Some(format!("{}:{}", error.origin, error.column)),
        message: error.sentence(),
    })
}

/// What a plan leaves alone and a person should mend.
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

/// Why a step of a plan was not carried out.
pub fn failure(outcome: &StepOutcome) -> Option<Problem> {
    let error = outcome.result.as_ref().err()?;
    let message = error.to_string();
    Some(Problem {
        object: Some(outcome.key.clone()),
        origin: None,
        message,
    })
}
