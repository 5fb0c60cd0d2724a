//! What a definition's schema may say, beyond being structural.
//!
//! Source of the rules and their words: `ValidateCustomResourceDefinitionOpenAPISchema` in
//! `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`.

use serde_json::{Value, json};

use super::field_error::FieldError;
use super::json_schema::{below, child, flag, given, list, named, strings, text};
use super::structural::missing_or_wrong;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const UNSUPPORTED: &[&str] = &[
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];
const META: &[&str] = &["metadata", "kind", "apiVersion"];

/// Where a schema stands.
#[derive(Clone, Default)]
struct Place {
    is_root: bool,
    is_in_meta: bool,
    /// Why there may be no default.
    no_default: Option<String>,
}

/// The faults of a schema at a place.
pub(super) fn faults(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut all = Vec::new();
    let root = Place {
        is_root: true,
        ..Place::default()
    };
    walk(schema, path, &root, &mut all);
    all
}

fn walk(schema: &Value, path: &str, place: &Place, all: &mut Vec<FieldError>) {
    let at = |keyword: &str| below(path, keyword);
    keywords(schema, path, place, all);
    if flag(schema, "uniqueItems") {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        all.push(FieldError::forbidden(at("uniqueItems"), why));
    }
    let further = given(schema, "additionalProperties");
    let is_map = further.is_some_and(|further| further != &Value::Bool(true));
    if is_map && named(schema, "properties").next().is_some() {
        let why = "additionalProperties and properties are mutual exclusive";
        all.push(FieldError::forbidden(at("additionalProperties"), why));
    }
    let inner = Place {
        is_root: false,
        ..place.clone()
    };
    if let Some(further) = child(schema, "additionalProperties") {
        let mut inner = inner.clone();
        if place.is_in_meta {
            let why = "inside additionalProperties applying to object metadata";
            inner.no_default = Some(why.to_owned());
        }
        walk(further, &at("additionalProperties"), &inner, all);
    }
    for (name, property) in named(schema, "properties") {
        let mut inner = inner.clone();
        let is_resource = place.is_root || flag(schema, "x-kubernetes-embedded-resource");
        if is_resource && META.contains(&name.as_str()) {
            inner.is_in_meta = true;
            if place.is_root {
                inner.no_default = Some(format!("in top-level {name}"));
            }
        }
        walk(property, &at(&format!("properties[{name}]")), &inner, all);
    }
    if let Some(not) = child(schema, "not") {
        walk(not, &at("not"), &inner, all);
    }
    for keyword in ["allOf", "oneOf", "anyOf", "items"] {
        for (index, part) in list(schema, keyword).iter().enumerate() {
            walk(part, &at(&format!("{keyword}[{index}]")), &inner, all);
        }
    }
    for keyword in ["definitions", "dependencies"] {
        for (name, part) in named(schema, keyword).filter(|(_, part)| part.is_object()) {
            walk(part, &at(&format!("{keyword}[{name}]")), &inner, all);
        }
    }
    if let Some(items) = child(schema, "items") {
        walk(items, &at("items"), &inner, all);
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let field = at("x-kubernetes-preserve-unknown-fields");
        let why = "must be true or undefined";
        all.push(FieldError::invalid(field, &false.into(), why));
    }
    map_type(schema, path, all);
    list_type(schema, path, all);
}

fn keywords(schema: &Value, path: &str, place: &Place, all: &mut Vec<FieldError>) {
    let at = |keyword: &str| below(path, keyword);
    let declared = text(schema, "type");
    if !declared.is_empty() && !TYPES.contains(&declared) {
        let known: Vec<Value> = TYPES.iter().map(|known| json!(known)).collect();
        let fault = FieldError::not_supported(at("type"), &declared.into(), &known);
        all.push(fault);
    }
    if let (Some(reason), Some(_)) = (&place.no_default, given(schema, "default")) {
        let why = format!("must not be set {reason}");
        all.push(FieldError::forbidden(at("default"), &why));
    }
    for keyword in UNSUPPORTED {
        let says = match given(schema, keyword) {
            None => false,
            Some(Value::String(text)) => *keyword == "$ref" || !text.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(_) => true,
        };
        if says {
            let why = format!("{keyword} is not supported");
            all.push(FieldError::forbidden(at(keyword), &why));
        }
    }
    if declared == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        all.push(FieldError::forbidden(at("type"), why));
    }
    if !list(schema, "items").is_empty() {
        let why = "items must be a schema object and not an array";
        all.push(FieldError::forbidden(at("items"), why));
    }
    if place.is_in_meta && flag(schema, "x-kubernetes-embedded-resource") {
        let field = at("x-kubernetes-embedded-resource");
        let why = "must not be used inside of resource meta";
        all.push(FieldError::forbidden(field, why));
    }
}

