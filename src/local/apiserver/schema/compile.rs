//! From OpenAPI to nodes: CRD schemas with the rules of structural schemas, and
//! trusted definitions that refer to each other.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Definitions;
use super::marks::{self, KEY_DEFAULT, STRUCT};
use super::node::{ATOMIC, Arena, DEDUCED, Field, Kind, ListType, Node, NodeId, PatchRule};
use super::object_meta::{self, OBJECT_META};
use super::rules::Rules;
use super::structural;

/// Why a CRD's schema cannot be used: every fault, sorted, with its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", faults.join(", "))]
pub struct SchemaError {
    /// `properties[spec].type: Required value: must not be empty for specified object fields`.
    pub faults: Vec<String>,
}

/// Where in the schema a node stands: structural rules differ by it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

struct Compiler<'d> {
    arena: Arena,
    definitions: &'d Definitions,
    named: HashMap<String, NodeId>,
    /// Structural rules are checked (a CRD), or the source is trusted (definitions).
    strict: bool,
    faults: Vec<String>,
}

pub(super) fn untyped() -> Arena {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    custom_resource(&schema).unwrap_or_else(|_| Arena::new())
}

pub(super) fn custom_resource(schema: &Value) -> Result<Arena, SchemaError> {
    let mut compiler = Compiler {
        arena: Arena::new(),
        definitions: object_meta::definitions(),
        named: HashMap::new(),
        strict: true,
        faults: Vec::new(),
    };
    let root = compiler.node(schema, "", Level::Root, false);
    if !compiler.faults.is_empty() {
        compiler.faults.sort();
        return Err(SchemaError {
            faults: compiler.faults,
        });
    }
    compiler.strict = false;
    compiler.add_object_fields(root);
    let mut arena = compiler.arena;
    arena.publish(root, published(schema), object_meta::definitions().clone());
    Ok(arena)
}

pub(super) fn definitions(root: &str, definitions: Definitions) -> Arena {
    let mut compiler = Compiler {
        arena: Arena::new(),
        definitions: &definitions,
        named: HashMap::new(),
        strict: false,
        faults: Vec::new(),
    };
    let id = compiler.reference(root);
    let mut arena = compiler.arena;
    let mut definitions = definitions;
    definitions.values_mut().for_each(marks::published);
    let openapi = definitions.get(root).cloned().unwrap_or_else(|| json!({}));
    arena.publish(id, openapi, definitions);
    arena
}

/// The CRD's schema as the API server publishes it: with the fields every object has.
fn published(schema: &Value) -> Value {
    let mut published = schema.clone();
    if let Value::Object(root) = &mut published {
        let properties = root
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(properties) = properties {
            properties.insert(
                "apiVersion".to_owned(),
                json!({"type": "string", "description": "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"}),
            );
            properties.insert(
                "kind".to_owned(),
                json!({"type": "string", "description": "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"}),
            );
            properties.insert(
                "metadata".to_owned(),
                json!({
                    "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}],
                    "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
                }),
            );
        }
    }
    published
}

