//! From OpenAPI to nodes: a definition's schema, of which is known that it is sound, and definitions
//! that refer to each other.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Definitions;
use super::json_schema::{flag, strings, text};
use super::merge_keys::{self, KEY_DEFAULT, STRUCT};
use super::node::{ATOMIC, Arena, DEDUCED, Field, Kind, ListType, Node, NodeId, PatchRule};
use super::object_meta::{self, OBJECT_META};
use super::rules::Rules;

/// An amount: published as of no type, and to typed walks any scalar.
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

struct Compiler<'d> {
    arena: Arena,
    definitions: &'d Definitions,
    named: HashMap<String, NodeId>,
    /// A definition's schema is structural and refers to nothing.
    is_structural: bool,
}

pub(super) fn untyped() -> Arena {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    custom_resource(&schema)
}

/// The nodes of a definition's schema; what is not sound in it is any value.
pub(super) fn custom_resource(schema: &Value) -> Arena {
    let mut compiler = Compiler {
        arena: Arena::new(),
        definitions: object_meta::definitions(),
        named: HashMap::new(),
        is_structural: true,
    };
    let root = compiler.node(schema, true, false);
    compiler.is_structural = false;
    compiler.add_object_fields(root);
    let mut arena = compiler.arena;
    arena.publish(root, published(schema), object_meta::definitions().clone());
    arena
}

pub(super) fn definitions(root: &str, definitions: Definitions) -> Arena {
    let mut compiler = Compiler {
        arena: Arena::new(),
        definitions: &definitions,
        named: HashMap::new(),
        is_structural: false,
    };
    let id = compiler.reference(root);
    let mut arena = compiler.arena;
    let mut definitions = definitions;
    definitions.values_mut().for_each(merge_keys::published);
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
        let mut node = self.build(definition, false, false);
        node.any_scalar |= name == QUANTITY;
        self.arena.fill(id, node);
        id
    }

    fn node(&mut self, schema: &Value, is_root: bool, preserving: bool) -> NodeId {
        if !self.is_structural
            && let Some(name) = reference_of(schema)
        {
            let target = self.reference(name);
            return self.specialised(target, schema);
        }
        let node = self.build(schema, is_root, preserving);
        self.arena.push(node)
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

    fn build(&mut self, schema: &Value, is_root: bool, preserving: bool) -> Node {
        let mut node = Node::new(kind(schema));
        extensions(&mut node, schema);
        let preserving = preserving || node.preserve;

        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                if is_root && self.is_structural && name == "metadata" {
                    // ObjectMeta takes its place whatever it says.
                    continue;
                }
                let id = self.node(property, false, preserving);
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
                node.additional = Some(self.node(additional, false, preserving));
                node.additional_declared = true;
            }
            // Typed walks deduce what pruning will drop, as Kubernetes' do.
            None if preserving || node.fields.is_empty() => node.additional = Some(DEDUCED),
            _ => {}
        }
        // An object type of which nothing is declared is any object: RawExtension, FieldsV1.
        if !self.is_structural && node.kind == Kind::Object && node.fields.is_empty() {
            node.preserve |= !node.additional_declared;
        }
        node.items = Some(match schema.get("items") {
            Some(items @ Value::Object(_)) => self.node(items, false, preserving),
            _ => ATOMIC,
        });
        node.rules = Rules::parse(schema).map(Box::new);
        if node.embedded {
            self.add_meta(&mut node);
        }
        node
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
        let is_structural = std::mem::replace(&mut self.is_structural, false);
        let string = self.arena.push(Node::new(Kind::String));
        let metadata = self.reference(OBJECT_META);
        self.is_structural = is_structural;
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

fn kind(schema: &Value) -> Kind {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Kind::IntOrString;
    }
    match text(schema, "type") {
        "object" => Kind::Object,
        "array" => Kind::Array,
        "string" => Kind::String,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        _ => Kind::Any,
    }
}

/// Reads what stands beside the type: nullability, defaults and `x-kubernetes-*`.
fn extensions(node: &mut Node, schema: &Value) {
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    if flag(schema, "nullable") {
        node.nullable = true;
    }
    if flag(schema, "x-kubernetes-preserve-unknown-fields") {
        node.preserve = true;
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        node.embedded = true;
    }
    node.any_scalar |= node.kind == Kind::String && !matches!(text(schema, "format"), "" | "byte");
    if flag(schema, STRUCT) {
        node.always = true;
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        node.default = Some(default.clone());
    }
    if let Some(default) = schema.get(KEY_DEFAULT) {
        node.key_default = Some(default.clone());
    }
    match word("x-kubernetes-list-type") {
        Some("set") => node.list = ListType::Set,
        Some("map") => {
            let keys = strings(schema, "x-kubernetes-list-map-keys").map(Arc::from);
            node.list = ListType::Map(keys.collect());
        }
        Some(_) => node.list = ListType::Atomic,
        None => {}
    }
    match word("x-kubernetes-map-type") {
        Some("atomic") => node.atomic_map = true,
        Some(_) => node.atomic_map = false,
        None => {}
    }
    if let Some(strategies) = word("x-kubernetes-patch-strategy") {
        let has = |strategy: &str| strategies.split(',').any(|one| one == strategy);
        node.patch = Some(Box::new(PatchRule {
            merge: has("merge"),
            replace: has("replace"),
            retain_keys: has("retainKeys"),
            merge_key: word("x-kubernetes-patch-merge-key").map(Arc::from),
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
