//! Spellings of one template, and what only looks like one.

use expect_test::expect;
use serde_json::{Value, json};

use crate::plan::{digest, template};

/// A template with one container, and more in its spec and its metadata.
fn with(container: Value, spec: Value, metadata: Value) -> Value {
    let mut first = json!({"image": "a"});
    merge(&mut first, container);
    let mut whole = json!({"containers": [first]});
    merge(&mut whole, spec);
    json!({"metadata": metadata, "spec": whole})
}

fn merge(into: &mut Value, more: Value) {
    let more = more.as_object().cloned().unwrap_or_default();
    into.as_object_mut().unwrap().extend(more);
}

fn container(container: Value) -> Value {
    with(container, json!({}), json!({}))
}

fn spec(spec: Value) -> Value {
    with(json!({}), spec, json!({}))
}

fn metadata(metadata: Value) -> Value {
    with(json!({}), json!({}), metadata)
}

fn limits(cpu: Value, memory: Value) -> Value {
    container(json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}}))
}

/// Pairs that mean the same.
fn spellings() -> Vec<(&'static str, Value, Value)> {
    let plain = || json!({"spec": {"containers": [{"image": "a"}]}});
    let volumes = json!([{"name": "c", "configMap": {"name": "c"}}, {"name": "s", "emptyDir": {}}]);
    let mounted = |c: Value, s: Value| {
        with(
            json!({"volumeMounts": [c, s]}),
            json!({"volumes": volumes}),
            json!({}),
        )
    };
    vec![
        (
            "cpu in thousandths",
            limits(json!("1000m"), json!("1Gi")),
            limits(json!("1"), json!("1Gi")),
        ),
        (
            "cpu as a number",
            limits(json!(1), json!("1Gi")),
            limits(json!("1"), json!("1Gi")),
        ),
        (
            "half a cpu",
            limits(json!(0.5), json!("1Gi")),
            limits(json!("500m"), json!("1Gi")),
        ),
        (
            "memory in bytes",
            limits(json!("1"), json!(1_073_741_824)),
            limits(json!("1"), json!("1024Mi")),
        ),
        (
            "timeoutSeconds",
            spec(json!({"timeoutSeconds": 300})),
            plain(),
        ),
        (
            "timeoutSeconds of nothing",
            spec(json!({"timeoutSeconds": 0})),
            plain(),
        ),
        (
            "timeoutSeconds as YAML may have it",
            spec(json!({"timeoutSeconds": 60.0})),
            spec(json!({"timeoutSeconds": 60})),
        ),
        (
            "responseStartTimeoutSeconds",
            spec(json!({"timeoutSeconds": 400, "responseStartTimeoutSeconds": 300})),
            spec(json!({"timeoutSeconds": 400})),
        ),
        (
            "containerConcurrency",
            spec(json!({"containerConcurrency": 0})),
            plain(),
        ),
        (
            "enableServiceLinks",
            spec(json!({"enableServiceLinks": false})),
            plain(),
        ),
        (
            "the container's name",
            container(json!({"name": "user-container"})),
            plain(),
        ),
        ("an empty name", container(json!({"name": ""})), plain()),
        (
            "empty resources",
            container(json!({"resources": {"limits": {}, "requests": null}})),
            plain(),
        ),
        (
            "empty lists",
            container(json!({"env": [], "args": null, "command": [], "envFrom": []})),
            plain(),
        ),
        (
            "an empty pull policy",
            container(json!({"imagePullPolicy": ""})),
            plain(),
        ),
        (
            "the probe's numbers",
            container(
                json!({"readinessProbe": {"httpGet": {"path": "/"}, "successThreshold": 1, "timeoutSeconds": 0}}),
            ),
            container(json!({"readinessProbe": {"httpGet": {"path": "/"}}})),
        ),
        (
            "the probe's handler",
            container(json!({"readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1}})),
            plain(),
        ),
        (
            "an empty probe",
            container(json!({"readinessProbe": {}})),
            plain(),
        ),
        (
            "a slow probe",
            container(
                json!({"readinessProbe": {"periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 1}}),
            ),
            container(json!({"readinessProbe": {"periodSeconds": 5}})),
        ),
        (
            "a grpc probe",
            container(json!({"livenessProbe": {"grpc": {"port": 1, "service": ""}}})),
            container(json!({"livenessProbe": {"grpc": {"port": 1}}})),
        ),
        (
            "the port's protocol and name",
            container(json!({"ports": [{"containerPort": 80, "protocol": "TCP", "name": ""}]})),
            container(json!({"ports": [{"containerPort": 80}]})),
        ),
        (
            "an empty value",
            container(json!({"env": [{"name": "A", "value": ""}]})),
            container(json!({"env": [{"name": "A"}]})),
        ),
        (
            "a mount that cannot be written",
            mounted(
                json!({"name": "c", "mountPath": "/c", "readOnly": true}),
                json!({"name": "s", "mountPath": "/s", "readOnly": false}),
            ),
            mounted(
                json!({"name": "c", "mountPath": "/c"}),
                json!({"name": "s", "mountPath": "/s"}),
            ),
        ),
        (
            "no time of creation",
            metadata(json!({"creationTimestamp": null})),
            plain(),
        ),
        (
            "empty metadata",
            metadata(json!({"labels": {}, "annotations": null})),
            plain(),
        ),
        (
            "the rollout's attempt",
            metadata(json!({"annotations": {"sluice.dev/attempt": "2"}})),
            plain(),
        ),
        (
            "the marks of kn",
            metadata(
                json!({"annotations": {"client.knative.dev/updateTimestamp": "2026-01-01T00:00:00Z"}}),
            ),
            plain(),
        ),
        (
            "kubectl's copy",
            metadata(
                json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}),
            ),
            plain(),
        ),
    ]
}

#[test]
fn another_spelling_has_the_same_hash_and_shows_no_difference_either_way() {
    let spellings = spellings();
    assert!(spellings.len() >= 14);
    for (what, one, other) in spellings {
        assert_ne!(
            digest::v1::template(&one),
            digest::v1::template(&other),
            "{what}: the first hash told them apart"
        );
        assert_eq!(digest::template(&one), digest::template(&other), "{what}");
        assert_eq!(template::changes(&one, &other), [], "{what}");
        assert_eq!(template::changes(&other, &one), [], "{what}");
    }
}

#[test]
fn what_means_something_else_has_another_hash_and_shows() {
    let plain = json!({"spec": {"containers": [{"image": "a"}]}});
    for (other, shown) in [
        (
            limits(json!("1m"), json!("1Gi")),
            "+spec.template.spec.containers[0].resources.limits.cpu",
        ),
        (
            spec(json!({"timeoutSeconds": 301})),
            "+spec.template.spec.timeoutSeconds",
        ),
        (
            spec(json!({"containerConcurrency": 1})),
            "+spec.template.spec.containerConcurrency",
        ),
        (
            spec(json!({"enableServiceLinks": true})),
            "+spec.template.spec.enableServiceLinks",
        ),
        (
            container(json!({"name": "app"})),
            "+spec.template.spec.containers[0].name",
        ),
        (
            container(json!({"args": [""]})),
            "+spec.template.spec.containers[0].args",
        ),
        (
            container(json!({"imagePullPolicy": "Always"})),
            "+spec.template.spec.containers[0].imagePullPolicy",
        ),
        (
            container(json!({"securityContext": {"runAsUser": 0}})),
            "+spec.template.spec.containers[0].securityContext.runAsUser",
        ),
        (
            container(json!({"securityContext": {"allowPrivilegeEscalation": false}})),
            "+spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation",
        ),
        (
            spec(json!({"volumes": [{"name": "s", "emptyDir": {}}]})),
            "+spec.template.spec.volumes",
        ),
        (
            metadata(json!({"labels": {"limits": ""}})),
            "+spec.template.metadata.labels.limits",
        ),
        (
            metadata(json!({"name": "hello-1"})),
            "+spec.template.metadata.name",
        ),
        (
            metadata(json!({"annotations": {"autoscaling.knative.dev/min-scale": "1"}})),
            "+spec.template.metadata.annotations[autoscaling.knative.dev/min-scale]",
        ),
    ] {
        assert_ne!(
            digest::template(&plain),
            digest::template(&other),
            "{shown}"
        );
        let changes = template::changes(&other, &plain);
        assert_eq!(changes[0].to_string(), shown);
        let back = template::changes(&plain, &other);
        assert_eq!(back[0].to_string(), shown.replacen('+', "-", 1));
    }
    // A label is no amount, whatever it is called.
    let label = |value: &str| metadata(json!({"labels": {"limits": value}}));
    assert_ne!(
        digest::template(&label("1")),
        digest::template(&label("1000m"))
    );
}

#[test]
fn of_several_containers_each_keeps_its_name() {
    let pair = |first: Value, second: Value| {
        json!({"spec": {"containers": [
            {"image": "a", "name": first, "ports": [{"containerPort": 80}]}, {"image": "b", "name": second}]}})
    };
    let unnamed = json!({"spec": {"containers": [
        {"image": "a", "ports": [{"containerPort": 80}]}, {"image": "b"}]}});
    let named = pair(json!("user-container-0"), json!("user-container-1"));
    assert_eq!(digest::template(&unnamed), digest::template(&named));
    assert_ne!(
        digest::template(&unnamed),
        digest::template(&pair(json!("a"), json!("b")))
    );
}

/// Stored in every cluster: where these change, the version has to.
#[test]
fn the_hash_of_a_template_stays_what_it_is() {
    let hello = json!({"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
        "spec": {"containers": [{"image": "hello:1", "resources": {"limits": {"cpu": "1000m"}}}]}});
    let hashes = format!(
        "{} {}",
        digest::v1::template(&hello),
        digest::template(&hello)
    );
    expect!["db275672fd08867a v2-f544447913de0911"].assert_eq(&hashes);
}
