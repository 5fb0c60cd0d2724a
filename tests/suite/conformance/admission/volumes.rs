//! What volumes look like, with the values that Knative's rules are about.

use serde_json::json;

use crate::conformance::shape::{Any, Shape, either};

/// A volume.
pub fn shape() -> Shape {
    either(
        75,
        Any(vec![
            json!({"name": "v1", "emptyDir": {}}),
            json!({"name": "v1", "configMap": {"name": "c"}}),
            json!({"name": "v2", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}}),
            json!({"name": "v2", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}}),
            json!({"name": "v2", "projected": {"sources": [
                {"configMap": {"name": "c"}},
                {"secret": {"name": "s", "items": [{"key": "k", "path": "p", "mode": 256}]}},
            ]}}),
            json!({"name": "v1", "projected": {"sources": [
                {"serviceAccountToken": {"path": "t", "audience": "x", "expirationSeconds": 600}},
                {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            ]}}),
            json!({"name": "v3", "configMap": {"name": "c", "defaultMode": 256, "optional": true}}),
        ]),
        Any(vec![
            json!({"name": "v1"}),
            json!({"name": "", "emptyDir": {}}),
            json!({"emptyDir": {}}),
            json!({"name": "Not.Good", "emptyDir": {}}),
            json!({"name": "v1", "emptyDir": {}, "configMap": {"name": "c"}}),
            json!({"name": "v1", "secret": {"secretName": "s"}, "projected": {}}),
            json!({"name": "v1", "emptyDir": {"medium": "Odd"}}),
            json!({"name": "v1", "emptyDir": {"medium": "", "sizeLimit": "-1"}}),
            json!({"name": "v1", "emptyDir": {"sizeLimit": "x"}}),
            json!({"name": "v1", "emptyDir": {"sizeLimit": 100}}),
            json!({"name": "v1", "emptyDir": {"sizeLimit": "-0.5"}}),
            json!({"name": "v1", "configMap": {}}),
            json!({"name": "v1", "configMap": {"items": [{"key": "", "path": "p"}]}}),
            json!({"name": "v1", "configMap": {"name": "c", "items": [{"key": "k"}, {"path": "p"}]}}),
            json!({"name": "v1", "configMap": {"name": "c", "items": []}}),
            json!({"name": "v1", "secret": {}}),
            json!({"name": "v1", "secret": {"secretName": "", "optional": false, "defaultMode": 0}}),
            json!({"name": "v1", "secret": {"items": [{}]}}),
            json!({"name": "v1", "projected": {}}),
            json!({"name": "v1", "projected": {"sources": []}}),
            json!({"name": "v1", "projected": {"sources": [{}]}}),
            json!({"name": "v1", "projected": {"defaultMode": 256, "sources": [{"secret": {}}, {"configMap": {"items": [{"key": "k"}]}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"secret": {"name": "s"}, "configMap": {"name": "c"}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"serviceAccountToken": {"path": ""}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"serviceAccountToken": {}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"downwardAPI": {}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"downwardAPI": {"items": [{"path": "n"}, {"fieldRef": {"fieldPath": "x"}}]}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"downwardAPI": {"items": [
                {"path": "", "fieldRef": {"fieldPath": "x"}, "resourceFieldRef": {"resource": "limits.cpu"}},
            ]}}]}}),
            json!({"name": "v1", "projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}),
            json!({"name": "v1", "persistentVolumeClaim": {"claimName": "p"}}),
            json!({"name": "v1", "persistentVolumeClaim": {"claimName": "p", "readOnly": true}}),
            json!({"name": "v1", "hostPath": {"path": "/x"}}),
            json!({"name": "v1", "csi": {"driver": "d"}}),
            json!({"name": "v1", "image": {"reference": "r"}}),
            json!({"name": "v1", "image": {"pullPolicy": "Odd"}}),
            json!({"name": "v1", "ephemeral": {}}),
            json!({"name": "v1", "nfs": {"server": "s", "path": "/"}}),
            json!({"name": "v1", "downwardAPI": {"items": []}}),
        ]),
    )
}