impl Compiler<'_> {
    fn fault(&mut self, path: &str, field: &str, what: &str) {
        let dot = if path.is_empty() { "" } else { "." };
        self.faults.push(format!("{path}{dot}{field}: {what}"));
    }

    /// The node of a named definition; compiled once, however often and from wherever
    /// (itself included) it is referred to.
    fn reference(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let Some(definition) = self.definitions.get(name) else {
            return DEDUCED;
        };
        let id = self.arena.reserve();
        self.named.insert(name.to_owned(), id);
        let node = self.build(definition, "", Level::Field, false);
        self.arena.fill(id, node);
        id
    }

    fn node(&mut self, schema: &Value, path: &str, level: Level, preserving: bool) -> NodeId {
        if !self.strict
            && let Some(name) = reference_of(schema)
        {
            let target = self.reference(name);
            return self.specialised(target, schema);
        }
        let node = self.build(schema, path, level, preserving);
        let id = self.arena.push(node);
        if self.strict {
            self.check_default(id, path);
        }
        id
    }

    /// A default has to be what it stands in for.
    fn check_default(&mut self, id: NodeId, path: &str) {
        let typed = self.arena.at(id);
        let Some(default) = &typed.node().default else {
            return;
        };
        let faults = super::validate::validate(typed, default);
        for fault in faults {
            // The nil path of what stands at the top is empty, and not left out.
            let (field, message) = match fault.field.as_str() {
                "<nil>" | "" => (
                    "default".to_owned(),
                    fault.message.replace(": in body", ":  in body"),
                ),
                inner => (format!("default.{inner}"), fault.message),
            };
            self.fault(path, &field, &message);
        }
    }

    /// A reference with extensions beside it (a default, a list type) is a type of its own
    /// that shares the children.
    fn specialised(&mut self, target: NodeId, schema: &Value) -> NodeId {
        let is_plain = schema.as_object().is_none_or(|object| {
            !object
                .keys()
                .any(|key| key == "default" || key == "nullable" || key.starts_with("x-"))
        });
        // A definition that is still being built cannot be copied; it is then used as it is.
        let Some(base) = self.arena.node_mut(target).filter(|_| !is_plain) else {
            return target;
        };
        let mut node = base.clone();
        extensions(&mut node, schema);
        self.arena.push(node)
    }

    fn build(&mut self, schema: &Value, path: &str, level: Level, preserving: bool) -> Node {
        let mut node = Node::new(self.kind(schema, path, level));
        extensions(&mut node, schema);
        if self.strict {
            self.check_extensions(&node, schema, path);
        }
        let preserving = preserving || node.preserve;

        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                if level == Level::Root && name == "metadata" {
                    // ObjectMeta takes its place whatever it says.
                    continue;
                }
                let at = child_path(path, &format!("properties[{name}]"));
                let id = self.node(property, &at, Level::Field, preserving);
                node.fields.push(Field {
                    name: Arc::from(name.as_str()),
                    node: id,
                });
            }
            node.fields.sort_by(|a, b| a.name.cmp(&b.name));
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => {
                node.additional = Some(DEDUCED);
                node.additional_declared = true;
            }
            Some(additional @ Value::Object(_)) => {
                if self.strict && level == Level::Root {
                    self.fault(
                        path,
                        "additionalProperties",
                        "Forbidden: must not be used at the root",
                    );
                }
                let at = child_path(path, "additionalProperties");
                node.additional = Some(self.node(additional, &at, Level::Field, preserving));
                node.additional_declared = true;
            }
            // Typed walks deduce what pruning will drop, as Kubernetes' do.
            None if preserving || node.fields.is_empty() => node.additional = Some(DEDUCED),
            _ => {}
        }
        // An object type of which nothing is declared is any object: RawExtension, FieldsV1.
        if !self.strict && node.kind == Kind::Object && node.fields.is_empty() {
            node.preserve |= !node.additional_declared;
        }
        match schema.get("items") {
            Some(items @ Value::Object(_)) => {
                let at = child_path(path, "items");
                node.items = Some(self.node(items, &at, Level::Item, preserving));
            }
            _ if node.kind == Kind::Array && self.strict => {
                self.fault(path, "items", "Required value: must be specified");
            }
            _ => node.items = Some(ATOMIC),
        }
        match Rules::parse(schema) {
            Ok(rules) => node.rules = rules.map(Box::new),
            Err(fault) => self.fault(path, "pattern", &fault),
        }
        if node.embedded {
            self.add_meta(&mut node);
        }
        node
    }

    fn kind(&mut self, schema: &Value, path: &str, level: Level) -> Kind {
        if flag(schema, "x-kubernetes-int-or-string") {
            return Kind::IntOrString;
        }
        let declared = schema.get("type").and_then(Value::as_str).unwrap_or("");
        if self.strict && level == Level::Root && !declared.is_empty() && declared != "object" {
            self.fault(
                path,
                "type",
                &format!("Invalid value: {declared:?}: must be object at the root"),
            );
        }
        match declared {
            "object" => Kind::Object,
            "array" => Kind::Array,
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            "" => {
                if self.strict && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
                    let why = match level {
                        Level::Root => "must not be empty at the root",
                        Level::Field => "must not be empty for specified object fields",
                        Level::Item => "must not be empty for specified array items",
                    };
                    self.fault(path, "type", &format!("Required value: {why}"));
                }
                Kind::Any
            }
            other => {
                self.fault(
                    path,
                    "type",
                    &format!(
                        "Unsupported value: {other:?}: supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\""
                    ),
                );
                Kind::Any
            }
        }
    }

    fn check_extensions(&mut self, node: &Node, schema: &Value, path: &str) {
        for unsupported in [
            "id",
            "patternProperties",
            "definitions",
            "dependencies",
            "$ref",
        ] {
            if schema.get(unsupported).is_some() {
                let why = format!("Forbidden: {unsupported} is not supported");
                self.fault(path, unsupported, &why);
            }
        }
        for (field, why) in structural::faults(schema) {
            self.fault(path, &field, &why);
        }
        if flag(schema, "uniqueItems") {
            self.fault(path, "uniqueItems", "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
        }
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
            self.fault(
                path,
                "additionalProperties",
                "Forbidden: additionalProperties and properties are mutual exclusive",
            );
        }
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            self.fault(
                path,
                "additionalProperties",
                "Forbidden: additionalProperties cannot be set to false",
            );
        }
        if node.kind == Kind::IntOrString && node.preserve {
            self.fault(
                path,
                "x-kubernetes-preserve-unknown-fields",
                "Invalid value: true: must be false if x-kubernetes-int-or-string is true",
            );
        }
        if node.embedded && node.kind != Kind::Object {
            self.fault(
                path,
                "type",
                "Required value: must be object if x-kubernetes-embedded-resource is true",
            );
        }
        if let Some(map_type) = schema.get("x-kubernetes-map-type") {
            if node.kind != Kind::Object {
                self.fault(
                    path,
                    "type",
                    "Required value: must be object if x-kubernetes-map-type is specified",
                );
            }
            if !matches!(map_type.as_str(), Some("atomic" | "granular")) {
                self.fault(
                    path,
                    "x-kubernetes-map-type",
                    &format!(
                        "Unsupported value: {map_type}: supported values: \"atomic\", \"granular\""
                    ),
                );
            }
        }
        let list_type = schema.get("x-kubernetes-list-type");
        let keys = schema.get("x-kubernetes-list-map-keys");
        if let Some(list_type) = list_type {
            if node.kind != Kind::Array {
                self.fault(
                    path,
                    "type",
                    "Required value: must be array if x-kubernetes-list-type is specified",
                );
            }
            if !matches!(list_type.as_str(), Some("atomic" | "set" | "map")) {
                self.fault(path, "x-kubernetes-list-type", &format!("Unsupported value: {list_type}: supported values: \"atomic\", \"set\", \"map\""));
            }
        }
        let is_map = list_type.and_then(Value::as_str) == Some("map");
        if keys.is_some() && !is_map {
            self.fault(
                path,
                "x-kubernetes-list-type",
                "Required value: must be map if x-kubernetes-list-map-keys is non-empty",
            );
        }
        if is_map {
            self.check_list_keys(schema, keys, path);
        }
    }

    fn check_list_keys(&mut self, schema: &Value, keys: Option<&Value>, path: &str) {
        let keys: Vec<&str> = strings(keys).collect();
        if keys.is_empty() {
            self.fault(
                path,
                "x-kubernetes-list-map-keys",
                "Required value: must not be empty if x-kubernetes-list-type is map",
            );
        }
        let Some(items) = schema.get("items") else {
            self.fault(
                path,
                "items",
                "Required value: must have a schema if x-kubernetes-list-type is map",
            );
            return;
        };
        let required: Vec<&str> = strings(items.get("required")).collect();
        for key in keys {
            let Some(property) = items.pointer(&format!("/properties/{key}")) else {
                self.fault(
                    path,
                    "x-kubernetes-list-map-keys",
                    &format!(
                        "Invalid value: [{key:?}]: entries must all be names of item properties"
                    ),
                );
                continue;
            };
            if !required.contains(&key) && property.get("default").is_none() {
                self.fault(path, &format!("items.properties[{key}].default"), "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
            }
        }
    }

    /// `apiVersion`, `kind` and `metadata` of a custom resource.
    fn add_object_fields(&mut self, root: NodeId) {
        let mut node = Node::new(Kind::Object);
        self.add_meta(&mut node);
        if let Some(root) = self.arena.node_mut(root) {
            root.fields
                .retain(|field| !matches!(field.name.as_ref(), "apiVersion" | "kind"));
            root.fields.append(&mut node.fields);
            root.fields.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }

    fn add_meta(&mut self, node: &mut Node) {
        let strict = std::mem::replace(&mut self.strict, false);
        let string = self.arena.push(Node::new(Kind::String));
        let metadata = self.reference(OBJECT_META);
        self.strict = strict;
        for (name, id) in [
            ("apiVersion", string),
            ("kind", string),
            ("metadata", metadata),
        ] {
            node.fields.retain(|field| field.name.as_ref() != name);
            node.fields.push(Field {
                name: Arc::from(name),
                node: id,
            });
        }
        node.fields.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// Reads what stands beside the type: nullability, defaults and `x-kubernetes-*`.
fn extensions(node: &mut Node, schema: &Value) {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    if flag(schema, "nullable") {
        node.nullable = true;
    }
    if flag(schema, "x-kubernetes-preserve-unknown-fields") {
        node.preserve = true;
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        node.embedded = true;
    }
    if flag(schema, STRUCT) {
        node.always = true;
    }
    if let Some(default) = schema.get("default") {
        node.default = Some(default.clone());
    }
    if let Some(default) = schema.get(KEY_DEFAULT) {
        node.key_default = Some(default.clone());
    }
    match text("x-kubernetes-list-type") {
        Some("set") => node.list = ListType::Set,
        Some("map") => {
            let keys = strings(schema.get("x-kubernetes-list-map-keys")).map(Arc::from);
            node.list = ListType::Map(keys.collect());
        }
        Some(_) => node.list = ListType::Atomic,
        None => {}
    }
    match text("x-kubernetes-map-type") {
        Some("atomic") => node.atomic_map = true,
        Some(_) => node.atomic_map = false,
        None => {}
    }
    if let Some(strategies) = text("x-kubernetes-patch-strategy") {
        let has = |strategy: &str| strategies.split(',').any(|one| one == strategy);
        node.patch = Some(Box::new(PatchRule {
            merge: has("merge"),
            replace: has("replace"),
            retain_keys: has("retainKeys"),
            merge_key: text("x-kubernetes-patch-merge-key").map(Arc::from),
        }));
    }
}

/// The definition that a `$ref`, or an `allOf` of one `$ref`, names.
fn reference_of(schema: &Value) -> Option<&str> {
    let reference = schema.get("$ref").or_else(|| match schema.get("allOf") {
        Some(Value::Array(all)) => match all.as_slice() {
            [only] => only.get("$ref"),
            _ => None,
        },
        _ => None,
    });
    reference?.as_str()?.rsplit('/').next()
}

fn child_path(path: &str, child: &str) -> String {
    if path.is_empty() {
        child.to_owned()
    } else {
        format!("{path}.{child}")
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
