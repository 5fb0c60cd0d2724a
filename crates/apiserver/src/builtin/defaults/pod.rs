//! Pods and Pod templates.

use serde_json::{Map, Value, json};

use super::{Object, child, each, made, put, put_if_zero, text};

pub(super) fn pod(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    for list in ["containers", "initContainers"] {
        for container in each(spec, list) {
            request_what_is_limited(container);
        }
    }
    put(spec, "enableServiceLinks", true);
    pod_spec(spec);
}

/// The `template` of an object that makes Pods.
pub(super) fn template(parent: &mut Object) {
    let Some(template) = made(parent, "template") else {
        return;
    };
    if let Some(spec) = made(template, "spec") {
        pod_spec(spec);
    }
}

fn pod_spec(spec: &mut Object) {
    put_if_zero(spec, "dnsPolicy", "ClusterFirst");
    put_if_zero(spec, "restartPolicy", "Always");
    put_if_zero(spec, "schedulerName", "default-scheduler");
    put(spec, "securityContext", Map::new());
    put(spec, "terminationGracePeriodSeconds", 30);
    account(spec);
    let on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for one in each(spec, list) {
            container(one, on_host);
        }
    }
    for one in each(spec, "volumes") {
        volume(one);
    }
}

/// The account has an older name too, and each stands for the other.
fn account(spec: &mut Object) {
    let name = ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .map(|key| text(spec, key).to_owned())
        .find(|name| !name.is_empty());
    if let Some(name) = name {
        spec.insert("serviceAccount".to_owned(), name.as_str().into());
        spec.insert("serviceAccountName".to_owned(), name.into());
    }
}

fn container(container: &mut Object, on_host: bool) {
    let policy = pull_policy(text(container, "image"));
    put_if_zero(container, "imagePullPolicy", policy);
    put_if_zero(container, "terminationMessagePath", "/dev/termination-log");
    put_if_zero(container, "terminationMessagePolicy", "File");
    // Not a default but a Go struct: it is always written.
    put(container, "resources", Map::new());
    for port in each(container, "ports") {
        put_if_zero(port, "protocol", "TCP");
        if on_host && let Some(number) = port.get("containerPort").cloned() {
            put_if_zero(port, "hostPort", number);
        }
    }
    for variable in each(container, "env") {
        if let Some(source) = child(variable, "valueFrom")
            && let Some(field) = child(source, "fieldRef")
        {
            put_if_zero(field, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(one) = child(container, name) {
            probe(one);
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = child(lifecycle, hook) {
                http_get(hook);
            }
        }
    }
}

/// `Always` where the image may move under its name.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn probe(probe: &mut Object) {
    put_if_zero(probe, "timeoutSeconds", 1);
    put_if_zero(probe, "periodSeconds", 10);
    put_if_zero(probe, "successThreshold", 1);
    put_if_zero(probe, "failureThreshold", 3);
    http_get(probe);
    if let Some(grpc) = child(probe, "grpc") {
        put(grpc, "service", "");
    }
}

fn http_get(handler: &mut Object) {
    if let Some(get) = child(handler, "httpGet") {
        put_if_zero(get, "path", "/");
        put_if_zero(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Object) {
    /// 0644, in decimal as JSON has it.
    const MODE: i64 = 420;
    if volume.keys().all(|key| key == "name") {
        put(volume, "emptyDir", Map::new());
    }
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, source) {
            put(source, "defaultMode", MODE);
            field_items(source);
            for projection in each(source, "sources") {
                if let Some(token) = child(projection, "serviceAccountToken") {
                    put_if_zero(token, "expirationSeconds", 3600);
                }
                if let Some(fields) = child(projection, "downwardAPI") {
                    field_items(fields);
                }
            }
        }
    }
    if let Some(path) = child(volume, "hostPath") {
        put(path, "type", "");
    }
    if let Some(template) =
        child(volume, "ephemeral").and_then(|source| child(source, "volumeClaimTemplate"))
        && let Some(spec) = made(template, "spec")
    {
        put(spec, "volumeMode", "Filesystem");
    }
}

fn field_items(source: &mut Object) {
    for item in each(source, "items") {
        if let Some(field) = child(item, "fieldRef") {
            put_if_zero(field, "apiVersion", "v1");
        }
    }
}

/// A limit without a request is a request of as much.
fn request_what_is_limited(container: &mut Object) {
    let Some(resources) = child(container, "resources") else {
        return;
    };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else {
        return;
    };
    if limits.is_empty() {
        return;
    }
    put(resources, "requests", json!({}));
    if let Some(requests) = child(resources, "requests") {
        for (name, amount) in limits {
            put(requests, &name, amount);
        }
    }
}
