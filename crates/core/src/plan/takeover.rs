//! Which fields become ours because a person's `kubectl apply` set them.
//!
//! An object that was applied from the client's side has what its manifest said, under a field
//! manager that nobody applies as any more once that manifest is in Git. Whatever Git then drops
//! would stay for ever. So those fields are moved to the manager that applies the object now, as
//! `kubectl apply --server-side` does with its own, and the apply itself takes away what Git does
//! not have.
//!
//! One field is taken from anybody: the name that somebody else gave a template's revision (a hand, `kn`), where Git gives
//! it none. It would be the name of every template to come, and Knative takes a name for one template only.

use serde_json::{Map, Value, json};

use crate::api::object::ObjectKey;
use crate::api::serving;

use super::live::{FieldOwner, LiveObject, is_ours};
use super::manager::Manager;
use super::normalize::{ChangeKind, FieldChange};
use super::path::{FieldPath, PathStep};

/// kubectl's copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Field managers of client-side applies; the second is the server's, for what an object had
/// before anybody was on record.
const FROM: [&str; 2] = ["kubectl-client-side-apply", "before-first-apply"];

/// Whether fields of a manager are taken over, where it wrote by an update.
pub(super) fn is_from(manager: &str) -> bool {
    FROM.contains(&manager)
}

/// The name that a template gives its revision, in a FieldsV1.
const REVISION_NAME: [&str; 4] = ["f:spec", "f:template", "f:metadata", "f:name"];

/// Whether there is anything to take over before `desired` is applied.
pub fn is_due(live: &LiveObject, desired: &Value, manager: Manager) -> bool {
    live.managers.iter().any(FieldOwner::is_taken_over) || is_foreign_name(live, desired, manager)
}

/// Whether a template has a name that Git does not give it, and that somebody else did.
pub fn is_foreign_name(live: &LiveObject, desired: &Value, manager: Manager) -> bool {
    takes_name(&live.key, desired, manager)
        && live
            .value()
            .pointer("/spec/template/metadata/name")
            .is_some()
        && live.managers.iter().any(|owner| {
            !is_ours(&owner.manager) && remove(&mut fields_of(owner), &REVISION_NAME).is_some()
        })
}

/// Whether an apply of this takes the revision's name away, whosever it is.
fn takes_name(key: &ObjectKey, desired: &Value, manager: Manager) -> bool {
    manager == Manager::Objects
        && key.group == serving::GROUP
        && desired.pointer("/spec/template").is_some()
        && desired.pointer("/spec/template/metadata/name").is_none()
}

/// Gives the `managedFields` of an object in which `manager` owns what a client-side apply did, and what else it takes
/// before it applies `desired`; `None` where there is nothing to take over.
pub fn managed_fields(
    key: &ObjectKey,
    object: &Value,
    desired: &Value,
    manager: Manager,
) -> Option<Vec<Value>> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let mut taken = Value::Null;
    let mut version = Value::Null;
    let mut left = Vec::with_capacity(entries.len());
    for entry in entries {
        let fields = entry.get("fieldsV1").and_then(|fields| {
            if is_an_update(entry) {
                Some(split(fields, key, manager))
            } else if takes_name(key, desired, manager) && !is_ours(manager_of(entry)) {
                without_name(fields)
            } else {
                None
            }
        });
        let Some((ours, rest)) = fields else {
            left.push(entry.clone());
            continue;
        };
        version = entry.get("apiVersion").cloned().unwrap_or_default();
        merge(&mut taken, &ours);
        if has_members(&rest) {
            let mut entry = entry.clone();
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("fieldsV1".into(), rest);
            }
            left.push(entry);
        }
    }
    if !has_members(&taken) {
        return None;
    }
    let is_ours = |entry: &&mut Value| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        text("manager") == manager.name()
            && text("operation") == "Apply"
            && text("subresource").is_empty()
    };
    match left.iter_mut().find(is_ours) {
        Some(ours) => {
            if let Some(fields) = ours.get_mut("fieldsV1") {
                merge(fields, &taken);
            }
        }
        None => left.push(json!({"manager": manager.name(), "operation": "Apply",
            "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": taken})),
    }
    Some(left)
}

/// Gives the fields that an apply of `desired` takes away because a client-side apply set them and
/// Git does not.
pub fn drops(desired: &Value, live: &LiveObject, manager: Manager) -> Vec<FieldChange> {
    let mut drops = Drops::default();
    let taken = live.managers.iter().filter(|owner| owner.is_taken_over());
    let value = live.value();
    for fields in taken.map(fields_of) {
        let (ours, _) = split(&fields, &live.key, manager);
        drops.below(&ours, Some(desired), &value);
    }
    let others: Vec<Value> = live
        .managers
        .iter()
        .filter(|owner| !is_ours(&owner.manager) && !owner.is_taken_over())
        .map(fields_of)
        .collect();
    drops
        .found
        .retain(|change| !others.iter().any(|fields| change.path.is_in(fields)));
    drops.found
}

/// Gives what a manager owns of a live object, or will once it has applied it.
pub(super) fn owned(live: &LiveObject, manager: Manager) -> Option<Value> {
    let mut owned = live.owner(manager.name()).map(fields_of);
    for owner in live.managers.iter().filter(|owner| owner.is_taken_over()) {
        let (ours, _) = split(&fields_of(owner), &live.key, manager);
        merge(owned.get_or_insert(Value::Null), &ours);
    }
    owned
}

fn fields_of(owner: &FieldOwner) -> Value {
    serde_json::from_str(&owner.fields).unwrap_or_default()
}

#[derive(Default)]
struct Drops {
    path: Vec<PathStep>,
    found: Vec<FieldChange>,
}

