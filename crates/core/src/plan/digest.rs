//! The digest of what is applied, and its annotation; the hash of a revision template.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::object::TemplateHash;
use crate::api::serving::annotation;

use super::{annotations, canonical};

pub mod v1;

/// Digest of a value: the first eight bytes of the SHA-256 of its canonical JSON, in hex.
pub fn of(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Hashes a revision template, whichever way it is spelled.
pub fn template(template: &Value) -> TemplateHash {
    TemplateHash::present(&of(&canonical::template(template)))
}

/// Writes an object's digest (of all but an earlier digest, and of a template's attempt
/// number) into its annotation, and returns it.
pub fn sign(object: &mut Value) -> String {
    if !object.is_object() {
        return String::new();
    }
    let digest = of(&plain(object));
    write(object, &digest);
    digest
}

/// Writes the digest of an object that holds a revision template into its annotation: the
/// template's hash, then, behind a dot, what the rest of the object gives. So the template that
/// was written last can be told from the live object, whatever a server made of it.
pub fn sign_template(object: &mut Value, hash: &TemplateHash) {
    let mut rest = plain(object);
    if let Some(spec) = rest.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("template");
    }
    let digest = format!("{hash}.{}", of(&rest));
    write(object, &digest);
}

/// The hash of the template in a digest that [`sign_template`] wrote.
pub fn template_in(digest: &str) -> Option<&str> {
    digest.split_once('.').map(|(template, _)| template)
}

/// An object without its digest, and without the attempt number in its template: that is the
/// rollout's, not Git's, and with it and without it the object says the same of Git.
fn plain(object: &Value) -> Value {
    let mut plain = object.clone();
    without_annotation(&mut plain, annotations::DIGEST);
    if let Some(template) = plain.pointer_mut("/spec/template") {
        without_annotation(template, annotation::ATTEMPT);
    }
    plain
}

fn write(object: &mut Value, digest: &str) {
    if let Some(fields) = object.as_object_mut()
        && let Some(metadata) = entry(fields, "metadata")
        && let Some(annotations) = entry(metadata, "annotations")
    {
        annotations.insert(annotations::DIGEST.into(), digest.into());
    }
}

/// Takes an annotation out, and what is empty without it.
fn without_annotation(object: &mut Value, name: &str) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(name);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if metadata.is_empty() {
        fields.remove("metadata");
    }
}

fn entry<'a>(fields: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = fields.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_the_template_apart_from_the_rest() {
        let object = |label: &str| {
            json!({"kind": "Configuration", "metadata": {"labels": {"a": label}},
            "spec": {"template": {"spec": {"a": 1}}}})
        };
        let signed = |mut object: Value, hash: &str| {
            sign_template(&mut object, &TemplateHash(hash.to_owned()));
            let digest = annotations::annotation(&object, annotations::DIGEST);
            digest.unwrap_or_default().to_owned()
        };
        let first = signed(object("b"), "v2-1");
        let mut again = object("b");
        again["spec"]["template"] = json!({"spec": {"a": 1.0}});
        assert_eq!(signed(again, "v2-1"), first);
        assert_ne!(signed(object("c"), "v2-1"), first);
        assert_ne!(signed(object("b"), "v2-2"), first);
        assert_eq!(template_in(&first), Some("v2-1"));
        assert_eq!(template_in("00c0ffee00c0ffee"), None);
    }

    #[test]
    fn another_attempt_at_the_same_template_has_the_same_first_digest() {
        let mut first = json!({"kind": "Configuration", "spec": {"template": {"spec": {"a": 1}}}});
        let mut again = first.clone();
        again["spec"]["template"]["metadata"] = json!({"annotations": {"sluice.dev/attempt": "2"}});
        assert_eq!(v1::object(&first), v1::object(&again));
        sign(&mut again);
        assert_eq!(v1::object(&first), v1::object(&again));
        first["spec"]["template"]["spec"]["a"] = json!(2);
        assert_ne!(v1::object(&first), v1::object(&again));
    }
}
