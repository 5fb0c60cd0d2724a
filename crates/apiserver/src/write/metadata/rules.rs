//! What is wrong with an object's metadata, in the order and the words of Kubernetes.
//!
//! Source: `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`.

use serde_json::{Value, json};

use crate::api::dns_names;
use crate::json::object;
use crate::model::names::{self, Wrong};
use crate::model::resource::Resource;
use crate::model::status::Cause;

/// All annotations together: keys and values.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;
/// Finalizers that need no domain.
pub(super) const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// What is wrong with the metadata.
pub fn validate(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = names_of(resource, object, old);
    causes.extend(generation(object));
    causes.extend(labels(object));
    causes.extend(annotations(object));
    causes.extend(owners(object));
    causes.extend(finalizers(resource, object));
    if let Some(old) = old.filter(|old| object::is_terminating(old)) {
        causes.extend(no_new_finalizers(object, old));
    }
    causes
}

fn invalid(field: &str, text: &str, wrong: Wrong) -> impl Iterator<Item = Cause> {
    let value = Value::from(text);
    wrong
        .into_iter()
        .map(move |why| Cause::invalid(field, &value, &why))
}

fn names_of(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let prefix = object::meta_str(object, "generateName");
    if !prefix.is_empty() && old.is_none() {
        let whole = dns_names::as_name(prefix);
        causes.extend(invalid(
            "metadata.generateName",
            prefix,
            wrong_name(resource, &whole),
        ));
    }
    let name = object::name(object);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if old.is_none() {
        causes.extend(invalid("metadata.name", name, wrong_name(resource, name)));
    }
    causes
}

fn wrong_name(resource: &Resource, name: &str) -> Wrong {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("rbac.authorization.k8s.io", _) => names::path_segment(name),
        ("", "namespaces") => names::label(name),
        ("", "services") => names::label_1035(name),
        _ => names::subdomain(name),
    }
}

fn generation(object: &Value) -> Option<Cause> {
    let given = object::meta(object, "generation")?;
    let why = "must be greater than or equal to 0";
    (given.as_i64()? < 0).then(|| Cause::invalid("metadata.generation", given, why))
}

fn labels(object: &Value) -> Vec<Cause> {
    let labels = object::meta(object, "labels").and_then(Value::as_object);
    let mut causes = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        causes.extend(invalid("metadata.labels", key, names::qualified(key)));
        causes.extend(invalid("metadata.labels", text, names::label_value(text)));
    }
    causes
}

fn annotations(object: &Value) -> Vec<Cause> {
    let annotations = object::meta(object, "annotations").and_then(Value::as_object);
    let mut causes = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        // Annotations are read without regard to case, as they always were.
        let lower = key.to_lowercase();
        causes.extend(invalid(
            "metadata.annotations",
            key,
            names::qualified(&lower),
        ));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
    causes
}

fn owners(object: &Value) -> Vec<Cause> {
    let references = object::meta(object, "ownerReferences");
    let mut causes = Vec::new();
    let mut controller: Option<String> = None;
    for reference in references.and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| object::text_at(reference, key);
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(field).is_empty() {
                causes.push(Cause::invalid(
                    format!("metadata.ownerReferences.{field}"),
                    &"".into(),
                    why,
                ));
            }
        }
        if (text("apiVersion").as_str(), text("kind").as_str()) == ("v1", "Event") {
            causes.push(Cause::invalid(
                "metadata.ownerReferences",
                reference,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if reference.get("controller") == Some(&Value::Bool(true)) {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => causes.push(Cause::invalid(
                    "metadata.ownerReferences",
                    references.unwrap_or(&Value::Null),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    ),
                )),
                None => controller = Some(this),
            }
        }
    }
    causes
}

fn finalizers(resource: &Resource, object: &Value) -> Vec<Cause> {
    let found = object::finalizers(object);
    let mut causes = Vec::new();
    for finalizer in &found {
        causes.extend(invalid(
            "metadata.finalizers",
            finalizer,
            names::qualified(finalizer),
        ));
    }
    if found.contains(&"orphan") && found.contains(&"foregroundDeletion") {
        causes.push(Cause::invalid(
            "metadata.finalizers",
            &json!(found),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    // Custom kinds are let off with less.
    if resource.is_kubernetes_own() {
        for (at, finalizer) in found.iter().enumerate() {
            if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(finalizer) {
                causes.push(Cause::invalid(
                    format!("metadata.finalizers[{at}]"),
                    &(*finalizer).into(),
                    "name is neither a standard finalizer name nor is it fully qualified",
                ));
            }
        }
    }
    causes
}

/// An object on its way out can only be held by what held it before.
fn no_new_finalizers(object: &Value, old: &Value) -> Option<Cause> {
    let before = object::finalizers(old);
    let mut new: Vec<String> = object::finalizers(object)
        .into_iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(|finalizer| format!("{finalizer:?}"))
        .collect();
    new.sort();
    new.dedup();
    (!new.is_empty()).then(|| {
        Cause::forbidden(
            "metadata.finalizers",
            &format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                new.join(", ")
            ),
        )
    })
}
