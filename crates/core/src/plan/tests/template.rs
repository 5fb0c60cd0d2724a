//! Live templates, with who owns what of them.

use serde_json::{Value, json};

use super::*;

/// What Serving 1.21 made of a template with image `a` and limits, as it was seen.
fn served() -> Value {
    json!({"metadata": {"creationTimestamp": null}, "spec": {
        "containerConcurrency": 0, "timeoutSeconds": 300, "enableServiceLinks": false,
        "containers": [{"image": "a", "name": "user-container",
            "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}})
}

fn of(container: Value) -> Value {
    json!({"spec": {"containers": [container]}})
}

fn texts(changes: &[FieldChange]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_template_differs_in_whatever_a_person_changed() {
    let changed = |container: Value| texts(&changes(&of(container), &served()));
    let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    assert_eq!(
        changed(json!({"image": "b", "resources": limits})),
        ["~spec.template.spec.containers[0].image"]
    );
    assert_eq!(
        changed(json!({"image": "a"})),
        [
            "-spec.template.spec.containers[0].resources.limits.cpu",
            "-spec.template.spec.containers[0].resources.limits.memory"
        ]
    );
    assert_eq!(
        changed(
            json!({"image": "a", "resources": limits, "readinessProbe": {"httpGet": {"path": "/"}}})
        ),
        ["+spec.template.spec.containers[0].readinessProbe.httpGet.path"]
    );
    let mut slow = served();
    slow["spec"]["timeoutSeconds"] = json!(60);
    assert_eq!(
        texts(&changes(&slow, &served())),
        ["~spec.template.spec.timeoutSeconds"]
    );
    assert_eq!(
        texts(&changes(&served(), &slow)),
        ["~spec.template.spec.timeoutSeconds"]
    );
}

/// A live Configuration with a template, and who wrote what.
fn live(template: Value, managed: Value) -> LiveObject {
    let object = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
        "metadata": {"name": "hello", "namespace": "default", "managedFields": managed},
        "spec": {"template": template}});
    LiveObject::new(object).unwrap()
}

fn entry(manager: &str, operation: &str, template: Value) -> Value {
    json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:template": template}}})
}

fn ours() -> Value {
    entry("sluice", "Apply", json!({"f:spec": {"f:containers": {}}}))
}

#[test]
fn what_the_server_fills_in_is_no_difference_whatever_its_config_defaults_say() {
    let git = of(json!({"image": "a"}));
    let mut other = served();
    other["spec"]["timeoutSeconds"] = json!(200);
    other["spec"]["responseStartTimeoutSeconds"] = json!(200);
    other["spec"]["containerConcurrency"] = json!(50);
    other["spec"]["containers"][0]["name"] = json!("app");
    let live = live(other, json!([ours()]));
    assert_eq!(changes_in(&git, &live, true), []);
    // Where another template of Git's was written last, what is in the list may be that one's.
    assert_eq!(
        texts(&changes_in(&git, &live, false)),
        [
            "-spec.template.spec.containers[0].name",
            "-spec.template.spec.containers[0].resources.limits.cpu",
            "-spec.template.spec.containers[0].resources.limits.memory"
        ]
    );
    // Where Git says it, the server has no say.
    let mut said = git.clone();
    said["spec"]["timeoutSeconds"] = json!(300);
    assert_eq!(
        texts(&changes_in(&said, &live, true)),
        ["~spec.template.spec.timeoutSeconds"]
    );
}

#[test]
fn a_list_that_somebody_else_wrote_is_compared_whole() {
    let git = of(json!({"image": "a"}));
    let by_hand = entry(
        "kubectl-edit",
        "Update",
        json!({"f:spec": {"f:containers": {}}}),
    );
    let live = live(served(), json!([by_hand]));
    assert_eq!(changes_in(&git, &live, true).len(), 2);
}

#[test]
fn what_a_webhook_adds_to_our_own_write_is_no_difference() {
    let git = of(json!({"image": "a", "env": [{"name": "MOOD", "value": "calm"}]}));
    let injected = json!({"spec": {"containers": [
        {"image": "registry.example.com/a", "env": [{"name": "MOOD", "value": "calm"}, {"name": "ZONE", "value": "b"}]},
        {"name": "proxy", "image": "proxy"}]}});
    let by_hand = json!({"f:spec": {"f:containers": {}}});
    for (managed, last_written, differs) in [
        (json!([ours()]), true, false),
        // Another template of Git's is to be written.
        (json!([ours()]), false, true),
        // Somebody wrote the list since, or before.
        (
            json!([entry("kubectl-edit", "Update", by_hand.clone())]),
            true,
            true,
        ),
        (
            json!([ours(), entry("kustomize", "Apply", by_hand.clone())]),
            true,
            true,
        ),
        (
            json!([entry("kubectl-client-side-apply", "Update", by_hand)]),
            true,
            true,
        ),
    ] {
        let live = live(injected.clone(), managed.clone());
        let found = changes_in(&git, &live, last_written);
        assert_eq!(!found.is_empty(), differs, "{managed} {last_written}");
    }
}

#[test]
fn what_somebody_else_set_in_a_template_is_theirs_and_what_we_set_goes_with_git() {
    let mut has = served();
    has["metadata"]["annotations"] = json!({"autoscaling.knative.dev/min-scale": "1"});
    let mut git = served();
    git["metadata"] = json!({});
    let annotation =
        json!({"f:metadata": {"f:annotations": {"f:autoscaling.knative.dev/min-scale": {}}}});
    let (sluice, kn, apply) = (
        entry("sluice", "Apply", annotation.clone()),
        entry("kn", "Update", annotation.clone()),
        entry("kubectl-client-side-apply", "Update", annotation),
    );
    for (managed, goes) in [
        (json!([ours(), kn.clone()]), false),
        (json!([sluice.clone()]), true),
        // It would stay, whatever we apply.
        (json!([sluice, kn]), false),
        (json!([apply]), true),
    ] {
        let live = live(has.clone(), managed.clone());
        let gone = texts(&changes_in(&git, &live, false));
        assert_eq!(
            gone.contains(
                &"-spec.template.metadata.annotations[autoscaling.knative.dev/min-scale]"
                    .to_owned()
            ),
            goes,
            "{managed}"
        );
    }
}

#[test]
fn a_revision_tells_which_template_it_was_made_for() {
    let revision = |template: Value, annotations: Value| {
        json!({"metadata": {"name": "hello-1", "annotations": annotations,
            "labels": {"serving.knative.dev/configuration": "hello"}}, "spec": template["spec"]})
    };
    let own = json!({"serving.knative.dev/creator": "me", "client.knative.dev/user-image": "a"});
    let limits = json!({"limits": {"cpu": "1000m", "memory": "1Gi"}});
    let git = of(json!({"image": "a", "resources": limits}));
    let there = revision(served(), own.clone());
    assert_eq!(makes_revision(&git, &there), Some(true));
    assert_eq!(made_from(&git, &there), Some(true));
    let other = of(json!({"image": "b", "resources": limits}));
    assert_eq!(makes_revision(&other, &there), Some(false));
    assert_eq!(made_from(&other, &there), Some(false));
    // Another manifest's limits, or the server's.
    let bare = of(json!({"image": "a"}));
    assert_eq!(makes_revision(&bare, &there), None);
    let mut scaled = git.clone();
    scaled["metadata"] = json!({"annotations": {"autoscaling.knative.dev/min-scale": "1"}});
    assert_eq!(makes_revision(&scaled, &there), Some(true));
    assert_eq!(made_from(&scaled, &there), Some(false));
    let more = revision(served(), json!({"autoscaling.knative.dev/min-scale": "1"}));
    assert_eq!(made_from(&git, &more), None);
}
