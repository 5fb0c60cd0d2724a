//! What is written where Git only spells a template otherwise.

use serde_json::json;

use super::*;

#[test]
fn a_template_is_written_as_the_cluster_has_it_and_only_what_is_git_s_or_ours() {
    let live = LiveObject::new(json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", "managedFields": [
            {"manager": "sluice", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {
                "f:metadata": {"f:annotations": {"f:sluice.dev/attempt": {}}},
                "f:spec": {"f:containers": {}, "f:containerConcurrency": {}}}}}},
            {"manager": "kn", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {
                "f:metadata": {"f:annotations": {"f:client.knative.dev/user-image": {}}}}}}}]},
        "spec": {"template": {
            "metadata": {"creationTimestamp": null, "annotations": {"sluice.dev/attempt": "1",
                "client.knative.dev/user-image": "a"}},
            "spec": {"containerConcurrency": 0, "timeoutSeconds": 300, "enableServiceLinks": false,
                "containers": [{"image": "a", "name": "user-container", "resources": {"limits": {"cpu": "1"}},
                    "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}}}]}}}}))
    .unwrap();
    let git = json!({"metadata": {"creationTimestamp": null, "labels": {}}, "spec": {"timeoutSeconds": 0,
        "containers": [{"image": "a", "resources": {"limits": {"cpu": "1000m"}}, "env": []}]}});
    assert_eq!(
        as_in(&git, &live),
        json!({"metadata": {"annotations": {"sluice.dev/attempt": "1"}},
            "spec": {"containerConcurrency": 0, "timeoutSeconds": 300,
                "containers": [{"image": "a", "name": "user-container", "resources": {"limits": {"cpu": "1"}},
                    "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}}}]}})
    );
}
