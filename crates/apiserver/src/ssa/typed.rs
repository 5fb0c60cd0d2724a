//! What a schema says of a value for ownership: is it one leaf, a list, a map; which
//! path element names an item; which fields does an object name.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::path::PathElement;
use super::set::Set;
use crate::schema::{Kind, ListType, Schema, TypeRef};

/// How a value is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar,
    List,
    Map,
}

/// The declared shape, or, where none is, the value's own. Null is a map then, as
/// structured-merge-diff has it.
pub(super) fn shape(typed: TypeRef<'_>, value: &Value) -> Shape {
    match typed.node().kind {
        Kind::Object => Shape::Map,
        Kind::Array => Shape::List,
        Kind::String | Kind::Integer | Kind::Number | Kind::Boolean | Kind::IntOrString => {
            Shape::Scalar
        }
        Kind::Any => match value {
            Value::Array(_) => Shape::List,
            Value::Object(_) | Value::Null => Shape::Map,
            _ => Shape::Scalar,
        },
    }
}

/// Whether a value of this shape is owned as a whole.
pub(super) fn is_atomic(typed: TypeRef<'_>, shape: Shape) -> bool {
    match shape {
        Shape::Scalar => true,
        Shape::List => typed.node().list == ListType::Atomic,
        Shape::Map => typed.node().atomic_map,
    }
}

/// The path element of an item of a set or keyed list.
pub(super) fn element(typed: TypeRef<'_>, item: &Value) -> Result<PathElement, String> {
    match &typed.node().list {
        ListType::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListType::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => {
                Err("not supported: associative list with lists as elements".to_owned())
            }
            Value::Null => Err(
                "associative list without keys has an element that's an explicit null".to_owned(),
            ),
            scalar => Ok(PathElement::Value(Arc::new(scalar.clone()))),
        },
        ListType::Map(keys) => {
            let Value::Object(fields) = item else {
                return Err(match item {
                    Value::Null => {
                        "associative list with keys may not have a null element".to_owned()
                    }
                    _ => "associative list with keys may not have non-map elements".to_owned(),
                });
            };
            let item_type = typed.item();
            let mut pairs: Vec<(Arc<str>, Value)> = Vec::with_capacity(keys.len());
            for key in keys {
                // A key that is absent stands for its default; without one it is left
                // out, and items with and without it are different items.
                let value = fields.get(key.as_ref()).or_else(|| {
                    let node = item_type.field(key)?.node();
                    node.default.as_ref().or(node.key_default.as_ref())
                });
                if let Some(value) = value {
                    pairs.push((key.clone(), value.clone()));
                }
            }
            if pairs.is_empty() && !keys.is_empty() {
                let names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                    names.join(" ")
                ));
            }
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(PathElement::Key(pairs.into()))
        }
    }
}

/// The path elements of all items, or `None` where one of them cannot be named: the
/// list is then treated as one value.
pub(super) fn elements(typed: TypeRef<'_>, items: &[Value]) -> Option<Vec<PathElement>> {
    items.iter().map(|item| element(typed, item).ok()).collect()
}

/// The path element of a field, sharing the schema's name where it has one.
pub(super) fn field_element(typed: TypeRef<'_>, name: &str) -> PathElement {
    match typed.field_name(name) {
        Some(known) => PathElement::Field(known.clone()),
        None => PathElement::field(name),
    }
}

/// Every leaf and item that an object mentions.
pub(super) fn field_set(typed: TypeRef<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    collect(typed, value, &mut set);
    set
}

