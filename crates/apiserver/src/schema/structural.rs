//! Structural schemas: everything that is said of what a value is stands outside of `allOf`, `anyOf`,
//! `oneOf` and `not`; in there values are only held against rules.
//!
//! Source of the rules and their words: `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`.

use serde_json::{Value, json};

use super::field_error::FieldError;
use super::json_schema::{below, child, flag, given, list, named, text};
use super::rules::unread_pattern;

/// Keywords of which a structural schema knows nothing, as long as they say anything.
const UNREAD: &[(&str, &str)] = &[
    ("id", "id"),
    ("$schema", "schema"),
    ("$ref", "$ref"),
    ("patternProperties", "patternProperties"),
    ("dependencies", "dependencies"),
    ("additionalItems", "additionalItems"),
    ("definitions", "definitions"),
];

/// Keywords that are the type's own, with what they must be elsewhere.
const OF_TYPES: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be empty to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-map-type",
        "must be undefined to be structural",
    ),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

/// Where in the schema a type stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// Why a schema cannot even be read as a structural one.
pub(super) fn unreadable(schema: &Value) -> Option<String> {
    let says = |keyword: &str| match given(schema, keyword) {
        None => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    };
    if let Some((_, name)) = UNREAD.iter().find(|(keyword, _)| says(keyword)) {
        return Some(format!("OpenAPIV3Schema '{name}' is not supported"));
    }
    let junctors = ["allOf", "anyOf", "oneOf"];
    let rules = junctors
        .into_iter()
        .flat_map(|junctor| list(schema, junctor))
        .chain(child(schema, "not"));
    if let Some(why) = rules.into_iter().find_map(unreadable) {
        return Some(why);
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        return Some(
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
                .to_owned(),
        );
    }
    if !list(schema, "items").is_empty() {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    child(schema, "items")
        .into_iter()
        .chain(named(schema, "properties").map(|(_, property)| property))
        .chain(child(schema, "additionalProperties"))
        .find_map(unreadable)
}

/// What keeps a schema at a place from being structural.
pub(super) fn faults(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut all = Vec::new();
    invariants(schema, Level::Root, path, &mut all);
    // Only the rules of the root are looked through.
    Completeness { all: &mut all }.junctors(schema, schema, path, path);
    all
}

fn invariants(schema: &Value, level: Level, path: &str, all: &mut Vec<FieldError>) {
    let at = |keyword: &str| below(path, keyword);
    let declared = text(schema, "type");
    let is_embedded = flag(schema, "x-kubernetes-embedded-resource");
    let preserves = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let is_either = flag(schema, "x-kubernetes-int-or-string");
    match child(schema, "items") {
        Some(items) => invariants(items, Level::Item, &at("items"), all),
        None if declared == "array" => {
            all.push(FieldError::required(at("items"), "must be specified"));
        }
        None => {}
    }
    for (name, property) in named(schema, "properties") {
        let at = at(&format!("properties[{name}]"));
        invariants(property, Level::Field, &at, all);
    }
    if given(schema, "additionalProperties").is_some() && level == Level::Root {
        let field = at("additionalProperties");
        all.push(FieldError::forbidden(field, "must not be used at the root"));
    }
    if let Some(further) = child(schema, "additionalProperties") {
        invariants(further, Level::Field, &at("additionalProperties"), all);
    }
    for (keyword, is) in [
        ("x-kubernetes-preserve-unknown-fields", preserves),
        ("x-kubernetes-embedded-resource", is_embedded),
    ] {
        if is_either && is {
            let why = "must be false if x-kubernetes-int-or-string is true";
            all.push(FieldError::invalid(at(keyword), &true.into(), why));
        }
    }
    let skip_any_of = says_either(schema.get("anyOf"));
    let first = list(schema, "allOf").first();
    let skip_in_all_of = first.is_some_and(|first| says_either(first.get("anyOf")));
    rules(schema, skip_any_of, skip_in_all_of, path, all);
    type_of(schema, level, path, all);
    if is_embedded {
        embedded(schema, path, all);
    }
    if level == Level::Root || is_embedded {
        for name in ["kind", "apiVersion"] {
            if let Some(property) = schema.pointer(&format!("/properties/{name}"))
                && text(property, "type") != "string"
            {
                let field = at(&format!("properties[{name}].type"));
                let found = text(property, "type").into();
                all.push(FieldError::invalid(field, &found, "must be string"));
            }
        }
        if let Some(metadata) = schema.pointer("/properties/metadata") {
            let at = at("properties[metadata]");
            self::metadata(metadata, level, &at, all);
        }
    }
}

fn type_of(schema: &Value, level: Level, path: &str, all: &mut Vec<FieldError>) {
    let field = below(path, "type");
    let declared = text(schema, "type");
    let is_free = flag(schema, "x-kubernetes-int-or-string")
        || flag(schema, "x-kubernetes-preserve-unknown-fields");
    if flag(schema, "x-kubernetes-embedded-resource") && declared != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        all.push(missing_or_wrong(field.clone(), declared, why));
    } else if declared.is_empty() && !is_free {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Field => "must not be empty for specified object fields",
            Level::Item => "must not be empty for specified array items",
        };
        all.push(FieldError::required(field.clone(), why));
    }
    if level == Level::Root && !matches!(declared, "" | "object") {
        let why = "must be object at the root";
        all.push(FieldError::invalid(field, &declared.into(), why));
    }
}

