//! What Git says and cannot have.

use expect_test::expect;
use serde_json::{Value, json};

use super::scenarios::{config_map, key, service, story};
use crate::api::delivery::Expand;
use crate::plan::*;

#[test]
fn a_traffic_block_that_cannot_be_used_stays_out_of_the_plan_and_nothing_else_does() {
    let with = |traffic: Value| {
        let mut hello = service("hello", "hello:2");
        hello["spec"]["traffic"] = traffic;
        hello
    };
    let done = || story().git([service("hello", "hello:1")]).delivered();
    let hello_with_half = || with(json!([{"percent": 50}]));
    let half = done().git([hello_with_half()]);
    let plan = half.plan();
    let hello = plan.service("default", "hello").unwrap();
    assert_eq!(hello.traffic, []);
    let problem = hello.traffic_problem.as_deref();
    assert_eq!(
        problem,
        Some("spec.traffic: the entries sum to 50 %, want 100 %")
    );
    half.tells(expect![[r#"
        release default/hello: template changed (~spec.template.spec.containers[0].image)
    "#]]);
    let shown = diff::render(&diff::differences(&plan, &half.live), diff::Style::Plain);
    assert!(!shown.contains("traffic"), "{shown}");
    // Neither does it count as a file that cannot be read.
    let rendered = half.rendered();
    assert_eq!((rendered.objects().len(), rendered.errors().len()), (1, 1));
    assert_eq!(rendered.broken(), []);
    // A Route may name another Configuration, a Service may not.
    let other = json!([{"percent": 90}, {"percent": 10, "configurationName": "other"}]);
    let as_routes = done().git([with(other.clone())]).plan();
    let hello = as_routes.service("default", "hello").unwrap();
    assert_eq!((hello.traffic.len(), &hello.traffic_problem), (2, &None));
    story()
        .with(|s| s.expand = Expand::Service)
        .git([with(other)])
        .tells(expect![[r#"
            release default/hello: new
            skip    Service.serving.knative.dev default/hello: its traffic stays as it is: spec.traffic[1].configurationName: a Knative Service may not name another Configuration; name a revision, or deliver it with sluice.dev/expand: Routes
        "#]]);
}

#[test]
fn an_object_that_says_anything_of_prune_is_kept() {
    // Nobody can write this in Git; in the cluster anybody can.
    let left = story()
        .git([config_map("a", "1"), config_map("b", "1")])
        .delivered()
        .with(|s| {
            let mut map = s.live[&key("ConfigMap", "b")].value();
            map["metadata"]["annotations"]["sluice.dev/prune"] = json!("maybe");
            s.serve(&map, "kubectl-edit");
            s.git = vec![config_map("a", "1")];
        });
    left.tells(expect![[r#"
        nothing to do
        skip    ConfigMap default/b: no longer in Git, kept: its sluice.dev/prune is "maybe"; write disabled to keep it, or remove the annotation
    "#]]);
    assert!(left.plan().left.iter().all(|left| left.why.is_problem()));
}
