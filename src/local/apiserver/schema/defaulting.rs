//! Defaulting from the schema, and the nulls that a decoder drops.

use serde_json::Value;

use super::node::TypeRef;

/// What becomes of a null where none may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// It goes, as when a client's object is read.
    Dropped,
    /// It stays, for the checks to find, as when a hook put it there.
    Kept,
}

pub(super) fn default(typed: TypeRef<'_>, value: &mut Value, nulls: Nulls) {
    match value {
        Value::Object(object) => {
            object.retain(|name, member| {
                nulls == Nulls::Kept || !member.is_null() || {
                    let member_type = typed.member(name);
                    member_type.node().nullable || member_type.node().default.is_some()
                }
            });
            for (name, field) in typed.fields() {
                let Some(default) = &field.node().default else {
                    continue;
                };
                match object.get_mut(name.as_ref()) {
                    None => {
                        object.insert(name.to_string(), default.clone());
                    }
                    Some(member) if member.is_null() && !field.node().nullable => {
                        *member = default.clone();
                    }
                    Some(_) => {}
                }
            }
            for (name, member) in object.iter_mut() {
                if let Some(member_type) = typed.field(name).or_else(|| typed.additional()) {
                    default(member_type, member, nulls);
                }
            }
        }
        Value::Array(items) => {
            let item_type = typed.item();
            for item in items {
                if item.is_null()
                    && !item_type.node().nullable
                    && let Some(default) = &item_type.node().default
                {
                    *item = default.clone();
                }
                default(item_type, item, nulls);
            }
        }
        _ => {}
    }
}
