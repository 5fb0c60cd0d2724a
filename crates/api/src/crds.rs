//! The CustomResourceDefinitions of Sluice's own kinds, generated from their types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt;

use super::delivery::Delivery;
use super::rollout::ServiceRollout;
use super::rollout_policy::RolloutPolicy;

/// Every definition that the agent needs in a cluster.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![Delivery::crd(), RolloutPolicy::crd(), ServiceRollout::crd()]
}
