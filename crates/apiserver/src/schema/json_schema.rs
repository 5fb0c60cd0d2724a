//! A JSON schema as a definition has it: reading its keywords, where what is null or empty is as good
//! as not there.

use serde_json::{Map, Value};

pub(super) fn text<'s>(schema: &'s Value, keyword: &str) -> &'s str {
    schema
        .get(keyword)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

/// A keyword that says something.
pub(super) fn given<'s>(schema: &'s Value, keyword: &str) -> Option<&'s Value> {
    schema.get(keyword).filter(|value| !value.is_null())
}

pub(super) fn list<'s>(schema: &'s Value, keyword: &str) -> &'s [Value] {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(super) fn strings<'s>(schema: &'s Value, keyword: &str) -> impl Iterator<Item = &'s str> {
    list(schema, keyword).iter().filter_map(Value::as_str)
}

/// The schemas of a keyword that has several by name.
pub(super) fn named<'s>(
    schema: &'s Value,
    keyword: &str,
) -> impl Iterator<Item = (&'s String, &'s Value)> {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

/// The one schema of a keyword, where it has one.
pub(super) fn child<'s>(schema: &'s Value, keyword: &str) -> Option<&'s Value> {
    schema.get(keyword).filter(|child| child.is_object())
}

/// A place below another: `spec` and `properties[a]` are `spec.properties[a]`.
pub(super) fn below(path: &str, keyword: &str) -> String {
    if path.is_empty() {
        keyword.to_owned()
    } else {
        format!("{path}.{keyword}")
    }
}

/// Every schema in a schema, itself first, in the order in which Kubernetes walks them.
pub(super) fn each<'s>(schema: &'s Value, see: &mut dyn FnMut(&'s Value)) {
    see(schema);
    for keyword in ["items", "allOf", "anyOf", "oneOf"] {
        for part in list(schema, keyword) {
            each(part, see);
        }
        if let Some(one) = child(schema, keyword) {
            each(one, see);
        }
    }
    if let Some(not) = child(schema, "not") {
        each(not, see);
    }
    for keyword in ["properties", "patternProperties", "definitions"] {
        for (_, part) in named(schema, keyword) {
            each(part, see);
        }
    }
    for keyword in ["additionalProperties", "additionalItems"] {
        if let Some(part) = child(schema, keyword) {
            each(part, see);
        }
    }
}
