//! What the API server fills in when it decodes an object of a built-in kind.
//!
//! Only what decoding fills in: not what admission or a registry allocates (cluster
//! addresses, service accounts, tolerations). Source: `SetDefaults_*` of Kubernetes 1.34.

mod cluster;
mod network;
mod pod;
mod workload;

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Fills in the defaults of a built-in kind; of another kind, nothing.
pub fn default(group: &str, kind: &str, object: &mut Value) {
    let Value::Object(object) = object else {
        return;
    };
    match (group, kind) {
        ("", "Pod") => pod::pod(object),
        ("", "PodTemplate") => pod::template(object),
        ("", "ReplicationController") => workload::replica_set(object),
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("batch", "Job") => workload::job(object),
        ("batch", "CronJob") => workload::cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => workload::autoscaler(object),
        ("", "Service") => network::service(object),
        ("", "Endpoints") => network::endpoints(object),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(object),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(object),
        ("", "Secret") => cluster::secret(object),
        ("", "Namespace") => cluster::namespace(object),
        ("", "PersistentVolumeClaim") => cluster::volume_claim(object),
        ("", "PersistentVolume") => cluster::volume(object),
        ("storage.k8s.io", "StorageClass") => cluster::storage_class(object),
        ("scheduling.k8s.io", "PriorityClass") => {
            put(object, "preemptionPolicy", "PreemptLowerPriority");
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            cluster::role_binding(object);
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => cluster::definition(object),
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => cluster::webhooks(object, kind.starts_with("Mutating")),
        _ => {}
    }
}

/// Sets a field that is absent or null.
fn put(object: &mut Object, name: &str, value: impl Into<Value>) {
    match object.get_mut(name) {
        Some(present) if !present.is_null() => {}
        Some(null) => *null = value.into(),
        None => {
            object.insert(name.to_owned(), value.into());
        }
    }
}

/// Sets a field that is absent, null, or empty: a Go zero value.
fn put_if_zero(object: &mut Object, name: &str, value: impl Into<Value>) {
    let is_zero = match object.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(_) => false,
    };
    if is_zero {
        object.insert(name.to_owned(), value.into());
    }
}

/// A field that is an object, if it is there.
fn child<'o>(object: &'o mut Object, name: &str) -> Option<&'o mut Object> {
    object.get_mut(name)?.as_object_mut()
}

/// A field that is an object, made if it is not there.
fn made<'o>(object: &'o mut Object, name: &str) -> Option<&'o mut Object> {
    put(object, name, Map::new());
    child(object, name)
}

/// The objects in a field that is a list.
fn each<'o>(object: &'o mut Object, name: &str) -> impl Iterator<Item = &'o mut Object> {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn text<'o>(object: &'o Object, name: &str) -> &'o str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn check(group: &str, kind: &str, spec: Value, expected: Expect) {
        let mut object = json!({"spec": spec});
        default(group, kind, &mut object);
        let once = object.clone();
        default(group, kind, &mut object);
        assert_eq!(object, once, "defaults are filled in once");
        expected.assert_eq(&object["spec"].to_string());
    }

    #[test]
    fn a_bare_pod_is_given_what_kubectl_shows_of_it() {
        check(
            "",
            "Pod",
            json!({"containers": [{
                "name": "a", "image": "nginx",
                "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": 80}},
            }], "volumes": [{"name": "v", "configMap": {"name": "c"}}, {"name": "e"}]}),
            expect![[
                r#"{"containers":[{"image":"nginx","imagePullPolicy":"Always","name":"a","ports":[{"containerPort":80,"protocol":"TCP"}],"readinessProbe":{"failureThreshold":3,"httpGet":{"path":"/","port":80,"scheme":"HTTP"},"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1},"resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","enableServiceLinks":true,"restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30,"volumes":[{"configMap":{"defaultMode":420,"name":"c"},"name":"v"},{"emptyDir":{},"name":"e"}]}"#
            ]],
        );
    }

    #[test]
    fn a_deployment_rolls_by_a_quarter_and_keeps_ten_revisions() {
        check(
            "apps",
            "Deployment",
            json!({"selector": {}, "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}),
            expect![[
                r#"{"progressDeadlineSeconds":600,"replicas":1,"revisionHistoryLimit":10,"selector":{},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"},"template":{"spec":{"containers":[{"image":"a:1","imagePullPolicy":"IfNotPresent","name":"a","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}"#
            ]],
        );
    }

    #[test]
    fn a_recreate_deployment_gets_no_rolling_update() {
        check(
            "apps",
            "Deployment",
            json!({"replicas": 3, "strategy": {"type": "Recreate"}, "template": {}}),
            expect![[
                r#"{"progressDeadlineSeconds":600,"replicas":3,"revisionHistoryLimit":10,"strategy":{"type":"Recreate"},"template":{"spec":{"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}"#
            ]],
        );
    }

    #[test]
    fn a_service_port_targets_itself_over_tcp() {
        check(
            "",
            "Service",
            json!({"ports": [{"port": 80}, {"port": 53, "protocol": "UDP", "targetPort": "dns"}]}),
            expect![[
                r#"{"internalTrafficPolicy":"Cluster","ports":[{"port":80,"protocol":"TCP","targetPort":80},{"port":53,"protocol":"UDP","targetPort":"dns"}],"sessionAffinity":"None","type":"ClusterIP"}"#
            ]],
        );
        check(
            "",
            "Service",
            json!({"type": "ExternalName", "externalName": "x"}),
            expect![[r#"{"externalName":"x","sessionAffinity":"None","type":"ExternalName"}"#]],
        );
    }

    #[test]
    fn string_data_of_a_secret_becomes_data() {
        let mut secret = json!({"stringData": {"a": "secret"}, "data": {"b": "Yg=="}});
        default("", "Secret", &mut secret);
        assert_eq!(
            secret,
            json!({"data": {"a": "c2VjcmV0", "b": "Yg=="}, "type": "Opaque"})
        );
    }
}
