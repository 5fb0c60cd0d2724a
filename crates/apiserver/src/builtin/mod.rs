//! Holds the schemas of Kubernetes' own kinds, and the defaults that the API server fills in
//! where a client leaves something out.
//!
//! Kubernetes' own kinds come from the published types, with the merge keys that
//! Kubernetes publishes beside them (`marks`). Each schema is built when it is first
//! asked for, and kept.

pub mod decode;
mod defaults;
mod kinds;
mod merge_keys;
mod pointers;

pub use defaults::default;
pub use kinds::{definitions, schema};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_built_in_kind_has_a_schema_that_takes_its_own_bare_object() {
        for (group, version, kind) in kinds::ALL {
            let schema = schema(group, version, kind).unwrap();
            let mut object = json!({
                "apiVersion": format!("{group}/{version}"), "kind": kind,
                "metadata": {"name": "x", "labels": {"a": "b"},
                    "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
            });
            let before = object.clone();
            assert_eq!(schema.prune(&mut object), Vec::<String>::new(), "{kind}");
            assert_eq!(object, before, "{kind}");
            assert!(schema.to_openapi()["x-kubernetes-group-version-kind"].is_array());
        }
    }

    #[test]
    fn an_unknown_field_deep_in_a_pod_template_is_found_and_pruned() {
        let schema = schema("apps", "v1", "Deployment").unwrap();
        let mut object = json!({"spec": {"replicaz": 1, "template": {"spec": {
            "containers": [{"name": "a", "image": "b", "imagee": "c", "resources": {"limits": {"cpu": 1}}}],
        }}}});
        assert_eq!(
            schema.prune(&mut object),
            ["spec.replicaz", "spec.template.spec.containers[0].imagee"]
        );
    }

    #[test]
    fn a_wrong_type_and_a_missing_field_are_told_as_kubernetes_tells_them() {
        let schema = schema("apps", "v1", "Deployment").unwrap();
        let object = json!({"spec": {"replicas": "two", "selector": {}, "template": {}}});
        let errors: Vec<String> = schema
            .validate(&object, None)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            errors,
            [
                "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\""
            ]
        );
    }

    #[test]
    fn a_crd_takes_any_default_and_a_schema_or_a_boolean() {
        let schema = schema("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        let mut object = json!({"spec": {
            "group": "g", "scope": "Namespaced", "names": {"kind": "K", "plural": "ks"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {
                    "a": {"type": "integer", "default": 3},
                    "m": {"type": "object", "additionalProperties": true},
                    "n": {"type": "object", "additionalProperties": {"type": "string"}},
                }}}}],
        }});
        let before = object.clone();
        assert!(schema.prune(&mut object).is_empty());
        assert_eq!(object, before);
        assert!(
            schema.validate(&object, None).is_empty(),
            "{:?}",
            schema.validate(&object, None)
        );
    }
}
