//! What is said to whoever writes metadata that could be better.
//!
//! Source: `k8s.io/apiextensions-apiserver/pkg/registry/customresource`.

use serde_json::Value;

use super::rules::STANDARD_FINALIZERS;
use crate::json::object;
use crate::model::names;
use crate::model::resource::Resource;

/// What is said of the new finalizers of a custom object; for Kubernetes' own kinds it is an error.
pub fn finalizer_warnings(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
    if resource.is_kubernetes_own() {
        return Vec::new();
    }
    let before = old.map(object::finalizers).unwrap_or_default();
    let mut new: Vec<&str> = object::finalizers(object)
        .into_iter()
        .filter(|finalizer| !before.contains(finalizer))
        .collect();
    new.sort_unstable();
    new.dedup();
    new.into_iter().flat_map(warnings).collect()
}

fn warnings(finalizer: &str) -> Vec<String> {
    let mut all = names::qualified(finalizer);
    if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
        let with_path = if finalizer.contains('.') {
            " including a path (/)"
        } else {
            ""
        };
        all.push(format!(
            "prefer a domain-qualified finalizer name{with_path} to avoid accidental conflicts with other finalizer writers"
        ));
    }
    all.iter()
        .map(|why| format!("metadata.finalizers: {finalizer:?}: {why}"))
        .collect()
}
