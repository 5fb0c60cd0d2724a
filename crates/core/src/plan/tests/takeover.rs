//! What was applied from the client's side, and who has it afterwards.

use serde_json::{Value, json};

use super::*;

fn key(group: &str, kind: &str) -> ObjectKey {
    ObjectKey::namespaced(group, kind, "default", "hello")
}

fn service() -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default",
            "annotations": {"serving.knative.dev/creator": "me", "team": "shop"}, "managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "serving.knative.dev/v1",
             "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:annotations": {".": {}, "f:serving.knative.dev/creator": {}, "f:team": {}}},
                "f:spec": {".": {}, "f:template": {"f:spec": {"f:containers": {}}}, "f:traffic": {}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "subresource": "status",
             "fieldsV1": {"f:status": {}}}]},
        "spec": {"template": {"spec": {"containers": [{"image": "a"}]}}, "traffic": []}})
}

#[test]
fn each_manager_takes_its_own_part_of_a_service_and_knative_s_stays() {
    let key = key("serving.knative.dev", "Service");
    let taken = managed_fields(&key, &service(), &Value::Null, Manager::Objects).unwrap();
    let by = |manager: &str| -> Vec<&Value> {
        taken
            .iter()
            .filter(|entry| entry["manager"] == manager)
            .map(|entry| &entry["fieldsV1"])
            .collect()
    };
    assert_eq!(
        by("sluice"),
        [
            &json!({"f:metadata": {"f:annotations": {".": {}, "f:team": {}}},
            "f:spec": {".": {}, "f:template": {"f:spec": {"f:containers": {}}}}})
        ]
    );
    assert_eq!(
        by("kubectl-client-side-apply"),
        [
            &json!({"f:metadata": {"f:annotations": {"f:serving.knative.dev/creator": {}}},
            "f:spec": {"f:traffic": {}}}),
            &json!({"f:status": {}})
        ]
    );
    // Traffic has no field that an apply of it would have to take away.
    assert_eq!(
        managed_fields(&key, &service(), &Value::Null, Manager::Traffic),
        None
    );
    let mut again = service();
    again["metadata"]["managedFields"] = json!(taken);
    assert_eq!(
        managed_fields(&key, &again, &Value::Null, Manager::Objects),
        None,
        "once is enough"
    );
}

#[test]
fn what_is_ours_already_and_what_is_taken_over_are_one() {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hello",
        "namespace": "default", "managedFields": [
        {"manager": "sluice", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
         "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {}}}},
        {"manager": "before-first-apply", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
         "fieldsV1": {"f:data": {".": {}, "f:b": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:c": {}}}}]},
        "data": {"a": "1", "b": "2", "c": "3"}});
    let key = key("", "ConfigMap");
    let taken = managed_fields(&key, &object, &Value::Null, Manager::Objects).unwrap();
    assert_eq!(taken.len(), 2);
    assert_eq!(
        taken[0]["fieldsV1"],
        json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}})
    );
    assert_eq!(taken[1]["manager"], "kubectl-edit");
    object["metadata"]["managedFields"] = json!([]);
    assert_eq!(
        managed_fields(&key, &object, &Value::Null, Manager::Objects),
        None
    );
}

#[test]
fn what_goes_because_a_client_side_apply_set_it_is_told() {
    let live = LiveObject::new(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "hello", "namespace": "default", "labels": {"a": "1", "b": "2"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:a": {}, "f:b": {}},
                    "f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}},
                "f:spec": {"f:replicas": {}, "f:paused": {}, "f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:command": {}, "f:name": {}},
                    "k:{\"name\":\"old\"}": {".": {}, "f:image": {}}}}}}}},
            {"manager": "scaler", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
        "spec": {"replicas": 3, "paused": false, "template": {"spec": {"containers": [
            {"name": "app", "image": "a", "command": ["x"]}, {"name": "old", "image": "b"}]}}}}))
    .unwrap();
    let git = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello", "labels": {"a": "1"}},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "a"}]}}}});
    let told: Vec<String> = drops(&git, &live, Manager::Objects)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "-metadata.labels.b",
            "-spec.paused",
            "-spec.template.spec.containers[app].command",
            "-spec.template.spec.containers[old]"
        ]
    );
}

#[test]
fn a_revision_s_name_that_git_does_not_give_is_taken_from_anybody_and_nothing_else_is() {
    let key = key("serving.knative.dev", "Service");
    let named = json!({"f:spec": {"f:template": {"f:metadata": {"f:name": {}}, "f:spec": {"f:timeoutSeconds": {}}}}});
    let object = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", "uid": "u", "resourceVersion": "1", "managedFields": [
            {"manager": "kn", "operation": "Update", "apiVersion": "serving.knative.dev/v1", "fieldsType": "FieldsV1",
             "fieldsV1": named},
            {"manager": "sluice", "operation": "Apply", "apiVersion": "serving.knative.dev/v1", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}}}]},
        "spec": {"template": {"metadata": {"name": "hello-abcde-1"}, "spec": {"containers": [{"image": "a"}]}}}});
    let live = LiveObject::new(object.clone()).unwrap();
    let template = |template: Value| json!({"spec": {"template": template}});
    let of_git_s = template(json!({"metadata": {"name": "hello-v1"}, "spec": {}}));
    let nameless = template(json!({"spec": {}}));
    for (desired, manager, due) in [
        (&nameless, Manager::Objects, true),
        (&nameless, Manager::Traffic, false),
        (&of_git_s, Manager::Objects, false),
        (&json!({"spec": {"traffic": []}}), Manager::Objects, false),
    ] {
        assert_eq!(is_due(&live, desired, manager), due, "{desired}");
        let taken = managed_fields(&key, &object, desired, manager);
        assert_eq!(taken.is_some(), due, "{desired}");
    }
    let taken = managed_fields(&key, &object, &nameless, Manager::Objects).unwrap();
    assert_eq!(
        taken[0]["fieldsV1"],
        json!({"f:spec": {"f:template": {"f:spec": {"f:timeoutSeconds": {}}}}})
    );
    assert_eq!(
        taken[1]["fieldsV1"],
        json!({"f:spec": {"f:template": {"f:metadata": {"f:name": {}}, "f:spec": {"f:containers": {}}}}})
    );
}
