//! Namespaces, secrets, volumes, roles, definitions, webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Object, child, each, made, put, put_if_zero, text};

pub(super) fn secret(object: &mut Object) {
    put_if_zero(object, "type", "Opaque");
    // Write-only: what is given as text is kept as data.
    if let Some(Value::Object(plain)) = object.remove("stringData") {
        if plain.is_empty() {
            return;
        }
        if let Some(data) = made(object, "data") {
            for (name, value) in plain {
                if let Value::String(value) = value {
                    data.insert(name, Value::String(STANDARD.encode(value)));
                }
            }
        }
    }
}

pub(super) fn namespace(object: &mut Object) {
    if let Some(metadata) = child(object, "metadata") {
        let name = text(metadata, "name").to_owned();
        if !name.is_empty()
            && let Some(labels) = made(metadata, "labels")
        {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
        }
    }
    if let Some(status) = made(object, "status") {
        put_if_zero(status, "phase", "Active");
    }
}

pub(super) fn volume_claim(object: &mut Object) {
    if let Some(status) = made(object, "status") {
        put_if_zero(status, "phase", "Pending");
    }
    if let Some(spec) = made(object, "spec") {
        put(spec, "volumeMode", "Filesystem");
    }
}

pub(super) fn volume(object: &mut Object) {
    if let Some(status) = made(object, "status") {
        put_if_zero(status, "phase", "Pending");
    }
    if let Some(spec) = made(object, "spec") {
        put_if_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
        put(spec, "volumeMode", "Filesystem");
    }
}

pub(super) fn storage_class(object: &mut Object) {
    put(object, "reclaimPolicy", "Delete");
    put(object, "volumeBindingMode", "Immediate");
}

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn role_binding(object: &mut Object) {
    if let Some(role) = child(object, "roleRef") {
        put_if_zero(role, "apiGroup", RBAC);
    }
    for subject in each(object, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            put_if_zero(subject, "apiGroup", RBAC);
        }
    }
}

pub(super) fn definition(object: &mut Object) {
    let Some(spec) = made(object, "spec") else {
        return;
    };
    if let Some(names) = made(spec, "names") {
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            put_if_zero(names, "singular", kind.to_lowercase());
            put_if_zero(names, "listKind", format!("{kind}List"));
        }
    }
    put(spec, "conversion", json!({"strategy": "None"}));
    for version in each(spec, "versions") {
        put(version, "served", false);
        put(version, "storage", false);
    }
}

pub(super) fn webhooks(object: &mut Object, mutating: bool) {
    for webhook in each(object, "webhooks") {
        put(webhook, "failurePolicy", "Fail");
        put(webhook, "matchPolicy", "Equivalent");
        put(webhook, "namespaceSelector", Map::new());
        put(webhook, "objectSelector", Map::new());
        put(webhook, "timeoutSeconds", 10);
        if mutating {
            put(webhook, "reinvocationPolicy", "Never");
        }
        for rule in each(webhook, "rules") {
            put(rule, "scope", "*");
        }
        if let Some(service) =
            child(webhook, "clientConfig").and_then(|client| child(client, "service"))
        {
            put(service, "port", 443);
        }
    }
}
