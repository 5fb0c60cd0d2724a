//! What a CRD's schema does to objects, and which schemas are none.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{Schema, faults};

fn schema(properties: Value) -> Schema {
    Schema::from_openapi(&json!({"type": "object", "properties": properties}))
}

#[track_caller]
fn check(properties: Value, object: Value, expected: Expect) {
    let schema = schema(properties);
    let mut errors = schema.validate(&object, None);
    errors.extend(schema.duplicates(&object));
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expected.assert_eq(&errors.join("\n"));
}

#[track_caller]
fn refuse(openapi: Value, expected: Expect) {
    let mut faults: Vec<String> = faults(&openapi, "", false)
        .iter()
        .map(ToString::to_string)
        .collect();
    faults.sort();
    expected.assert_eq(&faults.join("\n"));
}

/// The path of a value says the items and the further fields that it is in.
#[test]
fn what_is_deep_in_lists_and_maps_is_told_by_its_path() {
    let inside = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
    let schema = schema(json!({
        "list": {"type": "array", "items": {"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "inside": inside,
        }}},
        "map": {"type": "object", "additionalProperties": inside},
    }));
    let object = json!({
        "list": [{}, {"set": ["a", "a"], "inside": {"kind": "A"}}],
        "map": {"x": {"apiVersion": "v1"}},
    });
    let told = |errors: Vec<super::FieldError>| {
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        words.join("\n")
    };
    expect![[r#"list[1].set[1]: Duplicate value: "a""#]]
        .assert_eq(&told(schema.duplicates(&object)));
    expect![[r"
        list[1].inside.apiVersion: Required value
        map[x].kind: Required value"]]
    .assert_eq(&told(schema.embedded_faults(&object)));
}

#[test]
fn unknown_fields_go_and_are_named_and_metadata_is_typed() {
    let schema = schema(json!({
        "spec": {"type": "object", "properties": {
            "known": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "typed": {"type": "object", "properties": {"a": {"type": "integer"}}},
            }},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {}}},
        }},
    }));
    let mut object = json!({
        "apiVersion": "g/v1", "kind": "K", "extra": 1,
        "metadata": {"name": "x", "labels": {"a": "b"}, "nonsense": 1,
            "ownerReferences": [{"uid": "1", "bogus": true}]},
        "spec": {"known": "x", "unknown": {"deep": 1}, "list": [{"a": 1}, {"b": 2}],
            "free": {"anything": {"goes": 1}, "typed": {"a": 1, "b": 2}},
            "map": {"k": {"gone": 1}}},
    });
    assert_eq!(
        schema.prune(&mut object),
        [
            "extra",
            "metadata.nonsense",
            "metadata.ownerReferences[0].bogus",
            "spec.free.typed.b",
            "spec.list[1].b",
            "spec.map.k.gone",
            "spec.unknown",
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "g/v1", "kind": "K",
            "metadata": {"name": "x", "labels": {"a": "b"}, "ownerReferences": [{"uid": "1"}]},
            "spec": {"known": "x", "list": [{"a": 1}, {}],
                "free": {"anything": {"goes": 1}, "typed": {"a": 1}}, "map": {"k": {}}},
        })
    );
    assert!(schema.prune(&mut object).is_empty());
}

#[test]
fn defaults_come_where_a_field_is_absent_or_may_not_be_null() {
    let schema = schema(json!({
        "spec": {"type": "object", "default": {}, "properties": {
            "replicas": {"type": "integer", "default": 1},
            "nullable": {"type": "string", "nullable": true, "default": "d"},
            "strict": {"type": "string", "default": "d"},
            "none": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {
                "protocol": {"type": "string", "default": "TCP"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {
                "x": {"type": "integer", "default": 7}}}},
        }},
    }));
    let mut empty = json!({});
    schema.default(&mut empty);
    assert_eq!(
        empty,
        json!({"spec": {"nullable": "d", "replicas": 1, "strict": "d"}})
    );
    let mut object = json!({"spec": {
        "replicas": 3, "nullable": null, "strict": null, "none": null,
        "list": [{}, {"protocol": "UDP"}], "map": {"k": {}},
    }});
    schema.drop_nulls(&mut object);
    schema.default(&mut object);
    assert_eq!(
        object,
        json!({"spec": {
            "replicas": 3, "nullable": null, "strict": "d",
            "list": [{"protocol": "TCP"}, {"protocol": "UDP"}], "map": {"k": {"x": 7}},
        }})
    );
}

#[test]
fn types_are_told_as_kubernetes_tells_them() {
    check(
        json!({"spec": {"type": "object", "required": ["template"], "properties": {
            "replicas": {"type": "integer"}, "on": {"type": "boolean"},
            "name": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}},
            "either": {"x-kubernetes-int-or-string": true}, "ratio": {"type": "number"},
            "template": {"type": "object"},
        }}}),
        json!({"spec": {"replicas": "two", "on": 1, "name": null, "list": [1, "x"],
            "either": true, "ratio": 1}}),
        expect![[r#"
            spec.template: Required value
            spec.either: Invalid value: "boolean": spec.either in body must be of type integer,string: "boolean"
            spec.list[0]: Invalid value: "integer": spec.list[0] in body must be of type string: "integer"
            spec.name: Invalid value: "null": spec.name in body must be of type string: "null"
            spec.on: Invalid value: "integer": spec.on in body must be of type boolean: "integer"
            spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#]],
    );
}

