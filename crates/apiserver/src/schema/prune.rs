//! Pruning: what a schema does not name is taken out, and its path told.

use std::fmt::Write as _;

use serde_json::Value;

use super::node::{Kind, TypeRef};

/// Fields that pruning never takes from an object or an embedded one.
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

struct Pruner {
    path: String,
    /// In metadata of an object inside of the object.
    in_embedded: bool,
    /// What went, and whether it was there: that is told last.
    removed: Vec<(bool, String)>,
}

/// `whole` where the object says what it is: that is not for pruning.
pub(super) fn prune(root: TypeRef<'_>, object: &mut Value, whole: bool) -> Vec<String> {
    let mut pruner = Pruner {
        path: String::new(),
        in_embedded: false,
        removed: Vec::new(),
    };
    pruner.walk(Some(root), object, whole);
    pruner.removed.sort();
    pruner.removed.into_iter().map(|(_, path)| path).collect()
}

impl Pruner {
    /// `typed` is `None` where the value stands in for a type that declares nothing.
    fn walk(&mut self, typed: Option<TypeRef<'_>>, value: &mut Value, whole: bool) {
        match value {
            Value::Object(object) => {
                let preserve = typed.is_some_and(|typed| typed.node().preserve);
                let mut unknown = Vec::new();
                for (name, member) in object.iter_mut() {
                    let known = typed.and_then(|typed| self.member(typed, name, whole));
                    match known {
                        Some(member_type) => {
                            let length = self.enter(name);
                            let embeds = typed.is_some_and(|typed| typed.node().embedded);
                            let around = self.in_embedded;
                            self.in_embedded |= embeds && name == "metadata";
                            self.walk(Some(member_type), member, false);
                            self.in_embedded = around;
                            self.path.truncate(length);
                        }
                        None if preserve => {}
                        None => unknown.push(name.clone()),
                    }
                }
                for name in unknown {
                    object.remove(&name);
                    let length = self.enter(&name);
                    self.removed.push((self.in_embedded, self.path.clone()));
                    self.path.truncate(length);
                }
            }
            Value::Array(items) => {
                // A list where none belongs is of things that nobody declared.
                let item_type = typed
                    .filter(|typed| typed.node().preserve || typed.node().kind == Kind::Array)
                    .map(TypeRef::item);
                for (index, item) in items.iter_mut().enumerate() {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{index}]");
                    self.walk(item_type, item, false);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// The type to go on with below a field; `None` where the field is not declared.
    fn member<'s>(&self, typed: TypeRef<'s>, name: &str, whole: bool) -> Option<TypeRef<'s>> {
        if let Some(field) = typed.field(name) {
            return Some(field);
        }
        if whole && META.contains(&name) {
            return typed.additional();
        }
        let node = typed.node();
        if node.additional_declared {
            return typed.additional();
        }
        None
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }
}
