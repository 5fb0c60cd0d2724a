//! Plans told as stories: what Git has, what the cluster has, and what the plan says.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::api::delivery::{Drift, Expand};
use crate::api::object::ObjectKey;
use crate::plan::*;
use crate::render::{Destination, Rendered, fixture, render};

/// A Git repository, a cluster and a Delivery between them.
#[derive(Debug)]
pub(super) struct Story {
    pub git: Vec<Value>,
    pub broken: Vec<fixture::ManifestError>,
    pub live: BTreeMap<ObjectKey, Arc<LiveObject>>,
    pub inventory: Vec<ObjectKey>,
    pub elsewhere: Claims,
    pub awaits: Option<DeliveryId>,
    pub expand: Expand,
    pub confined: bool,
    pub prune: bool,
    pub drift: Drift,
}

pub(super) fn story() -> Story {
    Story {
        git: Vec::new(),
        broken: Vec::new(),
        live: BTreeMap::new(),
        inventory: Vec::new(),
        elsewhere: Claims::default(),
        awaits: None,
        expand: Expand::Routes,
        confined: false,
        prune: true,
        drift: Drift::Correct,
    }
}

impl Story {
    pub fn git(mut self, objects: impl IntoIterator<Item = Value>) -> Self {
        self.git = objects.into_iter().collect();
        self
    }

    /// The cluster as it is after what Git has was applied, and the server had its say.
    pub fn delivered(mut self) -> Self {
        let plan = self.plan();
        for step in &plan.steps {
            if let Some(object) = step.object() {
                self.serve(object, "sluice");
            }
            if matches!(step.action, Action::Prune { .. }) {
                self.live.remove(&step.key);
            }
        }
        for service in &plan.services {
            let template = service.template_object(&service.template.value());
            self.serve(&template, "sluice");
            let pinned = [crate::api::serving::TrafficTarget {
                revision_name: Some(format!("{}-00001", service.name)),
                percent: Some(100),
                ..Default::default()
            }];
            self.serve(&service.traffic_object(&pinned), "sluice-traffic");
        }
        self.inventory = plan.inventory;
        self
    }

    /// Writes an object to the cluster as a manager, with the server's defaults.
    pub fn serve(&mut self, object: &Value, manager: &str) {
        let Some(key) = ObjectKey::of(object) else {
            return;
        };
        let mut value = object.clone();
        let before = self.live.get(&key).map(|live| live.value());
        if let Some(Value::Object(before)) = &before {
            for part in ["spec", "metadata"] {
                let fields = before.get(part).and_then(Value::as_object);
                for (name, field) in fields.into_iter().flatten() {
                    if value[part].get(name).is_none() {
                        value[part][name] = field.clone();
                    }
                }
            }
        }
        value["metadata"]["uid"] = json!(format!("uid-{}", key.name));
        value["metadata"]["resourceVersion"] = json!("7");
        if let Some(template) = value.pointer_mut("/spec/template") {
            *template = knative::with_defaults(template);
        }
        let mut managers = self
            .live
            .get(&key)
            .map(|live| live.managers.clone())
            .unwrap_or_default();
        managers.retain(|owner| owner.manager != manager);
        let ours = is_ours(manager);
        managers.push(FieldOwner {
            manager: manager.to_owned(),
            operation: if ours {
                Operation::Apply
            } else {
                Operation::Update
            },
            subresource: None,
            time: "2026-01-02T03:04:05Z".parse().ok(),
            fields: owned(object).to_string().into(),
        });
        let mut live = LiveObject::new(value).expect("an object");
        live.managers = managers;
        self.live.insert(key, Arc::new(live));
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn rendered(&self) -> Rendered {
        let to = Destination {
            expand: self.expand,
            confined: self.confined,
            ..fixture::shop()
        };
        let loaded = fixture::broken_repository(&self.git, &self.broken);
        render(&loaded, to, &self.live)
    }

    pub fn plan(&self) -> Plan {
        self.plan_of(&self.rendered())
    }

    pub fn plan_of(&self, rendered: &Rendered) -> Plan {
        plan(&Input {
            rendered,
            inventory: &self.inventory,
            elsewhere: &self.elsewhere,
            awaits: self.awaits.as_ref(),
            prune: self.prune,
            drift: self.drift,
            live: &self.live,
        })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "expect![] reads better by value"
    )]
    pub fn tells(&self, expected: Expect) {
        let plan = self.plan();
        assert_eq!(invariants::check(&plan), []);
        expected.assert_eq(&plan.to_string());
    }
}

