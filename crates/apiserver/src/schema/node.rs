//! The nodes that a schema is made of, and the typed view that walks them.

use std::sync::Arc;

use serde_json::Value;

use super::Definitions;
use super::rules::Rules;

/// A node's place in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

/// A value whose type nobody declared: maps are granular, lists atomic.
pub(crate) const DEDUCED: NodeId = NodeId(0);
/// A value whose type nobody declared, inside an atomic list: atomic all the way down.
pub(crate) const ATOMIC: NodeId = NodeId(1);

/// What values a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No type declared.
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`; Quantities too.
    IntOrString,
}

/// How the items of a list relate (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListType {
    /// The list is one value.
    Atomic,
    /// Scalars, each at most once, each with owners of its own.
    Set,
    /// Objects told apart by the values of these fields.
    Map(Vec<Arc<str>>),
}

/// How strategic merge patch treats a field (`x-kubernetes-patch-*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PatchRule {
    pub merge: bool,
    pub replace: bool,
    pub retain_keys: bool,
    pub merge_key: Option<Arc<str>>,
}

/// A named field of an object.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub name: Arc<str>,
    pub node: NodeId,
}

/// One type in a schema.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub kind: Kind,
    pub nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields` on this very node: not pruned.
    pub preserve: bool,
    pub embedded: bool,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// The type of fields that are not named; `None` where none are allowed.
    pub additional: Option<NodeId>,
    /// Whether `additional` was declared (and is not only deduced for typed walks).
    pub additional_declared: bool,
    pub items: Option<NodeId>,
    pub list: ListType,
    pub atomic_map: bool,
    pub default: Option<Value>,
    /// A default that only typed walks know: the zero value of a list key.
    pub key_default: Option<Value>,
    /// A text with a format is any scalar to typed walks, and so is an amount.
    pub any_scalar: bool,
    /// A Go struct that is there even when nothing is in it, so that nobody owns it as such.
    pub always: bool,
    pub patch: Option<Box<PatchRule>>,
    pub rules: Option<Box<Rules>>,
}

impl Node {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            nullable: false,
            preserve: false,
            embedded: false,
            fields: Vec::new(),
            additional: None,
            additional_declared: false,
            items: None,
            list: ListType::Atomic,
            atomic_map: false,
            default: None,
            key_default: None,
            any_scalar: false,
            always: false,
            patch: None,
            rules: None,
        }
    }

    fn undeclared(inside: NodeId, atomic_map: bool) -> Self {
        Self {
            nullable: true,
            preserve: true,
            additional: Some(inside),
            items: Some(ATOMIC),
            atomic_map,
            ..Self::new(Kind::Any)
        }
    }
}

/// All nodes of one schema, with the text it is published as.
#[derive(Debug)]
pub(crate) struct Arena {
    nodes: Vec<Node>,
    root: NodeId,
    openapi: Value,
    definitions: Definitions,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![
                Node::undeclared(DEDUCED, false),
                Node::undeclared(ATOMIC, true),
            ],
            root: DEDUCED,
            openapi: Value::Null,
            definitions: Definitions::new(),
        }
    }

    /// Keeps a place for a node that will be filled in later (definitions may be recursive).
    pub(crate) fn reserve(&mut self) -> NodeId {
        self.push(Node::new(Kind::Any))
    }

    pub(crate) fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(0));
        self.nodes.push(node);
        id
    }

    pub(crate) fn fill(&mut self, id: NodeId, node: Node) {
        if let Some(place) = self.nodes.get_mut(id.0 as usize) {
            *place = node;
        }
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id.0 as usize)
    }

    pub(crate) fn publish(&mut self, root: NodeId, openapi: Value, definitions: Definitions) {
        self.root = root;
        self.openapi = openapi;
        self.definitions = definitions;
    }

    pub(crate) fn openapi(&self) -> &Value {
        &self.openapi
    }

    pub(crate) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    pub(crate) fn root(&self) -> TypeRef<'_> {
        TypeRef::at(self, self.root)
    }
}

/// A node together with the arena that its children live in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypeRef<'s> {
    arena: &'s Arena,
    node: &'s Node,
}

impl<'s> TypeRef<'s> {
    #[expect(
        clippy::indexing_slicing,
        reason = "ids are made by this arena's push, and nodes are never removed"
    )]
    fn at(arena: &'s Arena, id: NodeId) -> Self {
        Self {
            arena,
            node: &arena.nodes[id.0 as usize],
        }
    }

    pub(crate) fn node(self) -> &'s Node {
        self.node
    }

    /// The type of a field that the schema names.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        let fields = &self.node.fields;
        let at = fields
            .binary_search_by(|field| field.name.as_ref().cmp(name))
            .ok()?;
        fields.get(at).map(|field| Self::at(self.arena, field.node))
    }

    /// The schema's own copy of a field's name, to be shared instead of copied.
    pub(crate) fn field_name(self, name: &str) -> Option<&'s Arc<str>> {
        let fields = &self.node.fields;
        let at = fields
            .binary_search_by(|field| field.name.as_ref().cmp(name))
            .ok()?;
        fields.get(at).map(|field| &field.name)
    }

    /// All named fields, sorted by name.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'s Arc<str>, Self)> {
        self.node
            .fields
            .iter()
            .map(move |field| (&field.name, Self::at(self.arena, field.node)))
    }

    /// The type of a field that the schema does not name, where such are allowed.
    pub(crate) fn additional(self) -> Option<Self> {
        self.node.additional.map(|id| Self::at(self.arena, id))
    }

    /// The type of any field: named, additional, or, where the schema says nothing, deduced.
    pub(crate) fn member(self, name: &str) -> Self {
        self.field(name)
            .or_else(|| self.additional())
            .unwrap_or_else(|| Self::at(self.arena, DEDUCED))
    }

    /// The type of a list's items.
    pub(crate) fn item(self) -> Self {
        Self::at(self.arena, self.node.items.unwrap_or(ATOMIC))
    }
}
