//! Whole objects through defaults and checks, as a client would see it.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{Operation, Review, fill_defaults, refusal, validate};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn create(kind: &str, text: &str) -> (Value, Result<Vec<String>, String>) {
    let mut object = yaml(text);
    let review = Review {
        kind,
        operation: Operation::Create,
        old: None,
        username: "ada",
    };
    let answer = review_of(&review, &mut object);
    (object, answer)
}

fn review_of(review: &Review<'_>, object: &mut Value) -> Result<Vec<String>, String> {
    fill_defaults(review, object).map_err(|why| why.to_string())?;
    let verdict = validate(review, object);
    if verdict.errors.is_empty() {
        Ok(verdict.warnings)
    } else {
        Err(refusal(&verdict.errors))
    }
}

fn update(
    kind: &str,
    old: &Value,
    change: impl FnOnce(&mut Value),
) -> (Value, Result<Vec<String>, String>) {
    let mut object = old.clone();
    change(&mut object);
    let review = Review {
        kind,
        operation: Operation::Update,
        old: Some(old),
        username: "bob",
    };
    let answer = review_of(&review, &mut object);
    (object, answer)
}

fn refused(kind: &str, text: &str, expected: Expect) {
    let (_, answer) = create(kind, text);
    expected.assert_eq(&answer.expect_err("was accepted"));
}

const HELLO: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    spec:
      containers:
      - image: sluice.local/hello:v1
        resources: {limits: {cpu: 1000m, memory: 1024Mi}}
        env: [{name: TARGET, value: World}]
";

#[test]
fn a_minimal_service_gets_what_a_real_webhook_gives_it() {
    let (object, answer) = create("Service", HELLO);
    expect![[r#"
        apiVersion: serving.knative.dev/v1
        kind: Service
        metadata:
          annotations:
            serving.knative.dev/creator: ada
            serving.knative.dev/lastModifier: ada
          name: hello
        spec:
          template:
            metadata: {}
            spec:
              containerConcurrency: 0
              containers:
              - env:
                - name: TARGET
                  value: World
                image: sluice.local/hello:v1
                name: user-container
                readinessProbe:
                  successThreshold: 1
                  tcpSocket:
                    port: 0
                resources:
                  limits:
                    cpu: '1'
                    memory: 1Gi
              enableServiceLinks: false
              timeoutSeconds: 300
          traffic:
          - latestRevision: true
            percent: 100
    "#]]
    .assert_eq(&serde_yaml::to_string(&object).unwrap());
    expect![[r#"
        Kubernetes default value is insecure, Knative may default this to secure in a future release: spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation, spec.template.spec.containers[0].securityContext.capabilities, spec.template.spec.containers[0].securityContext.runAsNonRoot, spec.template.spec.containers[0].securityContext.seccompProfile"#]]
    .assert_eq(&answer.unwrap().join("\n"));
}

#[test]
fn writing_a_defaulted_object_again_changes_nothing() {
    let (object, _) = create("Service", HELLO);
    let (again, answer) = update("Service", &object, |_| {});
    answer.unwrap();
    assert_eq!(object, again, "bob did not modify anything");
}

#[test]
fn the_last_modifier_is_who_changed_the_spec() {
    let (object, _) = create("Service", HELLO);
    let (changed, answer) = update("Service", &object, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] =
            json!("sluice.local/hello:v2");
    });
    answer.unwrap();
    let annotations = &changed["metadata"]["annotations"];
    assert_eq!(annotations["serving.knative.dev/creator"], "ada");
    assert_eq!(annotations["serving.knative.dev/lastModifier"], "bob");
}

#[test]
fn a_long_timeout_brings_a_response_start_timeout() {
    let (object, _) = create(
        "Configuration",
        "{metadata: {name: c}, spec: {template: {spec: {timeoutSeconds: 400, containers: [{image: app}]}}}}",
    );
    let spec = &object["spec"]["template"]["spec"];
    assert_eq!(spec["responseStartTimeoutSeconds"], 300);
    assert_eq!(spec["timeoutSeconds"], 400);
}

#[test]
fn several_containers_are_numbered_and_only_the_one_with_a_port_is_probed() {
    let (object, answer) = create(
        "Configuration",
        "{metadata: {name: c}, spec: {template: {spec: {containers: [
            {image: app, ports: [{containerPort: 8080}]}, {image: side}, {image: other, name: user-container-1}]}}}}",
    );
    answer.unwrap();
    let containers = object["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    let names: Vec<_> = containers
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["user-container-0", "user-container-2", "user-container-1"]
    );
    assert!(containers[0].get("readinessProbe").is_some());
    assert!(containers[1].get("readinessProbe").is_none());
}

