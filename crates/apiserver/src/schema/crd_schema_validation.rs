//! Whether a schema can be a definition's: what it says at its root, its structure, its defaults and
//! keywords; and which of the rules are not asked any more once others have failed.

use serde_json::Value;

use super::field_error::{FieldError, NOWHERE};
use super::json_schema::{below, child, flag, given, named, text};
use super::node::TypeRef;
use super::{compile, embedded, openapi_rules, prune, structural, validate};

/// Keywords that a root may not have where the status is written apart, since the status has to be
/// valid on its own. Those of the first line come before the type in Go's struct.
const BEFORE_TYPE: &[&str] = &["id", "$schema", "$ref"];
const AFTER_TYPE: &[&str] = &[
    "nullable",
    "default",
    "maxProperties",
    "minProperties",
    "enum",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "additionalProperties",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];
const ALLOWED_AT_ROOT: &str = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled";

/// The faults of a schema at a place; `has_status` where the kind's status is written apart.
pub(super) fn faults(schema: &Value, path: &str, has_status: bool) -> Vec<FieldError> {
    let mut all = Vec::new();
    if has_status {
        all.extend(at_root(schema, path));
    }
    if flag(schema, "nullable") {
        let why = "nullable cannot be true at the root";
        all.push(FieldError::forbidden(below(path, "nullable"), why));
    }
    let unreadable = structural::unreadable(schema);
    if unreadable.is_none() {
        let mut found = structural::faults(schema, path);
        if found.is_empty() {
            let arena = compile::custom_resource(schema);
            defaults(schema, arena.root(), path, &mut found);
        }
        all.append(&mut found);
    }
    all.extend(openapi_rules::faults(schema, path));
    if let (true, Some(why)) = (all.is_empty(), unreadable) {
        all.push(FieldError::invalid(path, &"".into(), &why));
    }
    all
}

fn at_root(schema: &Value, path: &str) -> Option<FieldError> {
    let says = |keyword: &&&str| match given(schema, keyword) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => **keyword == "not" || !fields.is_empty(),
        Some(_) => true,
    };
    let other = || Some(FieldError::invalid(path, schema, ALLOWED_AT_ROOT));
    if BEFORE_TYPE.iter().any(|keyword| says(&keyword)) {
        return other();
    }
    let declared = text(schema, "type");
    if !matches!(declared, "" | "object") {
        let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return Some(FieldError::invalid(
            below(path, "type"),
            &declared.into(),
            why,
        ));
    }
    if AFTER_TYPE.iter().any(|keyword| says(&keyword)) {
        return other();
    }
    None
}

/// A default has to be what it stands in for. Below `additionalProperties` nobody looks.
fn defaults(schema: &Value, typed: TypeRef<'_>, path: &str, all: &mut Vec<FieldError>) {
    if let Some(default) = given(schema, "default") {
        default_of(default, typed, &below(path, "default"), all);
    }
    if let Some(items) = child(schema, "items") {
        defaults(items, typed.item(), &below(path, "items"), all);
    }
    for (name, property) in named(schema, "properties") {
        if let Some(typed) = typed.field(name) {
            let path = below(path, &format!("properties[{name}]"));
            defaults(property, typed, &path, all);
        }
    }
}

fn default_of(default: &Value, typed: TypeRef<'_>, path: &str, all: &mut Vec<FieldError>) {
    let mut pruned = default.clone();
    prune::prune(typed, &mut pruned, typed.node().embedded);
    if pruned != *default {
        let why = "must not have unknown fields";
        all.push(FieldError::invalid(path, default, why));
    }
    if let Some(misfit) = embedded::misfit(typed, default, path) {
        all.push(misfit);
        return;
    }
    let inside = embedded::faults(typed, default, path);
    if !inside.is_empty() {
        all.extend(inside);
        return;
    }
    for fault in validate::validate(typed, default, None) {
        let field = match fault.field.as_str() {
            // What is said of no field in particular is said of the default.
            NOWHERE => path.to_owned(),
            inner => below(path, inner),
        };
        all.push(FieldError { field, ..fault });
    }
}
