//! From a manifest to a Service that is ready, and to its next revisions.

use expect_test::expect;
use serde_json::json;

use super::super::kind::Kind;
use super::super::object::{ObjectExt, key};
use super::{Node, World, service};

#[test]
fn a_new_service_becomes_ready_and_then_nobody_writes_any_more() {
    let mut world = World::new();
    world
        .apply(&service("hello", "sluice.local/hello:v1"))
        .unwrap();
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-00001
          latestReadyRevisionName: hello-00001
          url: http://hello.default.localhost:8080
          100% hello-00001 latest
          ConfigurationsReady True
          Ready True
          RoutesReady True
    "#]]
    .assert_eq(&world.show(Kind::Service, "hello"));
    expect![[r#"
        Configuration hello
          latestCreatedRevisionName: hello-00001
          latestReadyRevisionName: hello-00001
          Ready True
    "#]]
    .assert_eq(&world.show(Kind::Configuration, "hello"));
    expect![[r#"
        Route hello
          url: http://hello.default.localhost:8080
          100% hello-00001 latest
          AllTrafficAssigned True
          CertificateProvisioned True TLSNotEnabled: external-domain-tls is not enabled
          IngressReady True
          Ready True
    "#]]
    .assert_eq(&world.show(Kind::Route, "hello"));
    expect![[r#"
        Revision hello-00001
          Active True
          ContainerHealthy True
          Ready True
          ResourcesAvailable True
    "#]]
    .assert_eq(&world.show(Kind::Revision, "hello-00001"));
    expect![[r#"
        Revision hello-00001: RevisionReady Revision becomes ready upon all resources being ready
        Configuration hello: ConfigurationReady Configuration becomes ready
        Configuration hello: LatestReadyUpdate LatestReadyRevisionName updated to "hello-00001""#]]
    .assert_eq(&world.notes.join("\n"));
    world.assert_at_rest();
}

#[test]
fn children_carry_the_names_labels_and_annotations_of_knative() {
    let mut world = World::new();
    world
        .apply(&service("hello", "sluice.local/hello:v1"))
        .unwrap();
    for (kind, name) in [
        (Kind::Configuration, "hello"),
        (Kind::Route, "hello"),
        (Kind::Revision, "hello-00001"),
        (Kind::PodAutoscaler, "hello-00001"),
        (Kind::CoreService, "hello"),
    ] {
        let metadata = &world.get(kind, name).metadata;
        assert!(metadata.owner_references.is_some(), "{name}");
    }
    let metadata = |kind, name: &str| {
        let metadata = &world.get(kind, name).metadata;
        serde_yaml::to_string(
            &json!({"labels": metadata.labels, "annotations": metadata.annotations}),
        )
        .unwrap()
    };
    expect![[r#"
        annotations:
          serving.knative.dev/creator: ada
          serving.knative.dev/lastModifier: ada
          serving.knative.dev/routes: hello
        labels:
          serving.knative.dev/service: hello
          serving.knative.dev/serviceUID: uid-1
    "#]]
    .assert_eq(&metadata(Kind::Configuration, "hello"));
    expect![[r#"
        annotations:
          serving.knative.dev/creator: ada
          serving.knative.dev/routes: hello
          serving.knative.dev/routingStateModified: 1970-01-01T00:00:00Z
        labels:
          serving.knative.dev/configuration: hello
          serving.knative.dev/configurationGeneration: '1'
          serving.knative.dev/configurationUID: uid-2
          serving.knative.dev/routingState: active
          serving.knative.dev/service: hello
          serving.knative.dev/serviceUID: uid-1
    "#]]
    .assert_eq(&metadata(Kind::Revision, "hello-00001"));
    expect![[r#"
        progressDeadlineSeconds: 600
        replicas: 1
        revisionHistoryLimit: 0
        selector:
          matchLabels:
            serving.knative.dev/revisionUID: uid-5
        strategy:
          rollingUpdate:
            maxSurge: 25%
            maxUnavailable: 0
          type: RollingUpdate
        template:
          metadata:
            annotations:
              kubectl.kubernetes.io/default-container: user-container
              serving.knative.dev/creator: ada
            labels:
              app: hello-00001
              serving.knative.dev/configuration: hello
              serving.knative.dev/configurationGeneration: '1'
              serving.knative.dev/configurationUID: uid-2
              serving.knative.dev/revision: hello-00001
              serving.knative.dev/revisionUID: uid-5
              serving.knative.dev/service: hello
              serving.knative.dev/serviceUID: uid-1
          spec:
            containers:
            - env:
              - name: PORT
                value: '8080'
              - name: K_REVISION
                value: hello-00001
              - name: K_CONFIGURATION
                value: hello
              - name: K_SERVICE
                value: hello
              image: sluice.local/hello:v1
              name: user-container
              ports:
              - containerPort: 8080
                name: user-port
                protocol: TCP
              readinessProbe:
                periodSeconds: 1
                successThreshold: 1
                tcpSocket:
                  port: 8080
              resources: {}
              terminationMessagePolicy: FallbackToLogsOnError
            enableServiceLinks: false
            terminationGracePeriodSeconds: 300
    "#]]
    .assert_eq(
        &serde_yaml::to_string(world.get(Kind::Deployment, "hello-00001-deployment").spec())
            .unwrap(),
    );
    expect![[r#"
        protocolType: http1
        reachability: Reachable
        scaleTargetRef:
          apiVersion: apps/v1
          kind: Deployment
          name: hello-00001-deployment
    "#]]
    .assert_eq(
        &serde_yaml::to_string(world.get(Kind::PodAutoscaler, "hello-00001").spec()).unwrap(),
    );
}

#[test]
fn a_new_template_takes_over_when_it_is_ready() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    world.node = Node::Idle;
    world.apply(&service("hello", "app:2")).unwrap();
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-00002
          latestReadyRevisionName: hello-00001
          url: http://hello.default.localhost:8080
          100% hello-00001 latest
          ConfigurationsReady Unknown
          Ready Unknown
          RoutesReady True
    "#]]
    .assert_eq(&world.show(Kind::Service, "hello"));
    assert_eq!(
        world.splits("hello"),
        "hello.default.localhost: 100% hello-00001\n"
    );
    world.node = Node::Ready;
    world.settle();
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-00002
          latestReadyRevisionName: hello-00002
          url: http://hello.default.localhost:8080
          100% hello-00002 latest
          ConfigurationsReady True
          Ready True
          RoutesReady True
    "#]]
    .assert_eq(&world.show(Kind::Service, "hello"));
    assert_eq!(
        world.splits("hello"),
        "hello.default.localhost: 100% hello-00002\n"
    );
    let state = |name| {
        world
            .get(Kind::Revision, name)
            .label(key::ROUTING_STATE)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (state("hello-00001"), state("hello-00002")),
        ("reserve".to_owned(), "active".to_owned())
    );
    world.assert_at_rest();
}

#[test]
fn metadata_alone_cuts_no_revision() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    world
        .apply(
            &service("hello", "app:1").replace("name: hello}", "name: hello, labels: {team: a}}"),
        )
        .unwrap();
    assert_eq!(world.names(Kind::Revision), ["hello-00001"]);
    assert_eq!(
        world.get(Kind::Configuration, "hello").label("team"),
        Some("a")
    );
    assert_eq!(world.get(Kind::Route, "hello").label("team"), Some("a"));
    world.assert_at_rest();
}

#[test]
fn a_revision_may_bring_its_own_name() {
    let mut world = World::new();
    let manifest = |name: &str, image: &str| {
        service("hello", image).replace(
            "{template: {spec",
            &format!("{{template: {{metadata: {{name: {name}}}, spec"),
        )
    };
    world.apply(&manifest("hello-blue", "app:1")).unwrap();
    world.apply(&manifest("hello-green", "app:2")).unwrap();
    assert_eq!(world.names(Kind::Revision), ["hello-blue", "hello-green"]);
    assert_eq!(
        world.splits("hello"),
        "hello.default.localhost: 100% hello-green\n"
    );
    // A name that is taken by another template moves nothing.
    world.apply(&manifest("hello-blue", "app:3")).unwrap();
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-green
          latestReadyRevisionName: hello-green
          url: http://hello.default.localhost:8080
          100% hello-green latest
          ConfigurationsReady False RevisionFailed: Revision creation failed with message: revisions.serving.knative.dev "hello-blue" already exists.
          Ready False RevisionNameTaken: The revision name "hello-blue" is taken by a conflicting Revision, so traffic will not be migrated
          RoutesReady False RevisionNameTaken: The revision name "hello-blue" is taken by a conflicting Revision, so traffic will not be migrated
    "#]].assert_eq(&world.show(Kind::Service, "hello"));
    assert_eq!(
        world.splits("hello"),
        "hello.default.localhost: 100% hello-green\n"
    );
    // The old template under its old name is an exact revert.
    world.apply(&manifest("hello-green", "app:2")).unwrap();
    world.apply(&manifest("hello-blue", "app:1")).unwrap();
    assert_eq!(
        world.splits("hello"),
        "hello.default.localhost: 100% hello-blue\n"
    );
    world.assert_at_rest();
}

#[test]
fn a_split_that_does_not_sum_up_never_reaches_the_controllers() {
    let mut world = World::new();
    let manifest = service("hello", "app:1").replace(
        "{template:",
        "{traffic: [{latestRevision: true, percent: 90}], template:",
    );
    expect!["validation failed: Traffic targets sum to 90, want 100: spec.traffic"]
        .assert_eq(&world.apply(&manifest).unwrap_err());
}

#[test]
fn a_crashing_candidate_is_unknown_until_its_deadline_and_then_says_why() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    world.node = Node::Idle;
    let manifest = service("hello", "app:2").replace(
        "{template: {spec",
        "{template: {metadata: {annotations: {serving.knative.dev/progress-deadline: 60s}}, spec",
    );
    world.apply(&manifest).unwrap();
    for name in world
        .names(Kind::Pod)
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
    {
        if world.get(Kind::Pod, &name).label(key::REVISION) == Some("hello-00001") {
            continue;
        }
        let mut pod = world.get(Kind::Pod, &name).clone();
        world.node = Node::Crashing;
        let status = world.pod_status().unwrap();
        world.node = Node::Idle;
        super::set(&mut pod, "status", status);
        world.put(Kind::Pod, pod);
    }
    world.after(jiff::SignedDuration::from_secs(59));
    expect![[r#"
        Revision hello-00002
          Active Unknown Queued
          ContainerHealthy Unknown Deploying
          Ready Unknown Deploying
          ResourcesAvailable Unknown Deploying
    "#]]
    .assert_eq(&world.show(Kind::Revision, "hello-00002"));
    world.after(jiff::SignedDuration::from_secs(2));
    expect![[r#"
        Revision hello-00002
          Active Unknown Queued
          ContainerHealthy False ExitCode3: Container failed with: no such table: users
          Ready False ExitCode3: Container failed with: no such table: users
          ResourcesAvailable False ProgressDeadlineExceeded: Deployment "hello-00002-deployment" has timed out progressing.
    "#]].assert_eq(&world.show(Kind::Revision, "hello-00002"));
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-00002
          latestReadyRevisionName: hello-00001
          url: http://hello.default.localhost:8080
          100% hello-00001 latest
          ConfigurationsReady False RevisionFailed: Revision "hello-00002" failed with message: Container failed with: no such table: users.
          Ready False RevisionFailed: Revision "hello-00002" failed with message: Container failed with: no such table: users.
          RoutesReady True
    "#]].assert_eq(&world.show(Kind::Service, "hello"));
    assert_eq!(
        world.splits("hello"),
        "hello.default.localhost: 100% hello-00001\n"
    );
    world.assert_at_rest();
}

#[test]
fn a_node_that_was_stopped_and_comes_back_fails_no_revision() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    world.node = Node::Back;
    world.settle();
    expect![[r#"
        Revision hello-00001
          Active Unknown Queued
          ContainerHealthy True
          Ready True
          ResourcesAvailable True
    "#]]
    .assert_eq(&world.show(Kind::Revision, "hello-00001"));
    // A program that ends by itself is another matter.
    world.node = Node::Crashing;
    world.settle();
    expect![[r#"
        Revision hello-00001
          Active Unknown Queued
          ContainerHealthy False ExitCode3: Container failed with: no such table: users
          Ready False ExitCode3: Container failed with: no such table: users
          ResourcesAvailable True
    "#]]
    .assert_eq(&world.show(Kind::Revision, "hello-00001"));
}

#[test]
fn a_first_revision_that_fails_fails_everything_above_it() {
    let mut world = World::new();
    world.node = Node::Crashing;
    world.apply(&service("hello", "app:1")).unwrap();
    world.after(jiff::SignedDuration::from_secs(601));
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-00001
          url: http://hello.default.localhost:8080
          ConfigurationsReady False RevisionFailed: Revision "hello-00001" failed with message: Container failed with: no such table: users.
          Ready False RevisionMissing: Configuration "hello" does not have any ready Revision.
          RoutesReady False RevisionMissing: Configuration "hello" does not have any ready Revision.
    "#]].assert_eq(&world.show(Kind::Service, "hello"));
    world.assert_at_rest();
}

#[test]
fn a_configuration_of_someone_else_is_left_alone() {
    let mut world = World::new();
    world
        .apply(&super::configuration("hello", "app:1"))
        .unwrap();
    world.apply(&service("hello", "app:2")).unwrap();
    expect![[r#"
        Service hello
          ConfigurationsReady False NotOwned: There is an existing Configuration "hello" that we do not own.
          Ready False NotOwned: There is an existing Configuration "hello" that we do not own.
          RoutesReady Unknown
    "#]].assert_eq(&world.show(Kind::Service, "hello"));
}

#[test]
fn what_others_change_on_children_is_set_right() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    let mut route = world.get(Kind::Route, "hello").clone();
    route
        .metadata
        .labels
        .get_or_insert_default()
        .insert("stray".to_owned(), "1".to_owned());
    world.put(Kind::Route, route);
    world.settle();
    assert_eq!(world.get(Kind::Route, "hello").label("stray"), None);
}