#[test]
fn volumes_that_cannot_be_written_are_mounted_read_only() {
    let (object, answer) = create(
        "Configuration",
        "{metadata: {name: c}, spec: {template: {spec: {
            containers: [{image: app, volumeMounts: [{name: s, mountPath: /s}, {name: e, mountPath: /e}]}],
            volumes: [{name: s, secret: {secretName: x}}, {name: e, emptyDir: {}}]}}}}",
    );
    answer.unwrap();
    let mounts = &object["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    assert_eq!(
        mounts,
        &json!([{"name": "s", "mountPath": "/s", "readOnly": true}, {"name": "e", "mountPath": "/e"}])
    );
}

#[test]
fn a_bad_split_on_a_route_under_a_foreign_label_is_refused_as_seen_on_knative() {
    refused(
        "Route",
        "{metadata: {name: r, labels: {serving.knative.dev/service: ceo}}, spec: {traffic: [
            {revisionName: a-00001, percent: 90}]}}",
        expect![[r#"
            validation failed: Traffic targets sum to 90, want 100: spec.traffic
            missing field(s): metadata.labels.serving.knative.dev/service"#]],
    );
}

#[test]
fn each_bad_target_is_named() {
    refused(
        "Service",
        "{metadata: {name: s}, spec: {template: {spec: {containers: [{image: app}]}}, traffic: [
            {percent: 120, configurationName: c, tag: x},
            {revisionName: s-00001, latestRevision: true, percent: -20, tag: x},
            {tag: Bad, url: 'http://x'}]}}",
        expect![[r#"
            validation failed: Multiple definitions for "x": spec.traffic[0].tag, spec.traffic[1].tag
            expected 0 <= -20 <= 100: spec.traffic[1].percent
            expected 0 <= 120 <= 100: spec.traffic[0].percent
            invalid value: not a DNS 1035 label: [a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')]: spec.traffic.tag[2]
            may not set revisionName "s-00001" when latestRevision is true: spec.traffic[1].latestRevision
            must not set the field(s): spec.traffic[0].configurationName, spec.traffic[2].url"#]],
    );
    refused(
        "Route",
        "{metadata: {name: r}, spec: {traffic: [{percent: 50}, {percent: 50, revisionName: a, configurationName: b}]}}",
        expect![[r#"
            validation failed: expected exactly one, got both: spec.traffic[1].configurationName, spec.traffic[1].revisionName
            expected exactly one, got neither: spec.traffic[0].configurationName, spec.traffic[0].revisionName"#]],
    );
}

#[test]
fn what_a_container_may_not_have_is_listed() {
    refused(
        "Service",
        "{metadata: {name: s}, spec: {template: {spec: {
            hostNetwork: true,
            containerConcurrency: 1001,
            timeoutSeconds: 601,
            containers: [{
              name: queue-proxy,
              image: 'Not An Image',
              stdin: true,
              lifecycle: {preStop: {exec: {command: [x]}}},
              env: [{name: PORT, value: '1'}, {value: x}, {name: A, valueFrom: {fieldRef: {fieldPath: x}}}],
              ports: [{containerPort: 8012, name: grpc, hostPort: 80}],
              volumeMounts: [{name: nope, mountPath: /dev}],
              readinessProbe: {httpGet: {port: 8080}, exec: {command: [x]}, failureThreshold: 3},
              securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}},
            }]}}}}",
        expect![[r#"
            validation failed: "PORT" is a reserved environment variable: spec.template.spec.containers[0].env[0].name
            "queue-proxy" is a reserved container name: spec.template.spec.containers[0].name
            Failed to parse image reference: spec.template.spec.containers[0].image
            image: "Not An Image", error: could not parse reference: Not An Image
            Port name grpc is not allowed: spec.template.spec.containers[0].ports
            Name must be empty, or one of: 'h2c', 'http1'
            expected 0 <= 1001 <= 1000: spec.template.spec.containerConcurrency
            expected 0 <= 601 <= 600: spec.template.spec.timeoutSeconds
            expected exactly one, got both: spec.template.spec.containers[0].readinessProbe.exec, spec.template.spec.containers[0].readinessProbe.httpGet
            failureThreshold is disallowed when periodSeconds is zero: spec.template.spec.containers[0].readinessProbe.failureThreshold
            invalid value: 8012 is a reserved port: spec.template.spec.containers[0].ports.containerPort
            8012 is a reserved port, please use a different value
            missing field(s): spec.template.spec.containers[0].env[1].name
            mountPath "/dev" is a reserved path: spec.template.spec.containers[0].volumeMounts[0].mountPath
            must not set the field(s): spec.template.spec.containers[0].env[2].valueFrom.fieldRef, spec.template.spec.containers[0].lifecycle, spec.template.spec.containers[0].ports.hostPort, spec.template.spec.containers[0].securityContext.capabilities.add, spec.template.spec.containers[0].securityContext.privileged, spec.template.spec.containers[0].stdin, spec.template.spec.hostNetwork
            volumeMount has no matching volume: spec.template.spec.containers[0].volumeMounts[0].name"#]],
    );
}

