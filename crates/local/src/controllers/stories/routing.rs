//! Routes of their own, as Sluice makes them: several Configurations, tags, and targets
//! that do not resolve.

use expect_test::expect;

use super::super::dispatch::Controller;
use super::super::kind::Kind;
use super::super::object::{ObjectExt, key};
use super::{Node, World, configuration, route, service};

#[test]
fn a_route_by_hand_serves_revisions_of_two_configurations() {
    let mut world = World::new();
    world.apply(&configuration("app", "app:1")).unwrap();
    world.apply(&configuration("app-pr-42", "app:pr")).unwrap();
    world
        .apply(&route(
            "app",
            &[
                "{revisionName: app-00001, percent: 90}",
                "{revisionName: app-00001, tag: candidate}",
                "{revisionName: app-pr-42-00001, percent: 10, tag: pr-42}",
            ],
        ))
        .unwrap();
    expect![[r#"
        Route app
          url: http://app.default.localhost:8080
          90% app-00001
          0% app-00001 candidate at http://candidate-app.default.localhost:8080
          10% app-pr-42-00001 pr-42 at http://pr-42-app.default.localhost:8080
          AllTrafficAssigned True
          CertificateProvisioned True TLSNotEnabled: external-domain-tls is not enabled
          IngressReady True
          Ready True
    "#]]
    .assert_eq(&world.show(Kind::Route, "app"));
    expect![[r#"
        app.default.localhost: 90% app-00001, 10% app-pr-42-00001
        candidate-app.default.localhost: 100% app-00001
        pr-42-app.default.localhost: 100% app-pr-42-00001
    "#]]
    .assert_eq(&world.splits("app"));
    expect![[r#"
        app
        candidate-app
        pr-42-app"#]]
    .assert_eq(&world.names(Kind::CoreService).join("\n"));
    expect![[r#"
        hosts:
        - app.default
        - app.default.svc
        - app.default.svc.cluster.local
        http:
          paths:
          - splits:
            - appendHeaders:
                Knative-Serving-Namespace: default
                Knative-Serving-Revision: app-00001
              percent: 90
              serviceName: app-00001
              serviceNamespace: default
              servicePort: 80
            - appendHeaders:
                Knative-Serving-Namespace: default
                Knative-Serving-Revision: app-pr-42-00001
              percent: 10
              serviceName: app-pr-42-00001
              serviceNamespace: default
              servicePort: 80
        visibility: ClusterLocal
    "#]]
    .assert_eq(
        &serde_yaml::to_string(&world.get(Kind::Ingress, "app").spec()["rules"][0]).unwrap(),
    );
    for name in ["app-00001", "app-pr-42-00001"] {
        let revision = world.get(Kind::Revision, name);
        assert_eq!(revision.label(key::ROUTING_STATE), Some("active"));
        assert_eq!(revision.annotation(key::ROUTES), Some("app"));
    }
    world.assert_at_rest();
    // A tag that goes takes its name with it.
    world
        .apply(&route("app", &["{revisionName: app-00001, percent: 100}"]))
        .unwrap();
    assert_eq!(world.names(Kind::CoreService), ["app"]);
    let reserve = world.get(Kind::Revision, "app-pr-42-00001");
    assert_eq!(reserve.label(key::ROUTING_STATE), Some("reserve"));
    assert_eq!(reserve.annotation(key::ROUTES), None);
    assert_eq!(
        world.get(Kind::PodAutoscaler, "app-pr-42-00001").spec()["reachability"],
        "Unreachable"
    );
    world.assert_at_rest();
}

#[test]
fn a_target_that_is_not_ready_leaves_the_old_routing() {
    let mut world = World::new();
    world.apply(&configuration("app", "app:1")).unwrap();
    world
        .apply(&route("app", &["{revisionName: app-00001, percent: 100}"]))
        .unwrap();
    world.node = Node::Idle;
    world.apply(&configuration("app", "app:2")).unwrap();
    world
        .apply(&route(
            "app",
            &[
                "{revisionName: app-00001, percent: 50}",
                "{revisionName: app-00002, percent: 50, tag: candidate}",
            ],
        ))
        .unwrap();
    expect![[r#"
        Route app
          url: http://app.default.localhost:8080
          100% app-00001
          AllTrafficAssigned Unknown RevisionMissing: Revision "app-00002" is not yet ready.
          CertificateProvisioned True TLSNotEnabled: external-domain-tls is not enabled
          IngressReady Unknown IngressNotConfigured: Ingress has not yet been reconciled.
          Ready Unknown RevisionMissing: Revision "app-00002" is not yet ready.
    "#]]
    .assert_eq(&world.show(Kind::Route, "app"));
    assert_eq!(
        world.splits("app"),
        "app.default.localhost: 100% app-00001\n"
    );
    world.node = Node::Ready;
    world.settle();
    expect![[r#"
        Route app
          url: http://app.default.localhost:8080
          50% app-00001
          50% app-00002 candidate at http://candidate-app.default.localhost:8080
          AllTrafficAssigned True
          CertificateProvisioned True TLSNotEnabled: external-domain-tls is not enabled
          IngressReady True
          Ready True
    "#]]
    .assert_eq(&world.show(Kind::Route, "app"));
    expect![[r#"
        app.default.localhost: 50% app-00001, 50% app-00002
        candidate-app.default.localhost: 100% app-00002
    "#]]
    .assert_eq(&world.splits("app"));
}

#[test]
fn what_is_not_there_is_named_and_picked_up_when_it_comes() {
    let mut world = World::new();
    world.apply(&configuration("app", "app:1")).unwrap();
    world
        .apply(&route(
            "app",
            &[
                "{revisionName: app-00009, percent: 50}",
                "{configurationName: other, percent: 50}",
            ],
        ))
        .unwrap();
    expect![[r#"
        Route app
          url: http://app.default.localhost:8080
          AllTrafficAssigned False ConfigurationMissing: Configuration "other" referenced in traffic not found.
          CertificateProvisioned Unknown
          IngressReady Unknown IngressNotConfigured: Ingress has not yet been reconciled.
          Ready False ConfigurationMissing: Configuration "other" referenced in traffic not found.
    "#]].assert_eq(&world.show(Kind::Route, "app"));
    world
        .apply(&route("app", &["{configurationName: other, percent: 100}"]))
        .unwrap();
    world.apply(&configuration("other", "app:1")).unwrap();
    assert_eq!(
        world.splits("app"),
        "app.default.localhost: 100% other-00001\n"
    );
}

#[test]
fn a_service_may_not_route_to_a_revision_of_another_one() {
    let mut world = World::new();
    world.apply(&configuration("sp-pr-42", "app:1")).unwrap();
    let manifest = service("ceo", "app:1").replace(
        "{template:",
        "{traffic: [{revisionName: sp-pr-42-00001, percent: 100}], template:",
    );
    world.apply(&manifest).unwrap();
    expect![[r#"
        Service ceo
          latestCreatedRevisionName: ceo-00001
          latestReadyRevisionName: ceo-00001
          url: http://ceo.default.localhost:8080
          ConfigurationsReady True
          Ready False RevisionNotOwned: Revision "sp-pr-42-00001" does not belong to Service "ceo".
          RoutesReady False RevisionNotOwned: Revision "sp-pr-42-00001" does not belong to Service "ceo".
    "#]].assert_eq(&world.show(Kind::Service, "ceo"));
}

#[test]
fn a_cluster_local_route_has_no_public_host() {
    let mut world = World::new();
    world
        .apply(&service("hello", "app:1").replace(
            "name: hello}",
            "name: hello, labels: {networking.knative.dev/visibility: cluster-local}}",
        ))
        .unwrap();
    assert_eq!(world.splits("hello"), "");
    assert_eq!(
        world.get(Kind::Service, "hello").status()["url"],
        "http://hello.default.svc.cluster.local"
    );
}

#[test]
fn a_route_that_goes_takes_its_marks_with_it() {
    let mut world = World::new();
    world.apply(&configuration("app", "app:1")).unwrap();
    world
        .apply(&route("app", &["{configurationName: app, percent: 100}"]))
        .unwrap();
    let mut going = world.get(Kind::Route, "app").clone();
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        world.now,
    ));
    world.put(Kind::Route, going);
    world.settle();
    let revision = world.get(Kind::Revision, "app-00001");
    assert_eq!(revision.label(key::ROUTING_STATE), Some("reserve"));
    assert_eq!(revision.annotation(key::ROUTES), None);
    assert_eq!(
        world
            .get(Kind::Configuration, "app")
            .annotation(key::ROUTES),
        None
    );
    let finalizers = world.get(Kind::Route, "app").metadata.finalizers.clone();
    assert_eq!(finalizers.unwrap_or_default(), Vec::<String>::new());
}

#[test]
fn a_placeholder_in_someone_elses_hands_stops_the_route() {
    let mut world = World::new();
    world.apply(&configuration("app", "app:1")).unwrap();
    let stranger = serde_json::from_value(serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "app"}, "spec": {"type": "ClusterIP"},
    }))
    .unwrap();
    world.put(Kind::CoreService, stranger);
    world
        .apply(&route("app", &["{configurationName: app, percent: 100}"]))
        .unwrap();
    expect![[r#"
        Route app
          url: http://app.default.localhost:8080
          100% app-00001 latest
          AllTrafficAssigned True
          CertificateProvisioned Unknown
          IngressReady False NotOwned: There is an existing placeholder Service "app" that we do not own.
          Ready False NotOwned: There is an existing placeholder Service "app" that we do not own.
    "#]].assert_eq(&world.show(Kind::Route, "app"));
}

#[test]
fn a_route_hears_of_the_revisions_of_the_configuration_it_follows() {
    let mut world = World::new();
    world.apply(&configuration("app", "app:1")).unwrap();
    world
        .apply(&route("app", &["{configurationName: app, percent: 100}"]))
        .unwrap();
    world.node = Node::Idle;
    world.apply(&configuration("app", "app:2")).unwrap();
    // The watches of the kinds are apart: the Configuration may say "ready" before its
    // Revision is seen to be, and the Route, which looked too early, must be told again.
    let revision = world.get(Kind::Revision, "app-00002").clone();
    world.put(Kind::Revision, revision);
    assert!(world.is_due(Controller::Route, "app"));
}
