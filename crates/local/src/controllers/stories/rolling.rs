//! A Service that takes its time to move to the next Revision.

use expect_test::expect;
use jiff::SignedDuration;

use super::super::kind::Kind;
use super::super::object::{ObjectExt, key};
use super::{World, service};

fn gradual(image: &str) -> String {
    service("hello", image).replace(
        "name: hello}",
        "name: hello, annotations: {serving.knative.dev/rollout-duration: 4s}}",
    )
}

#[test]
fn a_rollout_duration_moves_traffic_step_by_step() {
    let mut world = World::new();
    world.apply(&gradual("app:1")).unwrap();
    world.apply(&gradual("app:2")).unwrap();
    let mut told = world.splits("hello");
    expect![[r#"
        Service hello
          latestCreatedRevisionName: hello-00002
          latestReadyRevisionName: hello-00002
          url: http://hello.default.localhost:8080
          99% hello-00001
          1% hello-00002 latest
          ConfigurationsReady True
          Ready Unknown RolloutInProgress: A gradual rollout of the latest revision(s) is in progress.
          RoutesReady Unknown RolloutInProgress: A gradual rollout of the latest revision(s) is in progress.
    "#]]
    .assert_eq(&world.show(Kind::Service, "hello"));
    for _ in 0..4 {
        world.after(SignedDuration::from_secs(1));
        told.push_str(&world.splits("hello"));
    }
    expect![[r#"
        hello.default.localhost: 99% hello-00001, 1% hello-00002
        hello.default.localhost: 66% hello-00001, 34% hello-00002
        hello.default.localhost: 33% hello-00001, 67% hello-00002
        hello.default.localhost: 100% hello-00002
        hello.default.localhost: 100% hello-00002
    "#]]
    .assert_eq(&told);
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
    let old = world.get(Kind::Revision, "hello-00001");
    assert_eq!(old.label(key::ROUTING_STATE), Some("reserve"));
    world.assert_at_rest();
}
