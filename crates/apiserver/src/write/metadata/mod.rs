//! `metadata` on its way through a write: identity, names, what is the server's own,
//! and the generation.

use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::Value;

use super::write_request::WriteRequest;
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::model::strategy::Strategy;

mod rules;
mod warnings;

pub use crate::store::empties::{put_empties, take_empties};
pub use rules::validate;
pub use warnings::finalizer_warnings;

/// Kubernetes' alphabet for generated names: no vowels, nothing that looks alike.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// A generated suffix's length, and what is left of 63 for the prefix.
const SUFFIX: usize = 5;
const PREFIX: usize = 58;

/// Metadata that only the server writes.
const SYSTEM: &[&str] = &[
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
];

/// All the fields that there are.
const KNOWN: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Writes down what the object is; clients may leave it out.
pub fn stamp_identity(resource: &Resource, object: &mut Value, kind: &str) {
    let map = object::as_map(object);
    map.insert("apiVersion".to_owned(), resource.api_version().into());
    map.insert("kind".to_owned(), kind.into());
}

/// Holds the kind that an object says it is of against the path's.
pub fn check_kind(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    let kind = object::text_at(object, "kind");
    if kind == resource.kind {
        return Ok(());
    }
    let why = format!("must be {}", resource.kind);
    let cause = Cause::invalid("kind", &kind.as_str().into(), &why);
    let name = object::name(object);
    Err(ApiError::invalid_as(
        &resource.group,
        &kind,
        name,
        vec![cause],
    ))
}

/// Leaves out of the metadata what is empty, as Go does: it is a struct for all kinds.
pub fn tidy(resource: &Resource, object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.retain(|key, value| match (key.as_str(), value) {
        ("labels" | "annotations", Value::Object(map)) => !map.is_empty(),
        // What Kubernetes' own kinds take for a wish to forget all is nothing to custom ones.
        ("managedFields", Value::Array(list)) => resource.is_kubernetes_own() || !list.is_empty(),
        ("finalizers" | "ownerReferences", Value::Array(list)) => !list.is_empty(),
        (
            "name" | "generateName" | "namespace" | "uid" | "resourceVersion",
            Value::String(text),
        ) => !text.is_empty(),
        // What is not known here is not dropped without a word.
        (key, Value::Null) => !KNOWN.contains(&key),
        _ => true,
    });
}

/// Holds the object's namespace against the path's.
pub fn check_namespace(call: &WriteRequest<'_>, object: &mut Value) -> Result<(), ApiError> {
    if !call.resource.namespaced {
        object::metadata_mut(object).remove("namespace");
        return Ok(());
    }
    let given = object::namespace(object);
    if !given.is_empty() && given != call.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object::set_meta(object, "namespace", call.namespace.as_str());
    Ok(())
}

/// Holds the object's name against the path's.
pub fn check_name(object: &Value, name: &str) -> Result<(), ApiError> {
    match object::name(object) {
        "" => Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        other if other != name => Err(ApiError::bad_request(format!(
            "the name of the object ({other}) does not match the name on the URL ({name})"
        ))),
        _ => Ok(()),
    }
}

/// The version that an object says it is of: none is 0, and what is no number cannot be read.
pub fn version(object: &Value) -> Result<u64, ApiError> {
    let text = object::meta_str(object, "resourceVersion");
    if text.is_empty() {
        return Ok(0);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = text.parse::<u64>().ok().filter(|_| is_number);
    read.ok_or_else(|| {
        let why = if is_number {
            "value out of range"
        } else {
            "invalid syntax"
        };
        ApiError::plain(500, format!("strconv.ParseUint: parsing {text:?}: {why}"))
    })
}

/// What only the server may say of an object, said by a client.
pub fn changed_by_client(object: &Value, old: &Value) -> Vec<Cause> {
    ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"]
        .into_iter()
        .filter_map(|key| {
            let given = object::meta(object, key).filter(|given| !given.is_null())?;
            // What is on its way out stays so, whatever a client says.
            let fits = object::meta(old, key)
                .is_some_and(|had| had == given || key == "deletionTimestamp");
            let field = format!("metadata.{key}");
            (!fits).then(|| Cause::invalid(field, given, "field is immutable"))
        })
        .collect()
}

/// What an object was when it was looked through for owners that are there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As it was sent.
    Sent,
    /// As a patch left it.
    Patched,
}

