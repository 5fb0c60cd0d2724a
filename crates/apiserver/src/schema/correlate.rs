//! Which part of an older object a part of a newer one was: fields by their names, items of keyed lists
//! by their keys, and items of other lists are nobody's.
//!
//! Source: `k8s.io/apiserver/pkg/cel/common/equality.go`.

use serde_json::Value;

use super::node::{ListType, TypeRef};

/// The older self of a value, where it has one.
#[derive(Clone, Copy, Default)]
pub(super) struct Old<'o> {
    pub value: Option<&'o Value>,
}

impl<'o> Old<'o> {
    pub(super) fn of(value: Option<&'o Value>) -> Self {
        Self { value }
    }

    /// The older self of a field. That an object is of another version cannot be seen.
    pub(super) fn member(self, typed: TypeRef<'_>, name: &str, is_of_root: bool) -> Self {
        let is_identity = is_of_root && matches!(name, "apiVersion" | "kind");
        let is_typed = typed.field(name).is_some() || typed.node().additional_declared;
        let value = self.value.filter(|_| is_typed && !is_identity);
        Self {
            value: value.and_then(|value| value.get(name)),
        }
    }

    /// The older self of an item.
    pub(super) fn item(self, typed: TypeRef<'_>, item: &Value) -> Self {
        Self {
            value: self
                .value
                .and_then(Value::as_array)
                .and_then(|items| with_keys_of(typed, items, item)),
        }
    }
}

/// The item of a keyed list that has another one's keys.
fn with_keys_of<'o>(typed: TypeRef<'_>, items: &'o [Value], item: &Value) -> Option<&'o Value> {
    let ListType::Map(keys) = &typed.node().list else {
        return None;
    };
    let item = item.as_object()?;
    items.iter().find(|other| {
        keys.iter()
            .all(|key| other.get(key.as_ref()) == item.get(key.as_ref()))
    })
}

/// Whether a value is what its older self was. What no schema tells of is never the same.
pub(super) fn same(typed: TypeRef<'_>, value: &Value, old: &Value) -> bool {
    match (value, old) {
        (Value::Object(new), Value::Object(before)) => {
            new.len() == before.len()
                && new.iter().all(|(name, member)| {
                    let declared = || {
                        typed
                            .additional()
                            .filter(|_| typed.node().additional_declared)
                    };
                    let member_type = typed.field(name).or_else(declared);
                    member_type.is_some_and(|member_type| {
                        let old = before.get(name);
                        old.is_some_and(|old| same(member_type, member, old))
                    })
                })
        }
        (Value::Array(new), Value::Array(before)) => {
            let is_keyed = matches!(typed.node().list, ListType::Map(_));
            new.len() == before.len()
                && if is_keyed {
                    new.iter().all(|item| {
                        let old = with_keys_of(typed, before, item);
                        old.is_some_and(|old| same(typed.item(), item, old))
                    })
                } else {
                    new == before
                }
        }
        _ => value == old,
    }
}