impl Drops {
    fn below(&mut self, fields: &Value, wanted: Option<&Value>, has: &Value) {
        for (name, below) in fields.as_object().into_iter().flatten() {
            let Some((step, wanted, has)) = member(name, wanted, has) else {
                continue;
            };
            self.path.push(step);
            let is_item = !name.starts_with("f:");
            match wanted.filter(|wanted| !wanted.is_null()) {
                None if is_item || is_leaf(below) => self.found.push(FieldChange {
                    path: FieldPath(self.path.clone()),
                    kind: ChangeKind::Removed,
                }),
                wanted => self.below(below, wanted, has),
            }
            self.path.pop();
        }
    }
}

/// A member of a FieldsV1 in what Git has and in what the cluster has; `None` where the cluster
/// does not have it, or it is kubectl's copy of the object, which says nothing.
fn member<'a>(
    name: &str,
    wanted: Option<&'a Value>,
    has: &'a Value,
) -> Option<(PathStep, Option<&'a Value>, &'a Value)> {
    let item = |list: &'a Value, is_it: &dyn Fn(&Value) -> bool| {
        list.as_array()?.iter().find(|item| is_it(item))
    };
    if let Some(field) = name.strip_prefix("f:") {
        let has = has.get(field).filter(|_| field != LAST_APPLIED)?;
        let wanted = wanted.and_then(|wanted| wanted.get(field));
        return Some((PathStep::Field(field.to_owned()), wanted, has));
    }
    let (kind, text) = name.split_once(':')?;
    let key: Value = serde_json::from_str(text).ok()?;
    let is_it = |item: &Value| match (kind, key.as_object()) {
        // A key that a manifest leaves to its default is no other item.
        ("k", Some(keys)) => keys
            .iter()
            .all(|(name, value)| item.get(name).is_none_or(|has| has == value)),
        _ => *item == key,
    };
    let named = match key.as_object().and_then(|keys| keys.values().next()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => text.to_owned(),
    };
    let wanted = wanted.and_then(|list| item(list, &is_it));
    Some((PathStep::Key(named), wanted, item(has, &is_it)?))
}

fn manager_of(entry: &Value) -> &str {
    let name = entry.get("manager").and_then(Value::as_str);
    name.unwrap_or_default()
}

/// A revision's name, and what is left without it.
fn without_name(fields: &Value) -> Option<(Value, Value)> {
    let mut rest = fields.clone();
    remove(&mut rest, &REVISION_NAME)?;
    let name = json!({"f:spec": {"f:template": {"f:metadata": {"f:name": {}}}}});
    Some((name, rest))
}

fn is_an_update(entry: &Value) -> bool {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    is_from(text("manager")) && text("operation") == "Update" && text("subresource").is_empty()
}

/// What of a FieldsV1 the manager takes, and what stays where it is.
fn split(fields: &Value, key: &ObjectKey, manager: Manager) -> (Value, Value) {
    let (mut ours, mut rest) = (fields.clone(), json!({}));
    let mut stays: Vec<Vec<String>> = [
        "f:status",
        "f:metadata/f:finalizers",
        "f:metadata/f:ownerReferences",
    ]
    .iter()
    .map(|path| path.split('/').map(str::to_owned).collect())
    .collect();
    for name in ["creator", "lastModifier"] {
        // Knative writes them, and nobody may take them away.
        let name = format!("f:{}/{name}", serving::GROUP);
        stays.push(vec!["f:metadata".into(), "f:annotations".into(), name]);
    }
    if key.group == serving::GROUP && key.kind == "Service" {
        let traffic = vec!["f:spec".to_owned(), "f:traffic".to_owned()];
        match manager {
            // Each has its own part: without its traffic a Service would serve the newest revision.
            Manager::Objects => stays.push(traffic),
            Manager::Traffic | Manager::Status => return (json!({}), fields.clone()),
        }
    }
    for path in stays {
        if let Some(found) = remove(&mut ours, &path) {
            let mut part = found;
            for step in path.iter().rev() {
                part = json!({ step: part });
            }
            merge(&mut rest, &part);
        }
    }
    (ours, rest)
}

/// Takes a field out, and the maps above it that are empty without it.
fn remove<S: AsRef<str>>(fields: &mut Value, path: &[S]) -> Option<Value> {
    let (first, below) = path.split_first()?;
    let (fields, first) = (fields.as_object_mut()?, first.as_ref());
    if below.is_empty() {
        return fields.remove(first);
    }
    let inner = fields.get_mut(first)?;
    let found = remove(inner, below)?;
    if is_leaf(inner) {
        fields.remove(first);
    }
    Some(found)
}

/// Adds one FieldsV1 to another.
fn merge(into: &mut Value, more: &Value) {
    let Some(more) = more.as_object() else {
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
        if let Some(into) = into.as_object_mut() {
            into.extend(more.clone());
        }
        return;
    }
    let Some(into) = into.as_object_mut() else {
        return;
    };
    for (name, more) in more {
        match into.get_mut(name) {
            Some(known) => {
                // Alone, nothing below a field means the field itself.
                let itself = is_leaf(known) != is_leaf(more);
                merge(known, more);
                if itself && let Some(known) = known.as_object_mut() {
                    known.insert(".".into(), json!({}));
                }
            }
            None => {
                into.insert(name.clone(), more.clone());
            }
        }
    }
}

fn is_leaf(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

/// Whether a FieldsV1 names any field, and not only maps around fields that went elsewhere.
fn has_members(fields: &Value) -> bool {
    fields.as_object().is_some_and(|fields| {
        fields
            .iter()
            .any(|(name, below)| name != "." && (is_leaf(below) || has_members(below)))
    })
}

#[cfg(test)]
#[path = "tests/takeover.rs"]
mod tests;
