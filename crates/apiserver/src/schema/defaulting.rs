//! Defaulting from the schema, and the nulls that a decoder drops.

use serde_json::Value;

use super::node::TypeRef;

/// Drops nulls that may not be and that no default stands for, as a decoder does.
pub(super) fn drop_nulls(typed: TypeRef<'_>, value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, member| {
                !member.is_null() || {
                    let member_type = typed.member(name);
                    member_type.node().nullable || member_type.node().default.is_some()
                }
            });
            for (name, member) in object.iter_mut() {
                if let Some(member_type) = typed.field(name).or_else(|| typed.additional()) {
                    drop_nulls(member_type, member);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                drop_nulls(typed.item(), item);
            }
        }
        _ => {}
    }
}

/// Fills in what is not there.
pub(super) fn default(typed: TypeRef<'_>, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, field) in typed.fields() {
                let Some(default) = &field.node().default else {
                    continue;
                };
                match object.get_mut(name.as_ref()) {
                    None => {
                        object.insert(name.to_string(), default.clone());
                    }
                    Some(member) => stand_in(field, member),
                }
            }
            for (name, member) in object.iter_mut() {
                if let Some(field) = typed.field(name) {
                    default(field, member);
                } else if let Some(further) = typed.additional() {
                    stand_in(further, member);
                    default(further, member);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                stand_in(typed.item(), item);
                default(typed.item(), item);
            }
        }
        _ => {}
    }
}

/// A default stands for a null that may not be.
fn stand_in(typed: TypeRef<'_>, value: &mut Value) {
    if value.is_null()
        && !typed.node().nullable
        && let Some(default) = &typed.node().default
    {
        *value = default.clone();
    }
}
