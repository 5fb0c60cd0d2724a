//! Who owns what.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{ApplyOptions, ResetFields, UpdateOptions, apply, noop, update};
use super::{Story, templated, things};
use crate::builtin;

fn story() -> Story {
    Story::of(things())
}

#[test]
fn an_update_owns_what_it_changed_and_takes_it_from_others() {
    story()
        .apply("a", json!({"numeric": 1, "string": "x"}))
        .update("u", json!({"numeric": 2, "string": "x", "bool": true}))
        .owned("a Apply: .string\nu Update: .bool .numeric");
}

#[test]
fn status_is_owned_only_through_the_status_subresource() {
    let mut story = story()
        .resetting(ResetFields::Status)
        .apply("a", json!({"numeric": 1, "status": {"phase": "Ready"}}));
    assert_eq!(story.owners(), "a Apply: .numeric");
    story.update_through(
        "controller",
        json!({"numeric": 1, "metadata": {"labels": {"x": "y"}}, "status": {"phase": "Gone"}}),
        Some("status"),
    );
    assert_eq!(
        story.owners(),
        "a Apply: .numeric\ncontroller/status Update: .status.phase"
    );
    let error = story
        .try_apply_with(
            "b",
            json!({"status": {"phase": "No"}}),
            false,
            Some("status"),
        )
        .unwrap_err();
    assert_eq!(
        error,
        "Apply failed with 1 conflict: conflict with \"controller\" with subresource \"status\" using v1: .status.phase"
    );
}

#[test]
fn a_manager_that_owns_nothing_any_more_is_dropped() {
    story()
        .update("u", json!({"numeric": 1}))
        .update("v", json!({"numeric": 2}))
        .owned("v Update: .numeric")
        .update("v", json!({}))
        .owned("");
}

#[test]
fn at_most_ten_updaters_are_told_apart() {
    let mut story = story();
    let mut map = serde_json::Map::new();
    for index in 10..25 {
        map.insert(format!("k{index}"), Value::from("v"));
        story.update_through(&format!("m{index}"), json!({"map": map}), None);
    }
    let owners = story.owners();
    assert_eq!(owners.lines().count(), 10, "{owners}");
    let ancient = owners.lines().next().unwrap();
    assert_eq!(
        ancient,
        "ancient-changes Update: .map .map.k10 .map.k11 .map.k12 .map.k13 .map.k14 .map.k15"
    );
}

#[test]
fn a_deployment_that_kubectl_created_is_owned_as_kubernetes_shows_it() {
    let schema = builtin::schema("apps", "v1", "Deployment").unwrap();
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
            },
        },
        "status": {},
    });
    schema.default(&mut deployment);
    builtin::default("apps", "Deployment", &mut deployment);
    let options = UpdateOptions {
        manager: "kubectl-create",
        subresource: None,
        reset: ResetFields::Status,
        now: Timestamp::UNIX_EPOCH,
    };
    let created = update(None, deployment, &schema, &options);
    assert_eq!(
        created["metadata"]["managedFields"],
        json!([{
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "manager": "kubectl-create",
            "operation": "Update", "time": "1970-01-01T00:00:00Z",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:progressDeadlineSeconds": {}, "f:replicas": {},
                    "f:revisionHistoryLimit": {}, "f:selector": {},
                    "f:strategy": {
                        "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
                        "f:type": {},
                    },
                    "f:template": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                        "f:spec": {
                            "f:containers": {"k:{\"name\":\"nginx\"}": {
                                ".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {},
                                "f:resources": {}, "f:terminationMessagePath": {},
                                "f:terminationMessagePolicy": {},
                            }},
                            "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {},
                            "f:securityContext": {}, "f:terminationGracePeriodSeconds": {},
                        },
                    },
                },
            },
        }])
    );
}

/// A defaulting webhook, as far as it touches what is applied here.
fn webhook(object: &mut Value) {
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["name"] = json!("user-container");
    container["resources"] = json!({});
    object["spec"]["template"]["spec"]["timeoutSeconds"] = json!(300);
    if object["spec"]["traffic"].is_null() {
        object["spec"]["traffic"] = json!([{"latestRevision": true, "percent": 100}]);
    }
}