/// Keeps one of each owner that is there twice as it is, and says so.
pub fn one_of_each_owner(call: &WriteRequest<'_>, object: &mut Value, when: When) {
    let metadata = object::metadata_mut(object);
    let Some(Value::Array(owners)) = metadata.get_mut("ownerReferences") else {
        return;
    };
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    let mut twice: Vec<String> = Vec::new();
    for owner in std::mem::take(owners) {
        if kept.contains(&owner) {
            twice.push(object::text_at(&owner, "uid"));
        } else {
            kept.push(owner);
        }
    }
    *owners = kept;
    if !twice.is_empty() {
        let after = match when {
            When::Sent => "",
            When::Patched => " after mutating admission happens",
        };
        call.warnings.borrow_mut().push(format!(
            ".metadata.ownerReferences contains duplicate entries{after}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        ));
    }
}

/// Whether the server is to think of a name.
pub fn wants_generated_name(object: &Value) -> bool {
    object::name(object).is_empty() && !object::meta_str(object, "generateName").is_empty()
}

/// The metadata of a new object.
pub fn begin(object: &mut Value, namespace: &str, resource: &Resource, now: Timestamp) {
    let generated =
        wants_generated_name(object).then(|| generate(object::meta_str(object, "generateName")));
    let metadata = object::metadata_mut(object);
    // A generation that no kind keeps count of is anybody's.
    for key in SYSTEM.iter().filter(|key| **key != "generation") {
        metadata.remove(*key);
    }
    if let Some(name) = generated {
        metadata.insert("name".to_owned(), name.into());
    }
    if resource.namespaced {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    metadata.insert("uid".to_owned(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".to_owned(), object::time(now).into());
}

fn generate(prefix: &str) -> String {
    let mut rng = rand::rng();
    let prefix: String = prefix.chars().take(PREFIX).collect();
    let suffix = (0..SUFFIX).filter_map(|_| {
        ALPHABET
            .get(rng.random_range(0..ALPHABET.len()))
            .map(|byte| char::from(*byte))
    });
    prefix.chars().chain(suffix).collect()
}

/// What a write cannot change is taken from the live object; that it is on its way out only after
/// it was seen who says what. A generation that is no whole number stays until the hooks have seen
/// it, one of which cannot read it.
pub fn carry_over(object: &mut Value, old: &Value, with_end: bool) {
    let is_odd = object::meta(object, "generation").is_some_and(Value::is_f64);
    for key in SYSTEM {
        let is_kept =
            (key.starts_with("deletion") && !with_end) || (*key == "generation" && is_odd);
        if is_kept {
            continue;
        }
        match object::meta(old, key) {
            Some(value) => object::set_meta(object, key, value.clone()),
            None => object::remove_meta(object, key),
        }
    }
}

/// The generation counts changes to what the object is to be: everything outside
/// metadata and status.
pub fn set_generation(
    resource: &Resource,
    subresource: Option<&str>,
    object: &mut Value,
    old: Option<&Value>,
) {
    if !resource.generation {
        return;
    }
    let Some(old) = old else {
        object::set_meta(object, "generation", 1);
        return;
    };
    let before = object::meta(old, "generation")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    // Annotations of a Deployment are those of its ReplicaSets, and count.
    let annotations = |of| object::meta(of, "annotations").cloned();
    let is_same = resource.strategy != Strategy::Deployment
        || subresource.is_some()
        || annotations(object) == annotations(old);
    let after = if is_same && same_spec(resource, object, old) {
        before
    } else {
        before + 1
    };
    object::set_meta(object, "generation", after);
}

fn same_spec(resource: &Resource, object: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (object.as_object(), old.as_object()) else {
        return object == old;
    };
    let counts = |key: &str| {
        !(matches!(key, "metadata" | "apiVersion" | "kind") || (key == "status" && resource.status))
    };
    new.iter()
        .filter(|(key, _)| counts(key))
        .all(|(key, value)| old.get(key) == Some(value))
        && old
            .keys()
            .filter(|key| counts(key))
            .all(|key| new.contains_key(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Seen on a Kubernetes 1.34: a custom object that was applied with empty labels changes with
    /// the next write, whatever that says.
    #[test]
    fn what_is_empty_in_metadata_is_taken_out_and_put_back() {
        let mut object = json!({"metadata": {"name": "a", "labels": {}, "finalizers": [], "annotations": {"a": "b"}}});
        let whole = object.clone();
        let empties = take_empties(&mut object);
        assert_eq!(empties, ["labels", "finalizers"]);
        assert_eq!(
            object,
            json!({"metadata": {"name": "a", "annotations": {"a": "b"}}})
        );
        put_empties(&mut object, &empties);
        assert_eq!(object, whole);
        let mut object = json!({"metadata": {"name": "a", "finalizers": null}});
        assert_eq!(take_empties(&mut object), ["finalizers"]);
    }

    #[test]
    fn nulls_go_unless_nobody_knows_the_field() {
        let resource = crate::model::kinds::built_in([]);
        let maps = resource.iter().find(|one| one.kind == "ConfigMap").unwrap();
        let mut object = json!({"metadata": {"name": "a", "labels": null, "unheard": null}});
        tidy(maps, &mut object);
        assert_eq!(object, json!({"metadata": {"name": "a", "unheard": null}}));
    }
}
