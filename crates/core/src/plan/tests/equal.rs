//! What needs no write, and what is said of what would not last.

use std::sync::Arc;

use serde_json::json;

use super::scenarios::{Story, service, story};
use crate::api::delivery::Expand;
use crate::api::object::ObjectKey;
use crate::plan::{LiveObject, Plan, diff, digest, restored_template};

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
fn what_is_hashed_compared_applied_and_shown_is_the_rendered_object_and_not_the_manifest() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
    let story = story().git([service("hello", "hello:1"), map]).delivered();
    assert!(story.plan().is_empty());
    // As a patch would change them.
    let rendered = story.rendered().changed(|object| {
        if let Some(image) = object.pointer_mut("/spec/template/spec/containers/0/image") {
            *image = json!("hello:2");
        } else {
            object["data"]["a"] = json!("2");
        }
    });
    let plan = story.plan_of(&rendered);
    assert_eq!(
        plan.to_string(),
        "update  ConfigMap default/a (~data.a)\n\
         release default/hello: template changed (~spec.template.spec.containers[0].image)\n"
    );
    assert_eq!(plan.steps[0].object().unwrap()["data"]["a"], "2");
    let hello = plan.service("default", "hello").unwrap();
    let git_s = story.plan().services[0].template.value();
    let mut wanted = git_s.clone();
    wanted["spec"]["containers"][0]["image"] = json!("hello:2");
    assert_eq!(hello.template.value(), wanted);
    assert_eq!(hello.template_hash, digest::template(&wanted));
    assert_ne!(hello.template_hash, digest::template(&git_s));
    let shown = diff::render(&diff::differences(&plan, &story.live), diff::Style::Plain);
    assert!(
        shown.contains("+      - image: hello:2") && shown.contains("+  a: '2'"),
        "{shown}"
    );
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
fn a_template_that_was_put_back_without_git_s_name_is_known_by_the_rest() {
    let mut named = service("hello", "hello:1");
    named["spec"]["template"]["metadata"]["name"] = json!("hello-v1");
    let story = story().with(|s| s.expand = Expand::Service);
    let mut story = story.git([named]).delivered();
    let plan = story.plan();
    let intent = plan.service("default", "hello").unwrap();
    let key = intent.template_key();
    let is_unnamed = |story: &Story| intent.is_written_unnamed(&story.live[&key]);
    assert!(!is_unnamed(&story), "it has its name");

    let served = story.live[&key].value()["spec"]["template"].clone();
    let revision = json!({"metadata": {"name": "hello-v1"}, "spec": served["spec"]});
    let twin = restored_template(&revision, false);
    story.serve(&intent.restored_object(&twin), "sluice");
    assert!(
        is_unnamed(&story),
        "{:?}",
        intent.template_changes(&story.live[&key])
    );

    let mut other = twin.clone();
    other["spec"]["containers"][0]["image"] = json!("hello:2");
    story.serve(&intent.restored_object(&other), "sluice");
    assert!(!is_unnamed(&story), "another image");
}

#[test]
fn a_name_that_somebody_else_gave_the_next_revision_is_said_to_be_taken_over() {
    let story = story().git([service("hello", "hello:1")]).delivered();
    let story = story.with(|s| {
        let key = ObjectKey::namespaced("serving.knative.dev", "Configuration", "default", "hello");
        let mut value = s.live[&key].value();
        value["spec"]["template"]["metadata"]["name"] = json!("hello-blue");
        let written = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
            "metadata": {"name": "hello", "namespace": "default"}, "spec": value["spec"]});
        s.serve(&written, "kn");
        let kn = Arc::get_mut(s.live.get_mut(&key).unwrap())
            .unwrap()
            .managers
            .last_mut();
        let name = json!({"f:spec": {"f:template": {"f:metadata": {"f:name": {}}}}});
        kn.unwrap().fields = name.to_string().into();
        s.git = vec![service("hello", "hello:2")];
    });
    let plan = story.plan();
    assert!(plan.steps[0].takes_over(), "{plan}");
    let told = plan.to_string();
    let words = "takes over the revision's name hello-blue, which kn set, so that Knative names the next one";
    assert!(told.contains(words), "{told}");
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
        "create  ConfigMap default/owned\nskip    apps/0.yaml:1: ConfigMap default/owned: \
         metadata.ownerReferences[0]: delivered without its owner ConfigMap \
         owner, which the cluster does not have by that uid; take metadata.ownerReferences out of the manifest\n"
    );
    let there = planned("uid-owner");
    assert!(owners(&there));
    assert!(there.left.is_empty());
}
