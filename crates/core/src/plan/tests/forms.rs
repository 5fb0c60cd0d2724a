//! The two forms of a service: what is there decides, whatever is asked for, and nothing of the other form is deleted.

use expect_test::expect;
use serde_json::{Value, json};

use super::scenarios::{Story, service, story};
use crate::api::delivery::Expand;

fn asked(expand: Expand) -> Story {
    story().with(|s| s.expand = expand)
}

/// An object as its Service owns it.
fn owned(s: &mut Story, kind: &str) {
    let mut object = service("hello", "hello:1");
    object["kind"] = kind.into();
    object["metadata"]["namespace"] = "default".into();
    object["metadata"]["annotations"] = json!({"sluice.dev/delivery": "default.shop"});
    object["metadata"]["ownerReferences"] =
        json!([{"kind": "Service", "name": "hello", "uid": "uid-hello", "controller": true}]);
    s.serve(&object, "controller");
}

fn hand_made(s: &mut Story) {
    let mut object = service("hello", "hello:1");
    object["metadata"]["namespace"] = "default".into();
    s.serve(&object, "kubectl-create");
}

fn trigger() -> Value {
    json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"name": "orders"}, "spec":
        {"subscriber": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}}}})
}

#[test]
fn a_delivery_whose_default_is_another_by_now_moves_no_live_service() {
    for (first, then) in [
        (Expand::Routes, Expand::Service),
        (Expand::Service, Expand::Routes),
    ] {
        let done = asked(first).git([service("hello", "hello:1")]).delivered();
        let before = done.plan().inventory;
        let later = done.with(|s| s.expand = then);
        let plan = later.plan();
        assert!(plan.is_empty(), "{plan}");
        assert_eq!(plan.services[0].mode, first);
        assert_eq!(plan.inventory, before);
        assert!(
            plan.left.iter().all(|left| !left.why.is_problem()),
            "{plan}"
        );
        // What the manifest itself asks for and does not get needs a person; with the command that helps.
        let mut own = service("hello", "hello:1");
        own["metadata"]["annotations"] = json!({"sluice.dev/expand": format!("{then:?}")});
        let later = later.git([own]);
        let refused = later
            .plan()
            .left
            .into_iter()
            .find(|left| left.why.is_problem());
        let said = refused.expect("a problem").to_string();
        let word = format!("{then:?}").to_lowercase();
        assert!(
            said.ends_with(&format!("sluice rollout convert hello --to {word}")),
            "{said}"
        );
        // What is new is made in the form that is asked for now.
        let both = later.git([service("hello", "hello:1"), service("young", "young:1")]);
        assert_eq!(both.plan().service("default", "young").unwrap().mode, then);
    }
}

#[test]
fn a_service_that_somebody_makes_beside_a_configuration_and_a_route_changes_nothing() {
    asked(Expand::Routes)
        .git([service("hello", "hello:1")])
        .delivered()
        .with(hand_made)
        .tells(expect!["nothing to do\n"]);
}

#[test]
fn between_the_forms_nothing_of_the_other_one_is_pruned() {
    // Released from its Service: Configuration and Route stand alone, the Service is still there.
    let released = asked(Expand::Service)
        .git([service("hello", "hello:1")])
        .delivered()
        .with(|s| {
            let alone = asked(Expand::Routes)
                .git([service("hello", "hello:1")])
                .delivered();
            s.live.extend(alone.live);
        });
    let plan = released.plan();
    assert_eq!(plan.services[0].mode, Expand::Routes);
    released.tells(expect![[r#"
        nothing to do
        skip    Configuration.serving.knative.dev default/hello: delivered as a Configuration and a Route, since the cluster has them and no Service takes them over by itself, though Service is asked for; to convert it without losing a request: sluice rollout convert hello --to service
        skip    Service.serving.knative.dev default/hello: kept beside the form that the service is delivered in; to end with one of them: sluice rollout convert
    "#]]);
    // Owned by it already: they go with it, and are nobody else's.
    asked(Expand::Routes)
        .git([service("hello", "hello:1")])
        .delivered()
        .with(|s| {
            hand_made(s);
            owned(s, "Configuration");
            owned(s, "Route");
        })
        .tells(expect![[r#"
            release default/hello: adopted from kubectl-create; traffic changed
            skip    Service.serving.knative.dev default/hello: delivered as a Service, since the cluster has one of that name, though Routes is asked for; to convert it without losing a request: sluice rollout convert hello --to routes
            skip    Configuration.serving.knative.dev default/hello: no longer in Git, kept: it is no longer ours
            skip    Route.serving.knative.dev default/hello: no longer in Git, kept: it is no longer ours
        "#]]);
}

#[test]
fn what_names_a_service_that_is_delivered_as_routes_is_refused_and_not_pruned() {
    let both = [service("hello", "hello:1"), trigger()];
    asked(Expand::Service).git(both.clone()).tells(expect![[r#"
            create  Trigger.eventing.knative.dev default/orders
            release default/hello: new
        "#]]);
    let routes = asked(Expand::Routes).git(both.clone());
    routes.tells(expect![[r#"
        release default/hello: new
        skip    Trigger.eventing.knative.dev default/orders: spec.subscriber.ref.name names the Knative Service hello, which is delivered as a Configuration and a Route (expand: Routes); write kind: Route, which has the same address, or deliver it with expand: Service (docs/rollout.md)
    "#]]);
    assert!(routes.plan().left.iter().all(|left| left.why.is_problem()));
    // What the cluster has of it stays.
    asked(Expand::Service)
        .git([trigger()])
        .delivered()
        .with(|s| s.expand = Expand::Routes)
        .git(both)
        .tells(expect![[r#"
            release default/hello: new
            skip    Trigger.eventing.knative.dev default/orders: spec.subscriber.ref.name names the Knative Service hello, which is delivered as a Configuration and a Route (expand: Routes); write kind: Route, which has the same address, or deliver it with expand: Service (docs/rollout.md)
        "#]]);
    // Nobody here delivers that one.
    asked(Expand::Routes).git([trigger()]).tells(expect![[r#"
            create  Trigger.eventing.knative.dev default/orders
        "#]]);
}

#[test]
fn a_service_beside_its_own_route_is_delivered_in_neither_form_and_not_pruned() {
    let route = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Route", "metadata": {"name": "hello"},
        "spec": {"traffic": [{"configurationName": "hello", "percent": 100}]}});
    for expand in [Expand::Service, Expand::Routes] {
        let done = asked(expand).git([service("hello", "hello:1")]).delivered();
        let clash = done.git([service("hello", "hello:2"), route.clone()]);
        clash.tells(expect![[r#"
            nothing to do
            skip    Route.serving.knative.dev default/hello: apps/1.yaml:1 and apps/0.yaml:1 would be written to the same object; remove all but one
            skip    Service.serving.knative.dev default/hello: apps/1.yaml:1 and apps/0.yaml:1 would be written to the same object; remove all but one
        "#]]);
        assert!(clash.plan().services.is_empty());
    }
}
