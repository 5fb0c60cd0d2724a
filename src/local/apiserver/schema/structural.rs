//! What keeps a schema from being structural below `allOf`, `anyOf`, `oneOf` and `not`: there it may
//! only hold values against rules, and say nothing of what they are.

use serde_json::{Value, json};

/// Keywords that are the type's own, with what they must be elsewhere.
const OF_TYPES: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
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
];

/// The faults of the rules of one schema, each with its path below the schema.
pub(super) fn faults(schema: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let either = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    rules(schema, "", either, &mut all);
    all
}

/// `either`: what is both number and word may say so by `anyOf`, on its own or first in `allOf`.
fn rules(schema: &Value, path: &str, either: bool, all: &mut Vec<(String, String)>) {
    for junctor in ["allOf", "anyOf", "oneOf"] {
        let parts = schema.get(junctor);
        if junctor == "anyOf"
            && either
            && parts == Some(&json!([{"type": "integer"}, {"type": "string"}]))
        {
            continue;
        }
        for (at, part) in parts
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let path = format!("{path}{junctor}[{at}].");
            nested(part, &path, either && junctor == "allOf" && at == 0, all);
        }
    }
    if let Some(not) = schema.get("not") {
        nested(not, &format!("{path}not."), false, all);
    }
}

fn nested(schema: &Value, path: &str, either: bool, all: &mut Vec<(String, String)>) {
    rules(schema, path, either, all);
    if let Some(items) = schema.get("items") {
        nested(items, &format!("{path}items."), false, all);
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        nested(property, &format!("{path}properties[{name}]."), false, all);
    }
    for (keyword, why) in OF_TYPES {
        let says = match schema.get(*keyword) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(_) => true,
        };
        if says {
            all.push((format!("{path}{keyword}"), format!("Forbidden: {why}")));
        }
    }
    if schema.pointer("/properties/metadata").is_some() {
        all.push((
            format!("{path}properties[metadata]"),
            "Forbidden: must not be specified in a nested context".to_owned(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_nothing_of_types() {
        let schema = json!({
            "type": "object",
            "anyOf": [{"properties": {"a": {"type": "string", "pattern": "x"}}}],
            "not": {"nullable": true},
        });
        let told: Vec<String> = faults(&schema).into_iter().map(|(at, _)| at).collect();
        assert_eq!(told, ["anyOf[0].properties[a].type", "not.nullable"]);
    }

    #[test]
    fn a_number_or_word_may_say_so() {
        let either = json!([{"type": "integer"}, {"type": "string"}]);
        let schema = |rules: Value| {
            let mut schema = json!({"x-kubernetes-int-or-string": true});
            json_patch::merge(&mut schema, &rules);
            faults(&schema)
        };
        assert!(schema(json!({"anyOf": either})).is_empty());
        assert!(schema(json!({"allOf": [{"anyOf": either}, {"pattern": "x"}]})).is_empty());
        assert_eq!(schema(json!({"oneOf": either})).len(), 2);
    }
}
