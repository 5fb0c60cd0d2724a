//! Kinds that come with a commit, or with the agent itself.

use serde_json::{Value, json};
use sluice::api::object::ObjectKey;
use sluice::plan::Manager;

use super::bed::bed;

#[tokio::test]
async fn a_definition_and_its_objects_come_in_one_commit() {
    let mut bed = bed().await;
    let git = [
        json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "bear"}, "spec": {"size": 3}}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "toys.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Toy", "plural": "toys", "singular": "toy", "listKind": "ToyList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": {"type": "object", "properties":
                    {"size": {"type": "integer"}}}}}}}]}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "attic"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "attic"}}),
    ];
    let outcomes = bed.deliver(&git).await;
    assert_eq!(outcomes.len(), 4);
    assert!(
        outcomes.iter().all(|outcome| outcome.result.is_ok()),
        "{outcomes:?}"
    );
    bed.cluster
        .watch("example.com/v1", "Toy", None)
        .await
        .unwrap();
    bed.cluster
        .watch("apiextensions.k8s.io/v1", "CustomResourceDefinition", None)
        .await
        .unwrap();
    let plan = bed.plan(&git);
    assert!(plan.is_empty(), "{plan}");
    bed.end().await;
}

#[tokio::test]
async fn our_own_kinds_are_installed_and_their_status_is_ours_alone() {
    let bed = bed().await;
    let mut definitions = Vec::new();
    for definition in sluice::api::crds::all() {
        let applied = bed
            .cluster
            .apply(&json!(definition), Manager::Objects)
            .await
            .unwrap();
        definitions.push(applied.live.key.clone());
    }
    bed.cluster.await_served(&definitions).await.unwrap();
    bed.cluster
        .watch("sluice.dev/v1alpha1", "ServiceRollout", None)
        .await
        .unwrap();
    let rollout = |fields: Value| {
        let mut object = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ServiceRollout",
            "metadata": {"name": "hello", "namespace": "default"}});
        object
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        object
    };
    bed.cluster
        .apply(
            &rollout(json!({"spec": {"paused": true}})),
            Manager::Objects,
        )
        .await
        .unwrap();
    let status = rollout(json!({"status": {"phase": "Stable", "weight": 0, "failures": 0}}));
    bed.cluster.apply_status(&status).await.unwrap();
    let key = ObjectKey::namespaced("sluice.dev", "ServiceRollout", "default", "hello");
    let live = bed.cluster.get(&key).unwrap();
    assert_eq!(live.value()["status"]["phase"], "Stable");
    assert_eq!(live.value()["spec"]["paused"], true);
    let version = live.resource_version.clone();
    bed.cluster.apply_status(&status).await.unwrap();
    assert_eq!(
        bed.cluster.get(&key).unwrap().resource_version,
        version,
        "nothing changed"
    );
    bed.end().await;
}

#[tokio::test]
async fn a_status_that_an_older_definition_does_not_know_says_what_to_apply() {
    let bed = bed().await;
    let mut definitions = Vec::new();
    for definition in sluice::api::crds::all() {
        let mut definition = json!(definition);
        // As a release left it that knew one phase; only a ServiceRollout has such a field. (A field that it did not
        // know is kept by any definition.)
        let phase = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/phase";
        if let Some(phase) = definition.pointer_mut(phase) {
            *phase = json!({"type": "string", "enum": ["Pending"]});
        }
        let applied = bed
            .cluster
            .apply(&definition, Manager::Objects)
            .await
            .unwrap();
        definitions.push(applied.live.key.clone());
    }
    bed.cluster.await_served(&definitions).await.unwrap();
    let rollout = |part: &str, value: Value| {
        json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ServiceRollout",
            "metadata": {"name": "hello", "namespace": "default"}, part: value})
    };
    let object = rollout("spec", json!({}));
    bed.cluster.apply(&object, Manager::Objects).await.unwrap();
    let status = rollout("status", json!({"phase": "Stable", "weight": 5}));
    let error = bed
        .cluster
        .apply_status(&status)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("status.phase"), "{error}");
    assert!(
        error.contains("apply --server-side -f deploy/crds.yaml"),
        "{error}"
    );
    bed.end().await;
}
