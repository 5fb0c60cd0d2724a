//! Small structural schemas, what is wrong with some, and values that fit most of the time.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::shape::odd;

const NAMES: &[&str] = &["a", "b", "c", "d"];

/// An object with some of few fields.
pub fn object(chance: &mut Chance, depth: usize) -> Value {
    let mut properties = Map::new();
    for name in NAMES {
        if chance.percent(55) {
            properties.insert((*name).to_owned(), any(chance, depth));
        }
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if chance.percent(15) {
        schema["required"] = json!([*chance.pick(NAMES)]);
    }
    if chance.percent(8) {
        schema["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    if chance.percent(8) {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    if chance.percent(6) {
        schema["maxProperties"] = 2.into();
    }
    schema
}

/// Any schema.
pub fn any(chance: &mut Chance, depth: usize) -> Value {
    let deep = u32::from(depth > 0) * 10;
    let kind = chance.weighted(&[
        (25, 0),
        (18, 1),
        (6, 2),
        (8, 3),
        (8, 4),
        (deep, 5),
        (deep, 6),
        (deep * 2, 7),
        (5, 8),
    ]);
    let mut schema = match kind {
        0 => string(chance),
        1 => integer(chance),
        2 => number(chance),
        3 => with(
            chance,
            json!({"type": "boolean"}),
            &[("default", json!(true))],
        ),
        4 => json!({"x-kubernetes-int-or-string": true}),
        5 => object(chance, depth - 1),
        6 => json!({"type": "object", "additionalProperties": any(chance, depth - 1)}),
        7 => list(chance, depth - 1),
        _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    if chance.percent(10) {
        schema["nullable"] = true.into();
    }
    if chance.percent(5) {
        schema["description"] = "What it is.".into();
    }
    schema
}

fn with(chance: &mut Chance, mut schema: Value, more: &[(&str, Value)]) -> Value {
    for (name, value) in more {
        if chance.percent(25) {
            schema[*name] = value.clone();
        }
    }
    schema
}

fn string(chance: &mut Chance) -> Value {
    let schema = json!({"type": "string"});
    match chance.below(4) {
        0 => with(
            chance,
            json!({"type": "string", "enum": ["red", "blue"]}),
            &[("default", json!("red"))],
        ),
        1 => {
            let format = *chance.pick(&["date-time", "byte", "date", "ipv4", "uuid", "email"]);
            json!({"type": "string", "format": format})
        }
        _ => with(
            chance,
            schema,
            &[
                ("pattern", json!("^[a-z]+$")),
                ("maxLength", json!(3)),
                ("minLength", json!(1)),
                ("default", json!("red")),
            ],
        ),
    }
}

fn integer(chance: &mut Chance) -> Value {
    with(
        chance,
        json!({"type": "integer"}),
        &[
            ("minimum", json!(1)),
            ("maximum", json!(5)),
            ("exclusiveMinimum", json!(true)),
            ("multipleOf", json!(2)),
            ("default", json!(4)),
            ("format", json!("int32")),
            ("enum", json!([2, 4])),
        ],
    )
}

fn number(chance: &mut Chance) -> Value {
    with(
        chance,
        json!({"type": "number"}),
        &[
            ("minimum", json!(0.5)),
            ("maximum", json!(2)),
            ("exclusiveMaximum", json!(true)),
            ("multipleOf", json!(0.5)),
            ("default", json!(1.5)),
        ],
    )
}

fn list(chance: &mut Chance, depth: usize) -> Value {
    let mut schema = match chance.below(4) {
        0 => json!({
            "type": "array", "x-kubernetes-list-type": "set",
            "items": {"type": *chance.pick(&["string", "integer"])},
        }),
        1 => json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {
                "type": "object", "required": ["k"],
                "properties": {"k": {"type": "string"}, "v": any(chance, depth.min(1))},
            },
        }),
        2 => json!({
            "type": "array", "x-kubernetes-list-type": "atomic", "items": any(chance, depth),
        }),
        _ => json!({"type": "array", "items": any(chance, depth)}),
    };
    for (name, often, value) in [("maxItems", 20, 2), ("minItems", 15, 1)] {
        if chance.percent(often) {
            schema[name] = value.into();
        }
    }
    schema
}

/// A value that fits a schema most of the time.
pub fn value(schema: &Value, chance: &mut Chance) -> Value {
    if chance.percent(3) {
        return odd(chance);
    }
    if schema["nullable"] == true && chance.percent(15) {
        return Value::Null;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return chance.pick(&[json!(1), json!("50%"), json!("x")]).clone();
    }
    if let Value::Array(words) = &schema["enum"]
        && chance.percent(85)
    {
        return chance.pick(words).clone();
    }
    match schema["type"].as_str().unwrap_or_default() {
        "string" => string_of(schema, chance),
        "integer" => chance
            .pick(&[json!(1), json!(2), json!(4), json!(6), json!(0), json!(2.0)])
            .clone(),
        "number" => chance
            .pick(&[json!(0.5), json!(1), json!(2), json!(1.25), json!(0)])
            .clone(),
        "boolean" => chance.percent(50).into(),
        "array" => {
            let count = chance.below(4);
            (0..count)
                .map(|_| value(&schema["items"], chance))
                .collect()
        }
        _ => object_of(schema, chance),
    }
}

fn string_of(schema: &Value, chance: &mut Chance) -> Value {
    let words: &[&str] = match schema["format"].as_str() {
        Some("date-time") => &["2024-01-02T03:04:05Z", "2024-01-02", "soon"],
        Some("byte") => &["MQ==", "?"],
        Some("date") => &["2024-01-02", "2024-13-02"],
        Some("ipv4") => &["1.2.3.4", "1.2.3"],
        Some("uuid") => &["00000000", "x"],
        Some("email") => &["a@example.com", "a"],
        _ => &["red", "a", "b", "long", "", "A1"],
    };
    (*chance.pick(words)).into()
}

fn object_of(schema: &Value, chance: &mut Chance) -> Value {
    let mut object = Map::new();
    if let Value::Object(properties) = &schema["properties"] {
        for (name, below) in properties {
            if chance.percent(if name == "k" || name == "spec" {
                95
            } else {
                55
            }) {
                object.insert(name.clone(), value(below, chance));
            }
        }
    }
    let further = &schema["additionalProperties"];
    for name in ["x", "y"] {
        if further.is_object() && chance.percent(50) {
            object.insert(name.to_owned(), value(further, chance));
        }
    }
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if chance.percent(if open { 50 } else { 4 }) {
        object.insert("unheard".to_owned(), odd(chance));
    }
    Value::Object(object)
}

/// What may be wrong with a definition: a place, and what is written there.
pub fn spoil(definition: &mut Value, chance: &mut Chance) {
    const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";
    let spec = format!("{SCHEMA}/properties/spec");
    let root = |field: &str| format!("{SCHEMA}/{field}");
    let a = |field: &str| format!("{spec}/properties/a/{field}");
    let faults = [
        (
            "/metadata/name".to_owned(),
            json!("caps.{turn}.{ns}.example.com"),
        ),
        ("/spec/group".to_owned(), json!("nodots")),
        ("/spec/group".to_owned(), json!("")),
        ("/spec/scope".to_owned(), json!("Nope")),
        ("/spec/scope".to_owned(), Value::Null),
        ("/spec/names/plural".to_owned(), json!("Hats")),
        ("/spec/names/plural".to_owned(), Value::Null),
        ("/spec/names/kind".to_owned(), json!("")),
        ("/spec/names/kind".to_owned(), json!("Ha_t")),
        ("/spec/names/kind".to_owned(), json!("hat")),
        ("/spec/names/listKind".to_owned(), json!("Hat")),
        ("/spec/names/singular".to_owned(), json!("H.t")),
        ("/spec/names/shortNames".to_owned(), json!(["H", "a b"])),
        ("/spec/names/categories".to_owned(), json!(["All"])),
        ("/spec/versions".to_owned(), json!([])),
        ("/spec/versions".to_owned(), Value::Null),
        ("/spec/versions/0/name".to_owned(), json!("V1")),
        ("/spec/versions/0/name".to_owned(), json!("v2")),
        ("/spec/versions/0/storage".to_owned(), json!(false)),
        ("/spec/versions/0/served".to_owned(), json!(false)),
        ("/spec/versions/0/schema".to_owned(), Value::Null),
        ("/spec/versions/0/schema".to_owned(), json!({})),
        ("/spec/versions/0/deprecated".to_owned(), json!(true)),
        (
            "/spec/versions/0/deprecationWarning".to_owned(),
            json!("old"),
        ),
        ("/spec/conversion".to_owned(), json!({"strategy": "Odd"})),
        ("/spec/conversion".to_owned(), json!({"strategy": "None"})),
        ("/spec/preserveUnknownFields".to_owned(), json!(true)),
        ("/spec/unheard".to_owned(), json!(1)),
        (
            "/spec/versions/0/subresources".to_owned(),
            json!({"scale": {"specReplicasPath": ".x", "statusReplicasPath": "status.y"}}),
        ),
        (
            "/spec/versions/0/additionalPrinterColumns".to_owned(),
            json!([{"name": "A", "type": "odd", "jsonPath": "spec"}]),
        ),
        (
            "/spec/versions/0/additionalPrinterColumns".to_owned(),
            json!([{"name": "A", "type": "string"}]),
        ),
        (
            "/spec/versions/0/selectableFields".to_owned(),
            json!([{"jsonPath": ".spec.a"}]),
        ),
        (root("type"), Value::Null),
        (root("type"), json!("string")),
        (root("nullable"), json!(true)),
        (
            root("properties/metadata"),
            json!({"type": "object", "properties": {"name": {"type": "string", "pattern": "^a"}}}),
        ),
        (
            root("properties/metadata"),
            json!({"type": "object", "properties": {"labels": {"type": "object"}}}),
        ),
        (root("properties/kind"), json!({"type": "integer"})),
        (root("properties/apiVersion"), json!({"type": "string"})),
        (format!("{spec}/type"), Value::Null),
        (
            format!("{spec}/additionalProperties"),
            json!({"type": "string"}),
        ),
        (format!("{spec}/additionalProperties"), json!(false)),
        (format!("{spec}/$ref"), json!("#/x")),
        (
            format!("{spec}/oneOf"),
            json!([{"required": ["a"]}, {"required": ["b"]}]),
        ),
        (
            format!("{spec}/oneOf"),
            json!([{"properties": {"q": {"minimum": 1}}}]),
        ),
        (
            format!("{spec}/anyOf"),
            json!([{"properties": {"a": {"type": "string"}}}]),
        ),
        (format!("{spec}/not"), json!({"required": ["c"]})),
        (
            format!("{spec}/x-kubernetes-preserve-unknown-fields"),
            json!(false),
        ),
        (
            format!("{spec}/x-kubernetes-embedded-resource"),
            json!(true),
        ),
        (format!("{spec}/x-kubernetes-map-type"), json!("odd")),
        (format!("{spec}/x-kubernetes-list-type"), json!("set")),
        (format!("{spec}/default"), json!({"a": 1, "zz": 2})),
        (
            format!("{spec}/patternProperties"),
            json!({"a": {"type": "string"}}),
        ),
        (
            format!("{spec}/definitions"),
            json!({"a": {"type": "string"}}),
        ),
        (format!("{spec}/dependencies"), json!({"a": ["b"]})),
        (format!("{spec}/id"), json!("x")),
        (format!("{spec}/properties/a"), json!({"type": "odd"})),
        (format!("{spec}/properties/a"), json!({})),
        (format!("{spec}/properties/a"), json!({"type": "array"})),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": [{"type": "string"}]}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map"}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "odd"}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["q"]}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "x-kubernetes-int-or-string": true}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "default": 3}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "default": null}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "default": "long", "maxLength": 2}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "pattern": "("}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "x-kubernetes-preserve-unknown-fields": true}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "string", "properties": {"x": {"type": "string"}}}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "object", "additionalProperties": true}),
        ),
        (
            format!("{spec}/properties/a"),
            json!({"type": "object", "additionalProperties": {"nullable": true}}),
        ),
        (a("enum"), json!([])),
        (a("enum"), json!(["q", "q"])),
        (a("minimum"), json!("x")),
        (a("maximum"), json!(-3)),
        (a("maxLength"), json!(-1)),
        (a("multipleOf"), json!(0)),
        (a("required"), json!(["a", "a"])),
        (a("type"), Value::Null),
    ];
    let (place, value) = chance.pick(&faults);
    set(definition, place, value.clone());
}

/// Writes at a place; what is on the way has to be there.
fn set(value: &mut Value, place: &str, what: Value) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    if let Some(Value::Object(fields)) = value.pointer_mut(parent) {
        if what.is_null() && !parent.ends_with("/a") {
            fields.remove(name);
        } else {
            fields.insert(name.to_owned(), what);
        }
    }
}