fn map_type(schema: &Value, path: &str, all: &mut Vec<FieldError>) {
    let Some(map_type) = given(schema, "x-kubernetes-map-type") else {
        return;
    };
    let declared = text(schema, "type");
    if declared != "object" {
        let why = "must be object if x-kubernetes-map-type is specified";
        all.push(missing_or_wrong(below(path, "type"), declared, why));
    }
    if !matches!(map_type.as_str(), Some("atomic" | "granular")) {
        all.push(FieldError::not_supported(
            below(path, "x-kubernetes-map-type"),
            map_type,
            &[json!("atomic"), json!("granular")],
        ));
    }
}

fn list_type(schema: &Value, path: &str, all: &mut Vec<FieldError>) {
    let at = |keyword: &str| below(path, keyword);
    let declared = text(schema, "type");
    let given_type = given(schema, "x-kubernetes-list-type");
    let list_type = text(schema, "x-kubernetes-list-type");
    let items = child(schema, "items");
    if given_type.is_some() && declared != "array" {
        let why = "must be array if x-kubernetes-list-type is specified";
        all.push(missing_or_wrong(at("type"), declared, why));
    } else if list_type == "set"
        && let Some(items) = items
    {
        all.extend(item_of_a_set(items, path));
    }
    if let Some(other) = given_type
        && !matches!(list_type, "atomic" | "set" | "map")
    {
        all.push(FieldError::not_supported(
            at("x-kubernetes-list-type"),
            other,
            &[json!("atomic"), json!("set"), json!("map")],
        ));
    }
    let has_keys = strings(schema, "x-kubernetes-list-map-keys")
        .next()
        .is_some();
    if has_keys && list_type != "map" {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        let field = at("x-kubernetes-list-type");
        all.push(match given_type {
            None => FieldError::required(field, why),
            Some(found) => FieldError::invalid(field, found, why),
        });
    }
    if list_type == "map" {
        list_map(schema, has_keys, path, all);
    }
    if let Some(items) = items
        && matches!(list_type, "set" | "map")
    {
        if flag(items, "nullable") {
            let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
            all.push(FieldError::forbidden(at("items.nullable"), &why));
        }
        if list_type == "map" {
            always_there(schema, items, path, all);
        }
    }
}

fn item_of_a_set(items: &Value, path: &str) -> Option<FieldError> {
    let own = given(items, "x-kubernetes-list-type");
    let keyword = match text(items, "type") {
        "array" if own.is_some_and(|own| own != "atomic") => "x-kubernetes-list-type",
        "object" if text(items, "x-kubernetes-map-type") != "atomic" => "x-kubernetes-map-type",
        _ => return None,
    };
    Some(FieldError::invalid(
        below(path, &format!("items.{keyword}")),
        own.unwrap_or(&Value::Null),
        "must be atomic as item of a list with x-kubernetes-list-type=set",
    ))
}

fn list_map(schema: &Value, has_keys: bool, path: &str, all: &mut Vec<FieldError>) {
    let at = |keyword: &str| below(path, keyword);
    if !has_keys {
        let why = "must not be empty if x-kubernetes-list-type is map";
        all.push(FieldError::required(at("x-kubernetes-list-map-keys"), why));
    }
    let Some(given) = given(schema, "items") else {
        let why = "must have a schema if x-kubernetes-list-type is map";
        all.push(FieldError::required(at("items"), why));
        return;
    };
    let Some(items) = child(schema, "items") else {
        let why = "must only have a single schema if x-kubernetes-list-type is map";
        let several = json!({"JSONSchemas": given});
        all.push(FieldError::invalid(at("items"), &several, why));
        return;
    };
    let declared = text(items, "type");
    if declared != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        all.push(FieldError::invalid(at("items.type"), &declared.into(), why));
        return;
    }
    let keys: Vec<&str> = strings(schema, "x-kubernetes-list-map-keys").collect();
    for (index, key) in keys.iter().enumerate() {
        let field = at("x-kubernetes-list-map-keys");
        match items.get("properties").and_then(|all| all.get(key)) {
            None => {
                let why = "entries must all be names of item properties";
                all.push(FieldError::invalid(&field, &json!(keys), why));
            }
            Some(property) if matches!(text(property, "type"), "array" | "object") => {
                let field = at(&format!("items.properties[{key}].type"));
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                all.push(FieldError::invalid(field, &declared.into(), why));
            }
            Some(_) => {}
        }
        if keys.iter().take(index).any(|earlier| earlier == key) {
            let why = "must not contain duplicate entries";
            all.push(FieldError::invalid(field, &json!(keys), why));
        }
    }
}

/// Keys of a list's items are there in each of them.
fn always_there(schema: &Value, items: &Value, path: &str, all: &mut Vec<FieldError>) {
    for key in strings(schema, "x-kubernetes-list-map-keys") {
        let Some(property) = items.get("properties").and_then(|all| all.get(key)) else {
            continue;
        };
        let at = |keyword: &str| below(path, &format!("items.properties[{key}].{keyword}"));
        let is_required = strings(items, "required").any(|name| name == key);
        if !is_required && given(property, "default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            all.push(FieldError::required(at("default"), why));
        }
        if flag(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            all.push(FieldError::forbidden(at("nullable"), why));
        }
    }
}
