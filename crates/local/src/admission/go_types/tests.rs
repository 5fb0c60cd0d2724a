//! What the round trip through Go's types makes of an object, and what it refuses.

use serde_json::{Value, json};

use super::round_trip;

fn service(container: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

fn written(mut object: Value) -> Value {
    round_trip("Service", &mut object).unwrap();
    object
}

#[test]
fn empty_optional_fields_vanish_and_required_ones_appear() {
    let mut object = service(json!({
        "image": "a",
        "command": [],
        "stdin": false,
        "env": [{"name": "A", "value": ""}],
        "ports": [{}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 2}},
        "readinessProbe": {"tcpSocket": {}, "periodSeconds": 0},
        "securityContext": {"seccompProfile": {}},
    }));
    object["spec"]["traffic"] = json!([{"tag": "", "revisionName": "a", "percent": 0}]);
    object["spec"]["template"]["metadata"] = json!({"labels": {}, "name": ""});
    object["spec"]["template"]["spec"]["timeoutSeconds"] = json!(0);
    object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    assert_eq!(
        written(object),
        json!({"spec": {
            "template": {
                "metadata": {},
                "spec": {
                    "timeoutSeconds": 0,
                    "containers": [{
                        "name": "",
                        "image": "a",
                        "env": [{"name": "A"}],
                        "ports": [{"containerPort": 0}],
                        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "2"}},
                        "readinessProbe": {"tcpSocket": {"port": 0}},
                        "securityContext": {"seccompProfile": {"type": ""}},
                    }],
                    "volumes": [{"name": "v", "emptyDir": {}}],
                },
            },
            "traffic": [{"revisionName": "a", "percent": 0}],
        }})
    );
}

#[test]
fn a_round_trip_of_a_round_trip_changes_nothing() {
    for object in [
        json!({}),
        service(json!({"image": "a", "ports": [{"containerPort": 8080}]})),
    ] {
        let once = written(object);
        assert_eq!(written(once.clone()), once);
    }
    assert_eq!(
        written(json!({})),
        json!({"spec": {"template": {"metadata": {}, "spec": {"containers": null}}}})
    );
}

/// The words were seen on a Knative 1.21 that was built with Go 1.26.
#[test]
fn what_does_not_fit_is_told_in_gos_words() {
    for (mut object, words) in [
        (
            service(json!({"image": 1, "name": 2})),
            "json: cannot unmarshal number into Go struct field Container.spec.ConfigurationSpec.template.spec.PodSpec.containers.image of type string",
        ),
        (
            json!({"metadata": {"generation": 1.5}, "spec": []}),
            "json: cannot unmarshal number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64",
        ),
        (
            json!({"spec": {"template": []}}),
            "json: cannot unmarshal array into Go struct field ServiceSpec.spec.ConfigurationSpec.template of type v1.RevisionTemplateSpec",
        ),
        (
            json!({"spec": "x"}),
            "json: cannot unmarshal string into Go struct field Service.spec of type v1.ServiceSpec",
        ),
        (
            service(json!({"resources": {"limits": "x"}})),
            "json: cannot unmarshal string into Go struct field ResourceRequirements.spec.ConfigurationSpec.template.spec.PodSpec.containers.resources.limits of type v1.ResourceList",
        ),
        (
            service(json!({"readinessProbe": {"httpGet": {"port": 1.5}}})),
            "json: cannot unmarshal number 1.5 into Go struct field HTTPGetAction.spec.ConfigurationSpec.template.spec.PodSpec.containers.readinessProbe.ProbeHandler.httpGet.port of type int32",
        ),
        (
            service(json!({"image": 1, "resources": {"limits": {"cpu": "x"}}})),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            json!({"spec": {"traffic": [{"url": "%zz"}]}}),
            "parse \"%zz\": invalid URL escape \"%zz\"",
        ),
    ] {
        assert_eq!(round_trip("Service", &mut object), Err(words.to_owned()));
    }
}
