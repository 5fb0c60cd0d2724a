//! The `FieldsV1` codec: a set of paths as nested JSON objects with keys such as
//! `f:spec`, `k:{"name":"web"}`, `v:"finalizer"`, `i:0`, and `.` for the node itself.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::path::PathElement;
use super::set::Set;
use crate::json::object;

/// Why `fieldsV1` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("fieldsV1 must be an object of objects")]
    Shape,
    #[error("key must be 2 characters long: {0:?}")]
    Short(String),
    #[error("missing colon: {0:?}")]
    NoColon(String),
    #[error("cannot parse {0:?}")]
    Content(String),
}

pub(crate) fn encode(set: &Set) -> Value {
    Value::Object(encode_node(set, false))
}

fn encode_node(set: &Set, own: bool) -> Map<String, Value> {
    let mut node = Map::new();
    if own {
        node.insert(".".to_owned(), Value::Object(Map::new()));
    }
    for member in set.members() {
        if set.child(member).is_none() {
            node.insert(encode_element(member), Value::Object(Map::new()));
        }
    }
    for (element, child) in set.children() {
        let below = encode_node(child, set.has_member(element));
        node.insert(encode_element(element), Value::Object(below));
    }
    node
}

fn encode_element(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Key(pairs) => {
            let key: Map<String, Value> = pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect();
            format!("k:{}", written(Value::Object(key)))
        }
        PathElement::Value(value) => format!("v:{}", written(Value::clone(value))),
        PathElement::Index(index) => format!("i:{index}"),
    }
}

/// Go writes a whole number without a point, whatever it was read from.
fn written(mut value: Value) -> Value {
    object::whole_numbers(&mut value);
    value
}

pub(crate) fn decode(fields: &Value) -> Result<Set, DecodeError> {
    match fields {
        Value::Null => Ok(Set::default()),
        fields => decode_node(fields).map(|(set, _)| set),
    }
}

/// The set below a node, and whether the node itself is a member: it says so by `.`,
/// or by having nothing below it.
fn decode_node(node: &Value) -> Result<(Set, bool), DecodeError> {
    let Value::Object(node) = node else {
        return Err(DecodeError::Shape);
    };
    let mut set = Set::default();
    let mut own = false;
    for (key, below) in node {
        if key == "." {
            own = true;
            continue;
        }
        let Some(element) = decode_element(key)? else {
            continue;
        };
        let (child, is_member) = decode_node(below)?;
        if is_member {
            set.add_member(element.clone());
        }
        set.add_child(element, child);
    }
    let own = own || set.is_empty();
    Ok((set, own))
}

/// `None` for kinds of elements that a later version may know.
fn decode_element(key: &str) -> Result<Option<PathElement>, DecodeError> {
    let Some((kind, content)) = key.split_at_checked(2) else {
        return Err(DecodeError::Short(key.to_owned()));
    };
    let bad = |_| DecodeError::Content(key.to_owned());
    Ok(Some(match kind {
        "f:" => PathElement::field(content),
        "v:" => PathElement::Value(Arc::new(serde_json::from_str(content).map_err(bad)?)),
        "i:" => PathElement::Index(
            content
                .parse()
                .map_err(|_| DecodeError::Content(key.to_owned()))?,
        ),
        "k:" => {
            let pairs: Map<String, Value> = serde_json::from_str(content).map_err(bad)?;
            let mut pairs: Vec<(Arc<str>, Value)> = pairs
                .into_iter()
                .map(|(name, value)| (Arc::from(name), value))
                .collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            PathElement::Key(pairs.into())
        }
        kind if kind.ends_with(':') => return Ok(None),
        _ => return Err(DecodeError::NoColon(key.to_owned())),
    }))
}