#[test]
fn bounds_patterns_and_formats_are_told_as_kubernetes_tells_them() {
    check(
        json!({"s": {"type": "object", "properties": {
            "low": {"type": "integer", "minimum": 0},
            "high": {"type": "integer", "maximum": 10, "exclusiveMaximum": true},
            "step": {"type": "integer", "multipleOf": 5},
            "long": {"type": "string", "maxLength": 2},
            "short": {"type": "string", "minLength": 2},
            "word": {"type": "string", "pattern": "^[a-z]+$"},
            "kind": {"type": "string", "enum": ["A", "B"]},
            "when": {"type": "string", "format": "date-time"},
            "span": {"type": "string", "format": "duration"},
            "many": {"type": "array", "maxItems": 1, "items": {"type": "integer"}},
            "few": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
        }}}),
        json!({"s": {"low": -1, "high": 10, "step": 7, "long": "abc", "short": "a", "word": "A1",
            "kind": "C", "when": "today", "span": "5 parsecs", "many": [1, 2], "few": []}}),
        expect![[r#"
            s.few: Invalid value: 0: s.few in body should have at least 1 items
            s.high: Invalid value: 10: s.high in body should be less than 10
            s.kind: Unsupported value: "C": supported values: "A", "B"
            s.long: Too long: may not be more than 2 bytes
            s.low: Invalid value: -1: s.low in body should be greater than or equal to 0
            s.many: Too many: 2: must have at most 1 item
            s.short: Invalid value: "a": s.short in body should be at least 2 chars long
            s.span: Invalid value: "5 parsecs": s.span in body must be of type duration: "5 parsecs"
            s.step: Invalid value: 7: s.step in body should be a multiple of 5
            s.when: Invalid value: "today": s.when in body must be of type date-time: "today"
            s.word: Invalid value: "A1": s.word in body should match '^[a-z]+$'"#]],
    );
}

#[test]
fn each_item_of_a_set_or_keyed_list_is_there_once() {
    check(
        json!({
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
        }),
        json!({"set": ["a", "b", "a"], "list": [{"name": "x"}, {"name": "x"}]}),
        expect![[r#"
            list[1]: Duplicate value: {"name":"x"}
            set[2]: Duplicate value: "a""#]],
    );
}

#[test]
fn junctors_say_what_would_have_done() {
    let one_of = json!({"source": {
        "type": "object",
        "properties": {"git": {"type": "string"}, "oci": {"type": "string"}, "n": {"type": "integer"}},
        "oneOf": [{"required": ["git"]}, {"required": ["oci"]}],
        "not": {"required": ["git"], "properties": {"n": {"maximum": 0}}},
    }});
    check(
        one_of.clone(),
        json!({"source": {}}),
        expect![[r#"
            <nil>: Invalid value: "": "source" must validate one and only one schema (oneOf). Found none valid
            source.git: Required value"#]],
    );
    check(
        one_of.clone(),
        json!({"source": {"git": "a", "oci": "b", "n": 1}}),
        expect![[
            r#"<nil>: Invalid value: "": "source" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
        ]],
    );
    check(
        one_of.clone(),
        json!({"source": {"git": "a", "n": 0}}),
        expect![[r#"<nil>: Invalid value: "": "source" must not validate the schema (not)"#]],
    );
    check(one_of, json!({"source": {"oci": "a"}}), expect![""]);
    check(
        json!({"port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}),
        json!({"port": "http"}),
        expect![""],
    );
}

#[test]
fn a_schema_that_is_not_structural_is_refused_with_its_paths() {
    refuse(
        json!({"type": "object", "properties": {
            "spec": {"properties": {"a": {"type": "string", "pattern": "("}}},
            "list": {"type": "array"},
            "other": {"type": "array", "items": {}},
            "odd": {"type": "date"},
            "both": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
        }}),
        expect![[r#"
            properties[both].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive
            properties[list].items: Required value: must be specified
            properties[odd].type: Unsupported value: "date": supported values: "array", "boolean", "integer", "number", "object", "string"
            properties[other].items.type: Required value: must not be empty for specified array items
            properties[spec].properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`
            properties[spec].type: Required value: must not be empty for specified object fields"#]],
    );
    // What refers to others is not even read.
    refuse(
        json!({"type": "object", "properties": {
            "ref": {"type": "object", "$ref": "#/definitions/X"}, "list": {"type": "array"},
        }}),
        expect!["properties[ref].$ref: Forbidden: $ref is not supported"],
    );
    refuse(
        json!({"type": "string"}),
        expect![[r#"type: Invalid value: "string": must be object at the root"#]],
    );
}

#[test]
fn list_keys_must_be_fields_that_are_always_there() {
    let list = |keys: Value, item: Value| {
        json!({"type": "object", "properties": {"list": {
            "type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": keys, "items": item,
        }}})
    };
    let item = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    refuse(
        list(json!([]), item.clone()),
        expect![
            "properties[list].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"
        ],
    );
    refuse(
        list(json!(["id"]), item.clone()),
        expect![[
            r#"properties[list].x-kubernetes-list-map-keys: Invalid value: ["id"]: entries must all be names of item properties"#
        ]],
    );
    refuse(
        list(json!(["name"]), item),
        expect![
            "properties[list].items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
        ],
    );
}

#[test]
fn the_published_schema_has_the_fields_every_object_has() {
    let published = schema(json!({"spec": {"type": "object", "description": "what"}})).to_openapi();
    assert_eq!(published["properties"]["kind"]["type"], "string");
    assert_eq!(
        published["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    let schema = Schema::untyped();
    let meta = &schema.definitions()["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"];
    assert_eq!(
        meta["properties"]["finalizers"]["x-kubernetes-list-type"],
        "set"
    );
}
