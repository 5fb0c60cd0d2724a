//! The last stage: what Git says becomes what can be applied and compared.

use base64::Engine;
use serde_json::{Value, json};

use crate::api::annotations;
use crate::api::object::{ObjectKey, split_api_version};
use crate::manifest::server_fields;

use super::facts::ClusterFacts;
use super::note::Remark;

/// Puts an object into its namespace, and takes out what is not Git's to say. Returns what was taken out that a person
/// may have meant.
pub(super) fn finish<C: ClusterFacts + ?Sized>(
    object: &mut Value,
    key: &ObjectKey,
    cluster: &C,
) -> Vec<Remark> {
    server_fields::take_out(object);
    without_our_marks(object);
    set_namespace(object, key.namespace.as_deref());
    if key.group.is_empty() && key.kind == "Secret" {
        encode_string_data(object);
    }
    without_lost_owners(object, key, cluster)
}

fn set_namespace(object: &mut Value, namespace: Option<&str>) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        match namespace {
            Some(namespace) => metadata.insert("namespace".into(), namespace.into()),
            None => metadata.remove("namespace"),
        };
    }
}

/// An object that was read out of a cluster has what Sluice wrote to it there. It says of another cluster, or of another
/// time, whose the object is.
fn without_our_marks(object: &mut Value) {
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        for name in [annotations::DELIVERY, annotations::DIGEST] {
            annotations.remove(name);
        }
    }
}

/// `stringData` is write-only: the server moves it to `data`. Doing it here lets
/// the two be compared, and lets a removed key disappear.
fn encode_string_data(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(text)) = fields.remove("stringData") else {
        return;
    };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    if let Some(data) = data.as_object_mut() {
        for (name, value) in text {
            if let Some(value) = value.as_str() {
                let encoded = base64::engine::general_purpose::STANDARD.encode(value);
                data.insert(name, encoded.into());
            }
        }
    }
}

/// Takes away the owners that the cluster does not have, as an export from another cluster, or of
/// another day, names them.
fn without_lost_owners<C: ClusterFacts + ?Sized>(
    object: &mut Value,
    key: &ObjectKey,
    cluster: &C,
) -> Vec<Remark> {
    let mut lost = Vec::new();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return lost;
    };
    let owners = metadata.get_mut("ownerReferences");
    let Some(owners) = owners.and_then(Value::as_array_mut) else {
        return lost;
    };
    let mut index = 0;
    owners.retain(|owner| {
        let there = has_owner(owner, key, cluster);
        if !there {
            lost.push(Remark::LostOwner {
                index,
                owner: format!("{} {}", text(owner, "kind"), text(owner, "name")),
            });
        }
        index += 1;
        there
    });
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    }
    lost
}

/// Whether the cluster has an owner: in the object's namespace, or outside all of them.
fn has_owner<C: ClusterFacts + ?Sized>(owner: &Value, of: &ObjectKey, cluster: &C) -> bool {
    let (group, _) = split_api_version(text(owner, "apiVersion"));
    let mut places = [of.namespace.clone(), None].into_iter();
    places.any(|namespace| {
        let key = ObjectKey {
            group: group.to_owned(),
            kind: text(owner, "kind").to_owned(),
            namespace,
            name: text(owner, "name").to_owned(),
        };
        cluster.has(&key, text(owner, "uid"))
    })
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
