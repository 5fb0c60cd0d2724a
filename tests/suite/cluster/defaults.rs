//! The planner's idea of Knative's defaults against the embedded webhook's: two
//! implementations, made apart, that must agree on every template.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sluice::local::admission::{self, Operation, Review};
use sluice::plan::digest;
use sluice::plan::template::changes;

fn served(template: &Value) -> Value {
    let mut object = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
        "metadata": {"name": "hello", "namespace": "default"}, "spec": {"template": template}});
    let review = Review {
        kind: "Configuration",
        operation: Operation::Create,
        old: None,
        username: "me",
    };
    admission::fill_defaults(&review, &mut object).unwrap();
    object["spec"]["template"].take()
}

fn some(name: &'static str, values: Vec<Value>) -> impl Strategy<Value = Option<(String, Value)>> {
    prop::option::of(prop::sample::select(values))
        .prop_map(move |value| Some((name.to_owned(), value?)))
}

fn object(fields: Vec<Option<(String, Value)>>) -> Value {
    Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>())
}

fn container() -> impl Strategy<Value = Value> {
    (
        some("image", vec![json!("a"), json!("b@sha256:0")]),
        some("name", vec![json!(""), json!("app"), json!("user-container")]),
        some("ports", vec![json!([]), json!([{"containerPort": 8080}]), json!([{"name": "h2c", "containerPort": 80}])]),
        some("resources", vec![
            json!({}),
            json!({"limits": {"cpu": "1000m", "memory": "1024Mi"}}),
            json!({"requests": {"cpu": "0.25"}, "limits": {}}),
        ]),
        some("readinessProbe", vec![
            json!({}),
            json!({"httpGet": {"path": "/ready"}}),
            json!({"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5}),
            json!({"grpc": {"port": 8080}, "successThreshold": 0}),
            json!({"periodSeconds": 3, "failureThreshold": 2}),
        ]),
        some("livenessProbe", vec![json!({"tcpSocket": {"port": 8080}}), json!({"grpc": {"port": 1}})]),
        some("env", vec![json!([]), json!([{"name": "A", "value": ""}, {"name": "B", "value": "1"}])]),
        some("volumeMounts", vec![
            json!([{"name": "config", "mountPath": "/c"}]),
            json!([{"name": "scratch", "mountPath": "/s"}, {"name": "config", "mountPath": "/c", "readOnly": true}]),
        ]),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| object(vec![a, b, c, d, e, f, g, h]))
}

fn template() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec(container(), 1..3),
        some("timeoutSeconds", vec![json!(0), json!(60), json!(300), json!(400)]),
        some("containerConcurrency", vec![json!(0), json!(10)]),
        some("enableServiceLinks", vec![json!(true), json!(false)]),
        some("volumes", vec![json!([{"name": "config", "configMap": {"name": "c"}}, {"name": "scratch", "emptyDir": {}}])]),
        some("metadata", vec![json!({}), json!({"annotations": {"autoscaling.knative.dev/min-scale": "1"}})]),
    )
        .prop_map(|(containers, a, b, c, d, metadata)| {
            let mut spec = object(vec![a, b, c, d]);
            spec["containers"] = Value::Array(containers);
            let mut template = object(vec![metadata]);
            template["spec"] = spec;
            template
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_the_webhook_fills_in_is_never_a_difference(template in template()) {
        prop_assert_eq!(changes(&template, &served(&template)), []);
        prop_assert_eq!(changes(&served(&template), &template), []);
        prop_assert_eq!(digest::template(&template), digest::template(&served(&template)));
    }

    #[test]
    fn two_templates_have_one_hash_exactly_where_they_do_not_differ(one in template(), other in template()) {
        let same = digest::template(&one) == digest::template(&other);
        prop_assert_eq!(changes(&one, &other).is_empty(), same);
        prop_assert_eq!(digest::template(&served(&one)) == digest::template(&served(&other)), same);
    }

    #[test]
    fn another_image_is_always_a_difference(template in template()) {
        let mut other = template.clone();
        other["spec"]["containers"][0]["image"] = json!("something/else");
        prop_assert!(!changes(&other, &served(&template)).is_empty());
        prop_assert_ne!(digest::template(&other), digest::template(&template));
    }
}