/// FieldsV1 of an applied object, lists owned as a whole.
fn owned(object: &Value) -> Value {
    match object {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| {
                !matches!(name.as_str(), "apiVersion" | "kind" | "name" | "namespace")
            })
            .map(|(name, value)| (format!("f:{name}"), owned(value)))
            .collect(),
        _ => json!({}),
    }
}

pub(super) fn service(name: &str, image: &str) -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [{"image": image,
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}]}}}})
}

pub(super) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}})
}

pub(super) fn key(kind: &str, name: &str) -> ObjectKey {
    ObjectKey::namespaced("", kind, "default", name)
}

#[test]
fn a_first_commit_is_written_in_a_safe_order() {
    story()
        .git([
            service("hello", "hello:1"),
            config_map("settings", "1"),
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": "guard"}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker", "namespace": "jobs"}}),
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "toys.example.com"},
                "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Toy"}}}),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "jobs"}}),
        ])
        .tells(expect![[r#"
            create  Namespace jobs
            create  CustomResourceDefinition.apiextensions.k8s.io toys.example.com
            create  Role.rbac.authorization.k8s.io default/r
            create  RoleBinding.rbac.authorization.k8s.io default/b
            create  ConfigMap default/settings
            create  Deployment.apps jobs/worker
            release default/hello: new
            create  ValidatingWebhookConfiguration.admissionregistration.k8s.io guard
        "#]]);
}

#[test]
fn what_the_server_fills_in_is_no_change() {
    let done = story()
        .git([service("hello", "hello:1"), config_map("settings", "1")])
        .delivered();
    done.tells(expect!["nothing to do\n"]);
    assert_eq!(
        done.plan().settled.len(),
        3,
        "ConfigMap, Configuration, Route"
    );
}

#[test]
fn a_moved_file_is_no_change() {
    let done = story()
        .git([service("hello", "hello:1"), config_map("settings", "1")])
        .delivered();
    done.with(|s| s.git.reverse())
        .tells(expect!["nothing to do\n"]);
}

#[test]
fn a_new_image_is_a_release_and_a_label_is_not_a_new_template() {
    let done = || story().git([service("hello", "hello:1")]).delivered();
    done()
        .with(|s| s.git = vec![service("hello", "hello:2")])
        .tells(expect![[r#"
            release default/hello: template changed (~spec.template.spec.containers[0].image)
        "#]]);
    done()
        .with(|s| s.git[0]["metadata"]["labels"] = json!({"team": "a"}))
        .tells(expect![[r#"
            release default/hello: metadata changed (+metadata.labels.team); metadata changed (+metadata.labels.team)
        "#]]);
    done()
        .with(|s| s.git[0]["spec"]["traffic"] = json!([
            {"latestRevision": true, "percent": 90}, {"revisionName": "hello-00000", "percent": 10, "tag": "old"}]))
        .tells(expect![[r#"
            release default/hello: traffic changed
        "#]]);
}

#[test]
fn a_route_that_the_first_delivery_has_not_written_yet_is_not_gone() {
    let without_route = |status: Value| {
        let rollout = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ServiceRollout",
            "metadata": {"name": "hello", "namespace": "default"}, "status": status});
        story()
            .git([service("hello", "hello:1")])
            .delivered()
            .with(|s| {
                s.live.retain(|key, _| key.kind != "Route");
                s.serve(&rollout, "sluice");
            })
    };
    without_route(Value::Null).tells(expect!["nothing to do\n"]);
    for phase in ["Initial", "Failed"] {
        without_route(json!({"phase": phase})).tells(expect!["nothing to do\n"]);
    }
    without_route(json!({"phase": "Stable"})).tells(expect![[r#"
        release default/hello: Route is gone
    "#]]);
}

#[test]
fn a_removed_field_inside_a_container_is_seen() {
    story()
        .git([service("hello", "hello:1")])
        .delivered()
        .with(|s| {
            let container = &mut s.git[0]["spec"]["template"]["spec"]["containers"][0];
            container["resources"].as_object_mut().unwrap().remove("limits");
        })
        .tells(expect![[r#"
            release default/hello: template changed (-spec.template.spec.containers[0].resources.limits.cpu, -spec.template.spec.containers[0].resources.limits.memory)
        "#]]);
}

#[test]
fn a_live_service_is_adopted_as_a_service_and_the_plan_says_so() {
    story()
        .git([service("hello", "hello:2")])
        .with(|s| {
            let mut there = service("hello", "hello:1");
            there["metadata"]["namespace"] = json!("default");
            s.serve(&there, "kubectl-client-side-apply");
        })
        .tells(expect![[r#"
            release default/hello: adopted from kubectl-client-side-apply; template changed (~spec.template.spec.containers[0].image); traffic changed
            skip    Service.serving.knative.dev default/hello: delivered as a Service, since the cluster has one of that name, though Routes is asked for; to convert it without losing a request: sluice rollout convert hello --to routes
        "#]]);
}

#[test]
fn in_service_mode_one_object_holds_both_and_nothing_differs_after_delivery() {
    let mut s = story();
    s.expand = Expand::Service;
    let done = s.git([service("hello", "hello:1")]).delivered();
    done.tells(expect!["nothing to do\n"]);
    assert_eq!(done.inventory.len(), 1);
    done.with(|s| s.git = vec![service("hello", "hello:2")])
        .tells(expect![[r#"
            release default/hello: template changed (~spec.template.spec.containers[0].image)
        "#]]);
}

#[test]
fn a_hand_made_change_is_told_from_a_commit() {
    let edited = || {
        story()
            .git([config_map("settings", "1")])
            .delivered()
            .with(|s| {
                let mut value = s.live[&key("ConfigMap", "settings")].value();
                value["data"]["a"] = json!("2");
                s.serve(&value, "kubectl-edit");
            })
    };
    edited().tells(expect![[r#"
        update  ConfigMap default/settings (~data.a), by kubectl-edit at 2026-01-02T03:04:05Z
    "#]]);
    edited()
        .with(|s| s.drift = Drift::Report)
        .tells(expect![[r#"
            nothing to do
            skip    ConfigMap default/settings: changed by hand and left so (~data.a), by kubectl-edit
        "#]]);
    edited()
        .with(|s| s.git = vec![config_map("settings", "3")])
        .tells(expect![[r#"
            update  ConfigMap default/settings (~data.a)
        "#]]);
}

#[test]
fn what_left_git_is_deleted_last_and_in_reverse() {
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut inside = config_map("inside", "1");
    inside["metadata"]["namespace"] = json!("jobs");
    story()
        .with(|s| s.serve(&namespace("default"), "kubectl-create"))
        .git([
            namespace("jobs"),
            inside,
            service("hello", "hello:1"),
            config_map("settings", "1"),
        ])
        .delivered()
        .with(|s| s.git = vec![config_map("new", "1")])
        .tells(expect![[r#"
            create  ConfigMap default/new
            prune   Route.serving.knative.dev default/hello: no longer in Git
            prune   Configuration.serving.knative.dev default/hello: no longer in Git
            prune   ConfigMap jobs/inside: no longer in Git
            prune   ConfigMap default/settings: no longer in Git
            prune   Namespace jobs: no longer in Git
        "#]]);
}

#[test]
fn an_empty_repository_deletes_nothing() {
    story()
        .git([config_map("settings", "1")])
        .delivered()
        .git([])
        .tells(expect![[r#"
            nothing to do
            skip    ConfigMap default/settings: no longer in Git, kept: Git has no object at all; delete the Delivery if everything shall go
        "#]]);
}

#[test]
fn every_guard_against_pruning_holds() {
    let done = || {
        story()
            .git([
                config_map("a", "1"),
                config_map("b", "1"),
                service("hello", "hello:1"),
            ])
            .delivered()
            .with(|s| s.git = vec![config_map("a", "1")])
    };
    done().with(|s| s.prune = false).tells(expect![[r#"
        nothing to do
        skip    ConfigMap default/b: no longer in Git, kept: the Delivery does not prune
        skip    Configuration.serving.knative.dev default/hello: no longer in Git, kept: the Delivery does not prune
        skip    Route.serving.knative.dev default/hello: no longer in Git, kept: the Delivery does not prune
    "#]]);
    // The file of the service cannot be read; what is known of it is its Service.
    done()
        .with(|s| {
            let hello = ObjectKey::namespaced("serving.knative.dev", "Service", "default", "hello");
            s.broken = vec![fixture::broken("apps/hello.yaml", Some(hello))];
        })
        .tells(expect![[r#"
            prune   ConfigMap default/b: no longer in Git
            skip    Configuration.serving.knative.dev default/hello: left as it is until apps/hello.yaml:1 can be read again
            skip    Route.serving.knative.dev default/hello: left as it is until apps/hello.yaml:1 can be read again
        "#]]);
    // Nothing is known of what is in the broken file: it may be anything.
    let unknown = done().with(|s| {
        s.broken = vec![fixture::broken("x.yaml", None)];
    });
    assert!(unknown.plan().is_empty());
    // Another Delivery has it now.
    let other = DeliveryId::new("default", "other");
    done()
        .with(|s| {
            s.elsewhere = Claims::from_iter([(key("ConfigMap", "b"), other)]);
            s.git.push(service("hello", "hello:1"));
        })
        .tells(expect![[r#"
            nothing to do
            skip    ConfigMap default/b: now delivered by default.other
        "#]]);
}

#[test]
fn a_confined_delivery_writes_and_deletes_nothing_outside_its_own_namespace() {
    let elsewhere = |mut object: Value| {
        object["metadata"]["namespace"] = json!("kube-system");
        object
    };
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"}});
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    let mut theirs = elsewhere(config_map("theirs", "1"));
    theirs["metadata"]["annotations"] = json!({"sluice.dev/delivery": "default.shop"});
    story()
        .git([
            config_map("settings", "1"),
            elsewhere(config_map("aws-auth", "1")),
            elsewhere(service("gateway", "hello:1")),
            role,
            namespace,
        ])
        .with(|s| {
            s.confined = true;
            // Somebody wrote it into the status: it does not become the Delivery's by that.
            s.serve(&theirs, "kubectl-create");
            s.inventory.push(ObjectKey::namespaced(
                "",
                "ConfigMap",
                "kube-system",
                "theirs",
            ));
        })
        .tells(expect![[r#"
            create  ConfigMap default/settings
            skip    apps/1.yaml:1: ConfigMap kube-system/aws-auth: metadata.namespace: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
            skip    apps/2.yaml:1: Service.serving.knative.dev kube-system/gateway: metadata.namespace: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
            skip    apps/3.yaml:1: ClusterRole.rbac.authorization.k8s.io all: kind: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
            skip    apps/4.yaml:1: Namespace default: kind: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
            skip    ConfigMap kube-system/theirs: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
        "#]]);
}

#[test]
fn what_cannot_be_seen_is_not_forgotten() {
    struct Blind;
    impl Live for Blind {
        fn get(&self, _: &ObjectKey) -> Option<Arc<LiveObject>> {
            None
        }
        fn scope(&self, api_version: &str, kind: &str) -> Scope {
            Scope::by_convention(api_version, kind)
        }
        fn namespace_exists(&self, _: &str) -> Option<bool> {
            None
        }
        fn would_show(&self, key: &ObjectKey) -> bool {
            key.kind != "Secret"
        }
    }
    let inventory = [key("ConfigMap", "gone"), key("Secret", "hidden")];
    let map = config_map("a", "1");
    let made = plan(&Input {
        rendered: &render(&fixture::repository(&[map]), fixture::shop(), &Blind),
        inventory: &inventory,
        elsewhere: &Claims::default(),
        awaits: None,
        prune: true,
        drift: Drift::Correct,
        live: &Blind,
    });
    assert_eq!(
        made.inventory,
        [key("ConfigMap", "a"), key("Secret", "hidden")]
    );
}

#[test]
fn a_missing_namespace_an_unknown_kind_and_a_clash_are_said() {
    let mut lost = config_map("lost", "1");
    lost["metadata"]["namespace"] = json!("nowhere");
    let mut namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    namespace["metadata"]["uid"] = json!("u");
    story()
        .git([
            lost,
            service("hello", "hello:1"),
            json!({"apiVersion": "serving.knative.dev/v1", "kind": "Route", "metadata": {"name": "hello"}, "spec": {}}),
        ])
        .with(|s| s.serve(&namespace, "kubectl-create"))
        .tells(expect![[r#"
            nothing to do
            skip    Route.serving.knative.dev default/hello: apps/2.yaml:1 and apps/1.yaml:1 would be written to the same object; remove all but one
            skip    Service.serving.knative.dev default/hello: apps/2.yaml:1 and apps/1.yaml:1 would be written to the same object; remove all but one
            skip    ConfigMap nowhere/lost: its namespace does not exist; create it or put a Namespace manifest in Git
        "#]]);
}

#[test]
fn a_secret_written_in_plain_text_is_the_secret_that_the_server_keeps() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let done = story().git([secret]).delivered();
    let value = done.live[&key("Secret", "s")].value();
    assert_eq!(value["data"]["a"], "Yg==");
    assert!(value.get("stringData").is_none());
    done.tells(expect!["nothing to do\n"]);
}

#[test]
fn what_only_the_server_writes_is_not_applied() {
    let mut exported = service("hello", "hello:1");
    exported["status"] = json!({"url": "x"});
    exported["metadata"]["uid"] = json!("u");
    exported["metadata"]["labels"] = json!({"serving.knative.dev/service": "hello"});
    exported["metadata"]["annotations"] = json!({
        "serving.knative.dev/creator": "me", "serving.knative.dev/lastModifier": "me",
        "serving.knative.dev/rollout-duration": "10s",
        "kubectl.kubernetes.io/last-applied-configuration": "{}"});
    let plan = story().git([exported]).plan();
    let service = plan.service("default", "hello").unwrap();
    expect![[r#"{"apiVersion":"serving.knative.dev/v1","kind":"Configuration","metadata":{"annotations":{"sluice.dev/delivery":"default.shop","sluice.dev/digest":"D"},"name":"hello","namespace":"default"},"spec":{"template":{}}}"#]]
        .assert_eq(&without_digest(service.template_object(&json!({}))));
    expect![[r#"{"apiVersion":"serving.knative.dev/v1","kind":"Route","metadata":{"annotations":{"serving.knative.dev/rollout-duration":"10s","sluice.dev/delivery":"default.shop","sluice.dev/digest":"D"},"name":"hello","namespace":"default"},"spec":{"traffic":[]}}"#]]
        .assert_eq(&without_digest(service.traffic_object(&[])));
}

fn without_digest(mut object: Value) -> String {
    object["metadata"]["annotations"]["sluice.dev/digest"] = json!("D");
    object.to_string()
}
