//! Sets and keyed lists hold each item once. Objects are looked through for that whatever else is wrong
//! with them.
//!
//! Source: `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype`.

use serde_json::Value;

use super::field_error::{FieldError, FieldErrorReason, shown};
use super::node::{ListType, TypeRef};
use super::walk::walk;

/// What is there twice in an object.
pub(super) fn duplicates(root: TypeRef<'_>, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(root, object, "", &mut |typed, value, path| {
        if let Value::Array(items) = value {
            unique(&typed.node().list, items, path, &mut errors);
        }
    });
    errors
}

fn unique(list: &ListType, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let keys: Vec<Value> = match list {
        ListType::Atomic => return,
        ListType::Set => items.to_vec(),
        ListType::Map(names) => {
            let is_misfit = |item: &Value| !item.is_object() && !item.is_null();
            if let Some(at) = items.iter().position(is_misfit) {
                let why = "must be an object for an array of list-type map";
                let item = items.get(at).unwrap_or(&Value::Null);
                errors.push(FieldError::invalid(format!("{path}[{at}]"), item, why));
                return;
            }
            let key = |item: &Value| {
                let key = names.iter().filter_map(|name| {
                    let value = item.get(name.as_ref())?;
                    Some((name.to_string(), value.clone()))
                });
                Value::Object(key.collect())
            };
            items.iter().map(key).collect()
        }
    };
    for (index, key) in keys.iter().enumerate() {
        let earlier = keys.iter().take(index).filter(|one| *one == key);
        // A third one is not told of again.
        if earlier.count() == 1 {
            errors.push(FieldError::new(
                FieldErrorReason::Duplicate,
                format!("{path}[{index}]"),
                format!("Duplicate value: {}", shown(key)),
            ));
        }
    }
}
