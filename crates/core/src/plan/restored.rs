//! The template that a Revision was made from, as far as the Revision still shows it.

use serde_json::{Map, Value, json};

use crate::api::min_scale;

/// What Knative itself writes on a Revision.
const KNATIVE_S: &str = "serving.knative.dev/";

/// The template of a Revision. Named, Knative takes the Revision for the template's own and makes no other; without
/// a name it makes a twin, which is the way where the cluster's defaults have changed since.
pub fn restored_template(revision: &Value, named: bool) -> Value {
    let mut metadata = Map::new();
    if named && let Some(name) = revision.pointer("/metadata/name") {
        metadata.insert("name".to_owned(), name.clone());
    }
    for part in ["labels", "annotations"] {
        let found = revision
            .pointer(&format!("/metadata/{part}"))
            .and_then(Value::as_object)
            .map(min_scale::without_raised);
        let kept: Map<String, Value> = found
            .into_iter()
            .flatten()
            .filter(|(name, _)| !name.starts_with(KNATIVE_S))
            .collect();
        if !kept.is_empty() {
            metadata.insert(part.to_owned(), kept.into());
        }
    }
    let spec = revision.get("spec").cloned().unwrap_or_else(|| json!({}));
    json!({"metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_gives_back_its_template_without_what_knative_wrote_on_it() {
        let revision = json!({"metadata": {
            "name": "hello-00001", "namespace": "default", "uid": "u", "generation": 1,
            "labels": {"app": "hello", "serving.knative.dev/configuration": "hello"},
            "annotations": {"autoscaling.knative.dev/min-scale": "1", "serving.knative.dev/routes": "hello"}},
            "spec": {"containers": [{"image": "a"}]}, "status": {}});
        assert_eq!(
            restored_template(&revision, true),
            json!({"metadata": {"name": "hello-00001", "labels": {"app": "hello"},
                "annotations": {"autoscaling.knative.dev/min-scale": "1"}}, "spec": {"containers": [{"image": "a"}]}})
        );
        assert_eq!(
            restored_template(&revision, false)["metadata"].get("name"),
            None
        );
        // Kept warm, it gives back what its template said.
        let mut warm = revision.clone();
        warm["metadata"]["annotations"][min_scale::MIN_SCALE] = "3".into();
        warm["metadata"]["annotations"][min_scale::RAISED] = "1/3".into();
        assert_eq!(
            restored_template(&warm, true),
            restored_template(&revision, true)
        );
    }
}
