//! `metadata` on its way through a write: identity, names, what is the server's own,
//! and the generation.

use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::Value;

use super::object;
use super::resource::Resource;
use super::status::{ApiError, Cause};
use super::write::Call;

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

/// Holds the object's apiVersion, kind and namespace against the path's.
pub fn check_identity(call: &Call<'_>, object: &mut Value) -> Result<(), ApiError> {
    let resource = call.resource;
    if !object.is_object() {
        return Err(ApiError::bad_request(
            "the object provided is not a JSON object",
        ));
    }
    let expected = resource.api_version();
    let text = |object: &Value, key: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api_version, kind) = (text(object, "apiVersion"), text(object, "kind"));
    if !api_version.is_empty() && api_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "the kind in the data ({kind}) does not match the expected kind ({})",
            resource.kind
        )));
    }
    let map = object::as_map(object);
    map.insert("apiVersion".to_owned(), expected.into());
    map.insert("kind".to_owned(), resource.kind.as_str().into());
    if map
        .get("metadata")
        .is_some_and(|metadata| !metadata.is_object() && !metadata.is_null())
    {
        return Err(ApiError::bad_request(
            "the object provided is unrecognized: metadata must be an object",
        ));
    }
    let given = object::namespace(object);
    if !given.is_empty() && given != call.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if resource.namespaced {
        object::set_meta(object, "namespace", call.namespace.as_str());
    } else {
        object::metadata_mut(object).remove("namespace");
    }
    Ok(())
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
    for key in SYSTEM {
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

/// What a write cannot change is taken from the live object.
pub fn carry_over(object: &mut Value, old: &Value) {
    for key in SYSTEM {
        match object::meta(old, key) {
            Some(value) => object::set_meta(object, key, value.clone()),
            None => object::remove_meta(object, key),
        }
    }
}

/// The generation counts changes to what the object is to be: everything outside
/// metadata and status.
pub fn set_generation(resource: &Resource, object: &mut Value, old: Option<&Value>) {
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
    let after = if same_spec(resource, object, old) {
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

/// What is wrong with the metadata.
pub fn validate(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = object::name(object);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if old.is_none()
        && let Some(wrong) = wrong_name(resource, name)
    {
        causes.push(Cause::invalid("metadata.name", &name.into(), &wrong));
    }
    causes.extend(wrong_labels(object));
    causes
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

fn wrong_name(resource: &Resource, name: &str) -> Option<String> {
    let path_safe = !matches!(name, "." | "..") && !name.contains(['/', '%']);
    let (limit, ok, words) = match (resource.group.as_str(), resource.plural.as_str()) {
        ("rbac.authorization.k8s.io", _) => {
            return (!path_safe).then(|| "may not contain '/' or '%'".to_owned());
        }
        ("", "namespaces") => (63, is_label(name), LABEL),
        ("", "services") => (
            63,
            is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
            LABEL_1035,
        ),
        _ => (253, name.split('.').all(is_label_of_any_length), SUBDOMAIN),
    };
    if name.len() > limit {
        return Some(format!("must be no more than {limit} bytes"));
    }
    (!ok).then(|| words.to_owned())
}

fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

fn is_label_of_any_length(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn wrong_labels(object: &Value) -> Vec<Cause> {
    let labels = object::meta(object, "labels").and_then(Value::as_object);
    let mut causes = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        let Some(text) = value.as_str() else {
            causes.push(Cause::invalid("metadata.labels", value, "must be a string"));
            continue;
        };
        if !is_qualified_name(key) {
            causes.push(Cause::invalid(
                "metadata.labels",
                &key.as_str().into(),
                "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ));
        }
        if text.len() > 63 {
            causes.push(Cause::invalid(
                "metadata.labels",
                value,
                "must be no more than 63 bytes",
            ));
        } else if !text.is_empty() && !is_word(text) {
            causes.push(Cause::invalid(
                "metadata.labels",
                value,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ));
        }
    }
    causes
}

fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_label_of_any_length))
        && name.len() <= 63
        && is_word(name)
}

fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    edge(text.chars().next()) && edge(text.chars().next_back()) && text.chars().all(inner)
}
