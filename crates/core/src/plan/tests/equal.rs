//! What needs no write, and what is said of what would not last.

use std::sync::Arc;

use serde_json::json;

use super::scenarios::{Story, service, story};
use crate::api::delivery::Expand;
use crate::plan::{LiveObject, Plan};

#[test]
fn what_an_agent_before_this_one_wrote_is_as_it_should_be() {
    for expand in [Expand::Routes, Expand::Service] {
        let before = |mut story: Story| {
            let service = story.plan().services[0].clone();
            let live = &story.live[&service.template_key()];
            let managers = live.managers.clone();
            let mut object = live.value();
            object["metadata"]["annotations"]["sluice.dev/digest"] = service.manifest().into();
            let mut live = LiveObject::new(object).unwrap();
            live.managers = managers;
            story.live.insert(live.key.clone(), Arc::new(live));
            story
        };
        let mut story = story().git([service("hello", "hello:1")]);
        story.expand = expand;
        let story = before(story.delivered());
        assert_eq!(story.plan().to_string(), "nothing to do\n");
        // In another spelling as well there is no template to write.
        let mut other = service("hello", "hello:1");
        other["spec"]["template"]["spec"]["timeoutSeconds"] = json!(300);
        assert_eq!(
            story.git([other]).plan().to_string(),
            "release default/hello: metadata changed\n"
        );
    }
}

#[test]
fn a_revision_name_that_another_template_has_is_said() {
    let named = |image: &str| {
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "hello"},
            "spec": {"template": {"metadata": {"name": "hello-v1"}, "spec": {"containers": [{"image": image}]}}}})
    };
    let revision = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {"name": "hello-v1", "namespace": "default"},
        "spec": {"timeoutSeconds": 300, "containers": [{"image": "a", "name": "user-container"}]}});
    let told = |image: &str| {
        let story = story().git([named(image)]);
        story
            .with(|story| story.serve(&revision, "controller"))
            .plan()
            .to_string()
    };
    assert!(!told("a").contains("hello-v1"), "{}", told("a"));
    assert!(
        told("b").contains("names its revision hello-v1, and the cluster has a Revision of that name that was made from another template"),
        "{}",
        told("b")
    );
}

#[test]
fn an_owner_that_the_cluster_does_not_have_is_left_out_and_said() {
    let owned = |uid: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]}, "data": {"k": "1"}})
    };
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": "default"}});
    let planned = |uid: &str| {
        let story = story().git([owned(uid)]);
        story.with(|story| story.serve(&owner, "kubectl")).plan()
    };
    let owners = |plan: &Plan| {
        let object = plan.steps[0].object().unwrap();
        object["metadata"].get("ownerReferences").is_some()
    };
    let lost = planned("ce0f1b26");
    assert!(!owners(&lost));
    assert_eq!(
        lost.to_string(),
        "create  ConfigMap default/owned\nskip    ConfigMap default/owned: delivered without its owner ConfigMap \
         owner, which the cluster does not have by that uid; take metadata.ownerReferences out of the manifest\n"
    );
    let there = planned("uid-owner");
    assert!(owners(&there));
    assert!(there.left.is_empty());
}