#[test]
fn what_a_webhook_fills_in_is_nobodys_and_a_repeated_apply_spends_no_version() {
    let schema = templated();
    let applied = json!({
        "apiVersion": "serving.example.dev/v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "hello:1"}]}}},
    });
    let options = |second| ApplyOptions {
        manager: "sluice",
        force: false,
        subresource: None,
        reset: ResetFields::Status,
        now: Timestamp::from_second(second).unwrap(),
        may_not_fit: false,
    };
    let mut first = apply(None, &applied, &schema, &options(1)).unwrap();
    schema.default(&mut first);
    webhook(&mut first);
    let owned = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}});
    assert_eq!(first["metadata"]["managedFields"][0]["fieldsV1"], owned);

    let mut again = apply(Some(&first), &applied, &schema, &options(2)).unwrap();
    schema.default(&mut again);
    webhook(&mut again);
    assert_ne!(again, first, "the time has moved");
    assert!(
        noop(&first, &mut again.clone(), true),
        "which counts where more was asked for than what is left"
    );
    assert!(!noop(&first, &mut again, false), "but nothing else has");
    assert_eq!(again, first);

    let mut changed = applied.clone();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("hello:2");
    let mut next = apply(Some(&first), &changed, &schema, &options(3)).unwrap();
    webhook(&mut next);
    assert!(noop(&first, &mut next, false));
    assert_eq!(
        next["metadata"]["managedFields"][0]["time"],
        "1970-01-01T00:00:03Z"
    );
    assert_eq!(next["spec"]["traffic"], first["spec"]["traffic"]);
}

#[test]
fn an_object_from_before_managed_fields_belongs_to_before_first_apply() {
    let mut story = story();
    story.live = Some(json!({
        "apiVersion": "v1", "kind": "Thing", "metadata": {"name": "thing", "uid": "1"},
        "numeric": 1, "string": "x",
    }));
    // Updates do not begin to keep account of it ...
    story.update_through(
        "u",
        json!({"metadata": {"uid": "1"}, "numeric": 1, "string": "y"}),
        None,
    );
    assert_eq!(story.owners(), "");
    // ... the first apply does.
    story
        .refuses(
            "a",
            json!({"string": "z"}),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .string",
        )
        .force("a", json!({"string": "z"}))
        .owned("a Apply: .string\nbefore-first-apply Update: .numeric");
}

#[test]
fn managed_fields_can_be_edited_and_reset_but_not_applied() {
    let story = story()
        .apply("a", json!({"numeric": 1}))
        .update("u", json!({"numeric": 2}));
    let entries = story.live()["metadata"]["managedFields"].clone();
    let mut edited = entries;
    edited[0]["manager"] = json!("renamed");
    story
        .update(
            "v",
            json!({"metadata": {"managedFields": edited}, "numeric": 2}),
        )
        .owned("renamed Update: .numeric")
        .update(
            "v",
            json!({"metadata": {"managedFields": [{}]}, "numeric": 2}),
        )
        .owned("")
        .refuses(
            "a",
            json!({"metadata": {"managedFields": []}}),
            "metadata.managedFields must be nil",
        );
}

#[test]
fn kubectl_takes_over_what_it_applied_client_side() {
    let last = r#"{"apiVersion":"v1","kind":"Thing","metadata":{"name":"thing"},"numeric":1}"#;
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let mut story = story().update(
        "kubectl-client-side-apply",
        json!({"metadata": {"annotations": {annotation: last}}, "numeric": 1, "string": "x"}),
    );
    // It may change what stands as it applied it, but not what it never did.
    assert!(story.try_apply("kubectl", json!({"string": "y"})).is_err());
    assert!(story.try_apply("someone", json!({"numeric": 2})).is_err());
    story.try_apply("kubectl", json!({"numeric": 2})).unwrap();
    assert_eq!(story.live()["numeric"], 2);
    let text = story.live()["metadata"]["annotations"][annotation]
        .as_str()
        .unwrap();
    let kept: Value = serde_json::from_str(text).unwrap();
    assert_eq!(kept["numeric"], 2, "the annotation follows");
}

#[test]
fn an_owner_of_something_in_a_list_that_became_atomic_owns_the_list() {
    let mut story = story().apply(
        "a",
        json!({"list": [{"name": "x", "value": 1}], "set": ["s"]}),
    );
    story.schema = crate::schema::Schema::from_openapi(&json!({
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        },
    }));
    story
        .apply("b", json!({"set": ["t"]}))
        .owned("a Apply: .list .set[=\"s\"]\nb Apply: .set[=\"t\"]");
}