#[test]
fn names_and_misplaced_annotations_are_refused() {
    refused(
        "Service",
        "{metadata: {name: 1hello, annotations: {autoscaling.knative.dev/min-scale: '1', serving.knative.dev/rollout-duration: 1500ms}},
          spec: {template: {metadata: {name: other-v1}, spec: {containers: [{image: app}]}}}}",
        expect![[r#"
            validation failed: invalid key name "autoscaling.knative.dev/min-scale": metadata.annotations
            autoscaling annotations must be put under "spec.template.metadata.annotations" to work
            invalid value: "other-v1" must have prefix "1hello-": spec.template.metadata.name
            not a DNS 1035 label: [a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')]: metadata.name
            rollout-duration=1500ms is not at second precision: metadata.annotations.serving.knative.dev/rollout-duration"#]],
    );
}

#[test]
fn a_service_without_containers_says_what_is_missing() {
    refused(
        "Service",
        "{metadata: {generateName: a-}, spec: {template: {spec: {containers: []}}}}",
        expect!["validation failed: missing field(s): spec.template.spec.containers"],
    );
}

#[test]
fn a_template_under_the_users_own_name_changes_only_with_the_name() {
    let (object, answer) = create(
        "Service",
        "{metadata: {name: hello}, spec: {template: {metadata: {name: hello-blue}, spec: {containers: [{image: app:1}]}}}}",
    );
    answer.unwrap();
    let (_, answer) = update("Service", &object, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2");
    });
    expect![[r#"
        validation failed: Saw the following changes without a name change (-old +new): spec.template.metadata.name
        spec.template.spec.containers[0].image:
        	-: "app:1"
        	+: "app:2""#]]
    .assert_eq(&answer.unwrap_err());
    let (_, answer) = update("Service", &object, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2");
        object["spec"]["template"]["metadata"]["name"] = json!("hello-green");
    });
    answer.unwrap();
}

#[test]
fn a_revision_is_immutable() {
    let (object, answer) = create(
        "Revision",
        "{metadata: {name: r}, spec: {containers: [{image: app:1}]}}",
    );
    answer.unwrap();
    let (_, answer) = update("Revision", &object, |object| {
        object["metadata"]["labels"] = json!({"a": "b"});
    });
    answer.unwrap();
    let (_, answer) = update("Revision", &object, |object| {
        object["spec"]["containers"][0]["image"] = json!("app:2");
    });
    expect![[r#"
        validation failed: Immutable fields changed (-old +new): spec
        spec.containers[0].image:
        	-: "app:1"
        	+: "app:2""#]]
    .assert_eq(&answer.unwrap_err());
}

#[test]
fn the_creator_cannot_be_rewritten() {
    let (object, _) = create("Service", HELLO);
    let (_, answer) = update("Service", &object, |object| {
        object["metadata"]["annotations"]["serving.knative.dev/creator"] = json!("mallory");
    });
    expect!["validation failed: annotation value is immutable: metadata.annotations.serving.knative.dev/creator"]
        .assert_eq(&answer.unwrap_err());
}

#[test]
fn owned_children_record_no_user() {
    let (object, answer) = create(
        "Configuration",
        "{metadata: {name: c, labels: {serving.knative.dev/service: s},
            ownerReferences: [{kind: Service, name: s, apiVersion: serving.knative.dev/v1, uid: u}]},
          spec: {template: {spec: {containers: [{image: app}]}}}}",
    );
    answer.unwrap();
    assert!(object["metadata"].get("annotations").is_none());
}

#[test]
fn a_service_of_nothing_has_no_containers() {
    let (object, answer) = create("Service", "{metadata: {name: hello}}");
    assert_eq!(
        object["spec"]["template"],
        serde_json::json!({"metadata": {}, "spec": {"containerConcurrency": 0, "containers": null, "timeoutSeconds": 300}})
    );
    expect!["validation failed: missing field(s): spec.template.spec.containers"]
        .assert_eq(&answer.unwrap_err());
}

#[test]
fn what_does_not_fit_is_no_object() {
    refused(
        "Route",
        "{metadata: {name: hello}, spec: {traffic: [{percent: all}]}}",
        expect!["spec.traffic[0].percent must be a whole number, and is a text"],
    );
}

/// Knative puts a field in front of all that it found before, in some places.
#[test]
fn paths_are_as_wrong_as_knatives() {
    refused(
        "Service",
        "
metadata: {name: hello}
spec:
  template:
    spec:
      containers:
      - image: a/b
        ports: [{containerPort: 80}]
        livenessProbe: {httpGet: {port: web}, tcpSocket: {port: 1}}
        envFrom: [{}, {secretRef: {name: s}}]
      - image: c/d
        readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 1}
",
        expect![[r#"
            validation failed: expected exactly one, got both: spec.template.spec.containers[0].livenessProbe.httpGet, spec.template.spec.containers[0].livenessProbe.tcpSocket
            expected exactly one, got neither: spec.template.spec.containers[0].envFrom.secretRef[1].configMapRef, spec.template.spec.containers[0].envFrom.secretRef[1].secretRef
            invalid value: web: spec.template.spec.containers[0].livenessProbe.tcpSocket.httpGet.port
            Probe port must match container port
            must not set the field(s): spec.template.spec.containers[1].readinessProbe, spec.template.spec.containers[1].readinessProbe.failureThreshold, spec.template.spec.containers[1].readinessProbe.periodSeconds, spec.template.spec.containers[1].readinessProbe.successThreshold, spec.template.spec.containers[1].readinessProbe.timeoutSeconds"#]],
    );
}

#[test]
fn volumes_that_are_switched_off_say_so() {
    refused(
        "Service",
        "
metadata: {name: hello}
spec:
  template:
    spec:
      containers:
      - image: a/b
        volumeMounts: [{name: p, mountPath: /p}, {name: d, mountPath: /d, mountPropagation: Odd}]
      volumes:
      - name: p
        persistentVolumeClaim: {claimName: mine}
      - name: d
        projected: {sources: [{downwardAPI: {items: [{path: n}]}}]}
",
        expect![[r#"
            validation failed: Persistent volume claim support is disabled, but found persistent volume claim mine: 
            Persistent volume write support is disabled, but found persistent volume claim mine that is not read-only: 
            Volume Mount Propagation support is disabled, but found volume mount d with mount propagation: 
            expected exactly one, got neither: spec.template.spec.volumes[1].projected[0].downwardAPI.items[0].fieldRef, spec.template.spec.volumes[1].projected[0].downwardAPI.items[0].resourceFieldRef
            mount propagation should be set to None or HostToContainer: spec.template.spec.containers[0].volumeMounts[1].mountPropagation
            must not set the field(s): spec.template.spec.containers[0].volumeMounts[1].mountPropagation, spec.template.spec.volumes[0].persistentVolumeClaim"#]],
    );
}

#[test]
fn an_empty_list_of_owners_is_a_list() {
    let (object, _) = create(
        "Configuration",
        "{metadata: {name: hello, ownerReferences: []}, spec: {template: {spec: {containers: [{image: a/b}]}}}}",
    );
    assert_eq!(object["metadata"]["annotations"], Value::Null);
}
