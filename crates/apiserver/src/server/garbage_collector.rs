//! The garbage collector: dependents of owners that are gone are collected, and foreground and orphaning
//! deletions are brought to their end.

use std::sync::Arc;

use serde_json::Value;

use super::background::Background;
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::state::admission::Operation;
use crate::store::Stored;
use crate::write::deletion::{FOREGROUND, ORPHAN, Propagation};

/// An owner, as far as a dependent is concerned.
enum Owner {
    Solid,
    Waiting,
    Gone,
}

impl Background {
    /// Brings the deletions of an object's owners further, of those that are meant.
    pub(super) fn finish_owners(&self, object: &Stored, is_meant: impl Fn(&Value) -> bool) {
        for owner in &object.owners {
            let owner = self.core.store.by_uid(owner);
            let Some(owner) = owner.filter(|owner| owner.terminating) else {
                continue;
            };
            let value = owner.value();
            if is_meant(&value) {
                self.finish(&owner, &value);
            }
        }
    }

    /// Brings those owners' deletions further that leave their dependents behind.
    pub(super) fn finish_orphaning_owners(&self, object: &Stored) {
        self.finish_owners(object, |owner| object::finalizers(owner).contains(&ORPHAN));
    }

    /// Brings a deletion further that waits for what becomes of the dependents.
    pub(super) fn finish_dependents(
        &self,
        resource: &Resource,
        object: &Arc<Stored>,
        value: &Value,
    ) {
        let finalizers = object::finalizers(value);
        if finalizers.contains(&ORPHAN) {
            let dependents = self.core.store.dependents(&object.uid);
            let uids = [object.uid.as_str()];
            let held = dependents
                .iter()
                .filter(|dependent| !self.let_go(dependent, &uids));
            // The owner stays as long as one of them may not go without it.
            if held.count() == 0 {
                self.drop_finalizer(resource, &object.key, ORPHAN);
            }
        } else if finalizers.contains(&FOREGROUND) {
            let dependents = self.core.store.dependents(&object.uid);
            let blocked = dependents
                .iter()
                .any(|dependent| blocks(&dependent.value(), &object.uid));
            for dependent in dependents {
                self.examine(&dependent, &dependent.value());
            }
            if !blocked {
                self.drop_finalizer(resource, &object.key, FOREGROUND);
            }
        }
    }

    /// Collects a dependent that no owner holds any longer.
    pub(super) fn examine(&self, dependent: &Arc<Stored>, value: &Value) {
        if dependent.terminating {
            return;
        }
        let references = object::meta(value, "ownerReferences")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut solid = false;
        let mut waiting = false;
        let mut let_go = Vec::new();
        for reference in &references {
            let uid = object::text_at(reference, "uid");
            match self.owner(dependent, reference, &uid) {
                Owner::Solid => solid = true,
                Owner::Waiting => {
                    waiting = true;
                    let_go.push(uid);
                }
                Owner::Gone => let_go.push(uid),
            }
        }
        if let_go.is_empty() {
            return;
        }
        if solid {
            let uids: Vec<&str> = let_go.iter().map(String::as_str).collect();
            self.let_go(dependent, &uids);
            return;
        }
        let finalizers = object::finalizers(value);
        let has_dependents = !self.core.store.dependents(&dependent.uid).is_empty();
        let propagation = if finalizers.contains(&ORPHAN) {
            Propagation::Orphan
        } else if (waiting && has_dependents) || finalizers.contains(&FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        self.delete(dependent, Some(propagation));
    }

    fn owner(&self, dependent: &Stored, reference: &Value, uid: &str) -> Owner {
        let found = self.core.store.by_uid(uid).filter(|owner| {
            owner.key.namespace.is_empty() || owner.key.namespace == dependent.key.namespace
        });
        match found {
            Some(owner) if owner.terminating => {
                if object::finalizers(&owner.value()).contains(&FOREGROUND) {
                    Owner::Waiting
                } else {
                    Owner::Solid
                }
            }
            Some(_) => Owner::Solid,
            // Of kinds that are not served nothing is known, so nothing is collected.
            None if self.is_served(reference) => Owner::Gone,
            None => Owner::Solid,
        }
    }

    fn is_served(&self, reference: &Value) -> bool {
        let api_version = object::text_at(reference, "apiVersion");
        let (group, version) = api_version
            .split_once('/')
            .unwrap_or(("", api_version.as_str()));
        self.core
            .registry
            .load()
            .by_kind(group, version, &object::text_at(reference, "kind"))
            .is_some()
    }

    /// Takes these owners from a dependent; whether it may be without them. That is the hooks' matter:
    /// a webhook may keep the children of a Service where they are.
    fn let_go(&self, dependent: &Stored, owners: &[&str]) -> bool {
        let edit = |value: &mut Value| {
            let Some(references) = value
                .pointer_mut("/metadata/ownerReferences")
                .and_then(Value::as_array_mut)
            else {
                return false;
            };
            let before = references.len();
            references
                .retain(|reference| !owners.contains(&object::text_at(reference, "uid").as_str()));
            let changed = references.len() != before;
            if references.is_empty() {
                object::remove_meta(value, "ownerReferences");
            }
            changed
        };
        let mut free = dependent.value();
        edit(&mut free);
        if let Err(error) = self.review(dependent, &free) {
            tracing::debug!(storage = %dependent.key.storage, name = %dependent.key.name, %error,
                "it is not let go");
            return false;
        }
        self.change(&dependent.key, edit);
        true
    }

    /// Asks the hooks about a change.
    fn review(&self, object: &Stored, changed: &Value) -> Result<(), ApiError> {
        let Some(resource) = self.resource(&object.key) else {
            return Ok(());
        };
        let call = self.call(&resource, &object.key.namespace);
        let old = object.value();
        let review = call.review(&object.key.name, Operation::Update, Some(&old));
        let mut hooks = self.core.hooks.iter();
        hooks.try_for_each(|hook| hook.validate(&review, changed))
    }
}

fn blocks(dependent: &Value, owner: &str) -> bool {
    object::meta(dependent, "ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|reference| {
            object::text_at(reference, "uid") == owner
                && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
        })
}
