//! An object and all that is in it, each value with its type and its path.

use serde_json::Value;

use super::json_schema::below;
use super::node::TypeRef;

/// Shows every value that has a declared type: one before those that are in it.
pub(super) fn walk<'v>(
    typed: TypeRef<'_>,
    value: &'v Value,
    path: &str,
    visit: &mut impl FnMut(TypeRef<'_>, &'v Value, &str),
) {
    visit(typed, value, path);
    match value {
        Value::Object(fields) => {
            let further = typed
                .additional()
                .filter(|_| typed.node().additional_declared);
            for (name, member) in fields {
                if let Some(member_type) = typed.field(name) {
                    walk(member_type, member, &below(path, name), visit);
                } else if let Some(member_type) = further {
                    walk(member_type, member, &format!("{path}[{name}]"), visit);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(typed.item(), item, &format!("{path}[{index}]"), visit);
            }
        }
        _ => {}
    }
}
