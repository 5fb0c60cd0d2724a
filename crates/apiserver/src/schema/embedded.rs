//! Whole objects inside of an object (`x-kubernetes-embedded-resource`) say what they are.
//!
//! Source: `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta`.

use serde_json::{Map, Value};

use super::field_error::FieldError;
use super::json_schema::below;
use super::node::TypeRef;
use super::walk::walk;
use crate::api::dns_names;

const IDENTITY: [&str; 2] = ["apiVersion", "kind"];

/// What embedded objects do not say of themselves, or say wrongly.
pub(super) fn faults(typed: TypeRef<'_>, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    each(typed, value, path, |object, path| {
        errors.extend(identity(object, path));
    });
    errors
}

/// The first embedded object that cannot be read, since what it is said to be is no text.
pub(super) fn misfit(typed: TypeRef<'_>, value: &Value, path: &str) -> Option<FieldError> {
    let mut first = None;
    each(typed, value, path, |object, path| {
        if first.is_none() {
            first = IDENTITY.iter().find_map(|name| no_text(object, path, name));
        }
    });
    first
}

fn each(
    typed: TypeRef<'_>,
    value: &Value,
    path: &str,
    mut visit: impl FnMut(&Map<String, Value>, &str),
) {
    walk(typed, value, path, &mut |typed, value, path| {
        if let (true, Value::Object(object)) = (typed.node().embedded, value) {
            visit(object, path);
        }
    });
}

fn identity(object: &Map<String, Value>, path: &str) -> Vec<FieldError> {
    let missing = IDENTITY.iter().filter(|name| !object.contains_key(**name));
    let mut errors: Vec<FieldError> = missing
        .map(|name| FieldError::required(below(path, name), ""))
        .collect();
    for name in IDENTITY {
        let field = below(path, name);
        let Some(value) = object.get(name) else {
            continue;
        };
        if let Some(error) = no_text(object, path, name) {
            errors.push(error);
            continue;
        }
        let text = value.as_str().unwrap_or_default();
        if text.is_empty() {
            errors.push(FieldError::invalid(field, value, "must not be empty"));
        } else if name == "apiVersion" && text.matches('/').count() > 1 {
            let why = format!("unexpected GroupVersion string: {text}");
            errors.push(FieldError::invalid(field, value, &why));
        } else if name == "kind" {
            let wrong = dns_names::dns_1035_label(&text.to_lowercase()).join(",");
            if !wrong.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {wrong}");
                errors.push(FieldError::invalid(field, value, &why));
            }
        }
    }
    errors
}

fn no_text(object: &Map<String, Value>, path: &str, name: &str) -> Option<FieldError> {
    let value = object.get(name).filter(|value| !value.is_string())?;
    Some(FieldError::invalid(
        below(path, name),
        value,
        "must be a string",
    ))
}