/// Fills the set below a value; says whether the value itself is a leaf.
fn collect(typed: TypeRef<'_>, value: &Value, set: &mut Set) -> bool {
    let shape = shape(typed, value);
    if is_atomic(typed, shape) {
        return true;
    }
    match value {
        Value::Object(fields) if shape == Shape::Map => {
            for (name, member) in fields {
                let element = field_element(typed, name);
                let mut below = Set::default();
                let is_leaf = collect(typed.member(name), member, &mut below);
                let is_empty = match member {
                    Value::Null => true,
                    Value::Object(fields) => fields.is_empty(),
                    _ => false,
                };
                if is_leaf || is_empty || typed.field(name).is_none() {
                    set.add_member(element.clone());
                }
                set.add_child(element, below);
            }
        }
        Value::Array(items) if shape == Shape::List => {
            let Some(elements) = elements(typed, items) else {
                return true;
            };
            let mut seen = BTreeSet::new();
            let mut twice = BTreeSet::new();
            for element in &elements {
                if !seen.insert(element) {
                    twice.insert(element);
                }
            }
            for (element, item) in elements.iter().zip(items) {
                set.add_member(element.clone());
                if !twice.contains(element) {
                    let mut below = Set::default();
                    collect(typed.item(), item, &mut below);
                    set.add_child(element.clone(), below);
                }
            }
        }
        _ => {}
    }
    false
}

/// Whether an object that is no apply can be typed: its lists may hold an item twice.
pub fn fits(schema: &Schema, object: &Value) -> bool {
    let faults = check(schema.root(), object);
    faults.iter().all(|fault| is_duplicate(fault))
}

/// Faults in one sentence.
pub(super) fn told(faults: &[String]) -> String {
    match faults {
        [only] => only.clone(),
        several => format!("errors:\n  {}", several.join("\n  ")),
    }
}

/// Whether a fault is that an item is there twice, which only who applies may not have.
pub(super) fn is_duplicate(fault: &str) -> bool {
    fault.contains("duplicate entries")
}

/// What keeps an applied object from being typed: unknown fields, wrong types, items
/// that cannot be told apart.
pub(super) fn check(typed: TypeRef<'_>, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check_at(typed, value, &mut String::new(), &mut errors);
    errors
}

fn check_at(typed: TypeRef<'_>, value: &Value, path: &mut String, errors: &mut Vec<String>) {
    if let Some(wanted) = misfit(typed, value) {
        let at = if path.is_empty() { "" } else { ": " };
        errors.push(format!("{path}{at}expected {wanted}, got {value}"));
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, member) in fields {
                let length = path.len();
                path.push('.');
                path.push_str(name);
                match typed.field(name).or_else(|| typed.additional()) {
                    Some(member_type) => check_at(member_type, member, path, errors),
                    None => errors.push(format!("{path}: field not declared in schema")),
                }
                path.truncate(length);
            }
        }
        Value::Array(items) => check_items(typed, items, path, errors),
        _ => {}
    }
}

/// What belongs where a value of another sort is; `null` is of any.
fn misfit(typed: TypeRef<'_>, value: &Value) -> Option<&'static str> {
    if value.is_null() {
        return None;
    }
    let node = typed.node();
    let (wanted, fits) = match node.kind {
        _ if node.any_scalar => ("any scalar", !value.is_object() && !value.is_array()),
        Kind::String => ("string", value.is_string()),
        Kind::Integer | Kind::Number => ("numeric (int or float)", value.is_number()),
        Kind::Boolean => ("boolean", value.is_boolean()),
        Kind::Object => ("map", value.is_object()),
        Kind::Array => ("list", value.is_array()),
        _ => return None,
    };
    (!fits).then_some(wanted)
}

fn check_items(typed: TypeRef<'_>, items: &[Value], path: &mut String, errors: &mut Vec<String>) {
    let associative = typed.node().list != ListType::Atomic;
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let step = if associative {
            match element(typed, item) {
                Ok(element) => element,
                Err(why) => {
                    errors.push(format!("{path}: element {index}: {why}"));
                    return;
                }
            }
        } else {
            PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
        };
        let length = path.len();
        if !seen.insert(step.clone()) {
            errors.push(format!("{path}: duplicate entries for key {step}"));
        }
        path.push_str(&step.to_string());
        check_at(typed.item(), item, path, errors);
        path.truncate(length);
    }
}
