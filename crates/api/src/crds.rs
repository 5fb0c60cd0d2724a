//! The CustomResourceDefinitions of Sluice's own kinds, generated from their types.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt;

use super::delivery::Delivery;
use super::rollout::ServiceRollout;
use super::rollout_policy::RolloutPolicy;

/// The version of these definitions. It rises with every change of theirs: an agent puts none over one of a higher
/// version, whose fields the API server would drop then.
pub const DEFINITIONS_VERSION: u32 = 4;

/// The annotation of a definition that has this version.
pub const VERSION_ANNOTATION: &str = "sluice.dev/definitions-version";

/// Every definition that the agent needs in a cluster.
pub fn all() -> Vec<CustomResourceDefinition> {
    let definitions = [Delivery::crd(), RolloutPolicy::crd(), ServiceRollout::crd()];
    definitions.into_iter().map(versioned).collect()
}

fn versioned(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    definition
        .metadata
        .annotations
        .get_or_insert_with(BTreeMap::new)
        .insert(
            VERSION_ANNOTATION.to_owned(),
            DEFINITIONS_VERSION.to_string(),
        );
    definition
}