/// A type that has to be another one, said differently where there is none.
pub(super) fn missing_or_wrong(field: String, declared: &str, why: &str) -> FieldError {
    if declared.is_empty() {
        FieldError::required(field, why)
    } else {
        FieldError::invalid(field, &declared.into(), why)
    }
}

fn embedded(schema: &Value, path: &str, all: &mut Vec<FieldError>) {
    if given(schema, "additionalProperties").is_some() {
        all.push(FieldError::forbidden(
            below(path, "additionalProperties"),
            "must not be used if x-kubernetes-embedded-resource is set",
        ));
    }
    let is_empty = named(schema, "properties").next().is_none();
    if is_empty && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
        all.push(FieldError::required(
            below(path, "properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
}

/// Of the metadata a schema may say what names are like, and nothing else.
fn metadata(schema: &Value, level: Level, path: &str, all: &mut Vec<FieldError>) {
    if text(schema, "type") != "object" {
        let found = text(schema, "type").into();
        let field = below(path, "type");
        all.push(FieldError::invalid(field, &found, "must be object"));
    }
    let is_name = |name: &String| matches!(name.as_str(), "name" | "generateName");
    let says_more = schema.as_object().is_some_and(|keywords| {
        keywords
            .iter()
            .any(|(keyword, value)| match keyword.as_str() {
                "type" | "default" => false,
                "properties" => !named(schema, "properties").all(|(name, _)| is_name(name)),
                _ => !value.is_null(),
            })
    });
    if level == Level::Root && says_more {
        all.push(FieldError::forbidden(
            path,
            "must not specify anything other than name and generateName, but metadata is implicitly specified",
        ));
    }
}

/// What is both number and word may say so by `anyOf`, on its own or first in `allOf`.
fn says_either(any_of: Option<&Value>) -> bool {
    any_of == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

fn rules(
    schema: &Value,
    skip_any_of: bool,
    skip_in_all_of: bool,
    path: &str,
    all: &mut Vec<FieldError>,
) {
    for junctor in ["anyOf", "allOf", "oneOf"] {
        if junctor == "anyOf" && skip_any_of {
            continue;
        }
        for (at, part) in list(schema, junctor).iter().enumerate() {
            let skip = skip_in_all_of && junctor == "allOf" && at == 0;
            nested(part, skip, &below(path, &format!("{junctor}[{at}]")), all);
        }
    }
    if let Some(not) = child(schema, "not") {
        nested(not, false, &below(path, "not"), all);
    }
    let pattern = text(schema, "pattern");
    if let Some(why) = unread_pattern(pattern) {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        let field = below(path, "pattern");
        all.push(FieldError::invalid(field, &pattern.into(), &why));
    }
}

fn nested(schema: &Value, skip_any_of: bool, path: &str, all: &mut Vec<FieldError>) {
    rules(schema, skip_any_of, false, path, all);
    if let Some(items) = child(schema, "items") {
        nested(items, false, &below(path, "items"), all);
    }
    for (name, property) in named(schema, "properties") {
        let at = below(path, &format!("properties[{name}]"));
        nested(property, false, &at, all);
    }
    if !matches!(
        given(schema, "additionalProperties"),
        None | Some(Value::Bool(false))
    ) {
        let field = below(path, "additionalProperties");
        let why = "must be undefined to be structural";
        all.push(FieldError::forbidden(field, why));
    }
    for (keyword, why) in OF_TYPES {
        let says = match schema.get(*keyword) {
            None | Some(Value::Null) => false,
            // A default may be anything.
            Some(_) if *keyword == "default" => true,
            Some(Value::Bool(is)) => *is,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(_) => true,
        };
        if says {
            all.push(FieldError::forbidden(below(path, keyword), why));
        }
    }
    if schema.pointer("/properties/metadata").is_some() {
        let field = below(path, "properties[metadata]");
        let why = "must not be specified in a nested context";
        all.push(FieldError::forbidden(field, why));
    }
}

/// What rules are about has to be there outside of them.
struct Completeness<'a> {
    all: &'a mut Vec<FieldError>,
}

impl Completeness<'_> {
    fn junctors(&mut self, rules: &Value, types: &Value, path: &str, rule_path: &str) {
        let each = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|junctor| {
            let parts = list(rules, junctor).iter().enumerate();
            parts.map(move |(at, part)| (format!("{junctor}[{at}]"), part))
        });
        let not = child(rules, "not").map(|not| ("not".to_owned(), not));
        for (keyword, part) in each.chain(not) {
            self.nested(part, Some(types), path, &below(rule_path, &keyword));
        }
    }

    fn nested(&mut self, rules: &Value, types: Option<&Value>, path: &str, rule_path: &str) {
        let Some(types) = types else {
            let why = format!("because it is defined in {rule_path}");
            self.all.push(FieldError::required(path, &why));
            return;
        };
        self.junctors(rules, types, path, rule_path);
        if let Some(items) = child(rules, "items") {
            let (path, rule_path) = (below(path, "items"), below(rule_path, "items"));
            self.nested(items, child(types, "items"), &path, &rule_path);
        }
        for (name, property) in named(rules, "properties") {
            let keyword = format!("properties[{name}]");
            let (path, rule_path) = (below(path, &keyword), below(rule_path, &keyword));
            let types = types.get("properties").and_then(|all| all.get(name));
            self.nested(property, types, &path, &rule_path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: &Value) -> Vec<String> {
        faults(schema, "")
            .into_iter()
            .map(|fault| fault.field)
            .collect()
    }

    #[test]
    fn rules_say_nothing_of_types() {
        let schema = json!({
            "type": "object", "properties": {"a": {"type": "string"}},
            "anyOf": [{"properties": {"a": {"type": "string", "pattern": "x"}}}],
            "not": {"nullable": true, "items": {"minimum": 1}},
        });
        assert_eq!(
            told(&schema),
            ["anyOf[0].properties[a].type", "not.nullable", "items"]
        );
    }

    #[test]
    fn a_number_or_word_may_say_so() {
        let either = json!([{"type": "integer"}, {"type": "string"}]);
        let schema = |rules: Value| {
            let mut port = json!({"x-kubernetes-int-or-string": true});
            json_patch::merge(&mut port, &rules);
            told(&json!({"type": "object", "properties": {"port": port}}))
        };
        assert!(schema(json!({"anyOf": either})).is_empty());
        assert!(schema(json!({"allOf": [{"anyOf": either}, {"pattern": "x"}]})).is_empty());
        assert_eq!(schema(json!({"oneOf": either})).len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_told_first() {
        let schema = json!({"type": "object", "properties": {"a": {"items": [{}]}}});
        assert_eq!(
            unreadable(&schema).as_deref(),
            Some("OpenAPIV3Schema 'items' must be a schema, but is an array")
        );
        assert_eq!(unreadable(&json!({"type": "object", "id": ""})), None);
    }
}
