//! What happens behind the requests: dependents of gone owners are collected,
//! foreground and orphaning deletions are brought to their end, terminating
//! namespaces empty themselves, and deleted definitions take their objects along.
//!
//! One task follows the store's changes; it keeps nothing that it could not find
//! again, so that it may be stopped at any point and start over.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::model::strategy::Strategy;
use crate::model::user::User;
use crate::state::admission::Operation;
use crate::state::core::Core;
use crate::store::{Change, EventKind, Key, Stored};
use crate::wire::query::WriteOptions;
use crate::write;
use crate::write::deletion::{self, DeleteOptions, FOREGROUND, ORPHAN, Propagation};
use crate::write::write_request::WriteRequest;

/// Keeps house until cancelled.
pub async fn run(
    core: Arc<Core>,
    mut changes: mpsc::UnboundedReceiver<Change>,
    stop: CancellationToken,
) {
    let house = House {
        core,
        user: User::admin("system:serviceaccount:kube-system:generic-garbage-collector"),
    };
    // What a former run left unfinished.
    for object in house.core.store.everything(None) {
        house.look_after(&object);
    }
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => change,
        };
        let Some(change) = change else {
            return;
        };
        match change.kind {
            EventKind::Added | EventKind::Modified => house.look_after(&change.object),
            EventKind::Deleted => house.clear_up_after(&change.object),
        }
        tokio::task::yield_now().await;
    }
}

struct House {
    core: Arc<Core>,
    user: User,
}

/// An owner, as far as a dependent is concerned.
enum Owner {
    Solid,
    Waiting,
    Gone,
}

impl House {
    fn look_after(&self, object: &Stored) {
        if object.key.storage == "namespaces" && !object.terminating {
            self.welcome(&object.key.name);
        }
        if object.owners.is_empty() && !object.terminating {
            return;
        }
        // The change may be old news: only what is there now counts.
        let Some(object) = self.core.store.get(&object.key) else {
            return;
        };
        let value = object.value();
        if object.terminating {
            self.finish(&object, &value);
        }
        if !object.owners.is_empty() {
            self.examine(&object, &value);
            self.finish_owners(&object, |owner| object::finalizers(owner).contains(&ORPHAN));
        }
    }

    /// Brings the deletions of an object's owners further, of those that are meant.
    fn finish_owners(&self, object: &Stored, is_meant: impl Fn(&Value) -> bool) {
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

    fn clear_up_after(&self, gone: &Stored) {
        for dependent in self.core.store.dependents(&gone.uid) {
            self.examine(&dependent, &dependent.value());
        }
        self.finish_owners(gone, |_| true);
        if !gone.key.namespace.is_empty()
            && let Some(namespace) = self.core.store.get(&Key {
                storage: "namespaces".to_owned(),
                namespace: String::new(),
                name: gone.key.namespace.clone(),
            })
            && namespace.terminating
            && self
                .core
                .store
                .everything(Some(&gone.key.namespace))
                .is_empty()
        {
            self.empty_namespace(&namespace);
        }
        self.definition_may_be_done(&gone.key.storage);
    }

    /// Every namespace has a service account that Pods run as when they name none.
    fn welcome(&self, namespace: &str) {
        let key = Key {
            storage: "serviceaccounts".to_owned(),
            namespace: namespace.to_owned(),
            name: "default".to_owned(),
        };
        if self.core.store.get(&key).is_some() {
            return;
        }
        let Some(resource) = self.resource(&key) else {
            return;
        };
        let call = self.call(&resource, namespace);
        let account = json!({"metadata": {"name": "default"}});
        if let Err(error) = write::create(&call, account.into())
            && error.code != 409
        {
            tracing::debug!(namespace, %error, "no default service account");
        }
    }

    /// Brings an asked-for deletion further.
    fn finish(&self, object: &Arc<Stored>, value: &Value) {
        let Some(resource) = self.resource(&object.key) else {
            return;
        };
        match resource.strategy {
            Strategy::Namespace => self.empty_namespace(object),
            Strategy::CustomResourceDefinition => self.empty_definition(value),
            _ => {}
        }
        let finalizers = object::finalizers(value);
        if finalizers.contains(&ORPHAN) {
            let dependents = self.core.store.dependents(&object.uid);
            let uids = [object.uid.as_str()];
            let held = dependents
                .iter()
                .filter(|dependent| !self.let_go(dependent, &uids));
            // The owner stays as long as one of them may not go without it.
            if held.count() == 0 {
                self.drop_finalizer(&resource, &object.key, ORPHAN);
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
                self.drop_finalizer(&resource, &object.key, FOREGROUND);
            }
        }
    }

    /// Collects a dependent that no owner holds any longer.
    fn examine(&self, dependent: &Arc<Stored>, value: &Value) {
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

    fn drop_finalizer(&self, resource: &Resource, key: &Key, finalizer: &str) {
        tracing::debug!(resource = %resource.qualified(), name = %key.name, finalizer, "finalizer done");
        self.change(key, |value| {
            let finalizers: Vec<String> = object::finalizers(value)
                .into_iter()
                .filter(|found| *found != finalizer)
                .map(str::to_owned)
                .collect();
            if finalizers.is_empty() {
                object::remove_meta(value, "finalizers");
            } else {
                object::set_meta(value, "finalizers", json!(finalizers));
            }
            true
        });
    }

    fn empty_namespace(&self, namespace: &Stored) {
        let content = self.core.store.everything(Some(&namespace.key.name));
        for object in &content {
            self.delete(object, None);
        }
        let left = self.core.store.everything(Some(&namespace.key.name));
        if left.is_empty() {
            self.change(&namespace.key, |value| {
                object::child_mut(value, "spec")
                    .remove("finalizers")
                    .is_some()
            });
        }
    }

    fn empty_definition(&self, definition: &Value) {
        let storage = object::name(definition).to_owned();
        let (_, objects) = self.core.store.list(&storage, None);
        for object in &objects {
            self.delete(object, None);
        }
        self.definition_may_be_done(&storage);
    }

    fn definition_may_be_done(&self, storage: &str) {
        let key = Key {
            storage: crate::state::definitions::STORAGE.to_owned(),
            namespace: String::new(),
            name: storage.to_owned(),
        };
        let Some(definition) = self.core.store.get(&key).filter(|found| found.terminating) else {
            return;
        };
        if self.core.store.list(storage, None).1.is_empty()
            && let Some(resource) = self.resource(&definition.key)
        {
            self.drop_finalizer(
                &resource,
                &definition.key,
                crate::state::definitions::FINALIZER,
            );
            // Watches on the kind end; listing again says that it is not served.
            self.core.store.compact(storage);
        }
    }

    fn resource(&self, key: &Key) -> Option<Arc<Resource>> {
        self.core.registry.load().by_storage(&key.storage).cloned()
    }

    fn call<'a>(&'a self, resource: &'a Resource, namespace: &str) -> WriteRequest<'a> {
        WriteRequest {
            core: &self.core,
            user: &self.user,
            resource,
            namespace: namespace.to_owned(),
            subresource: None,
            options: WriteOptions::default(),
            agent: "kube-controller-manager".to_owned(),
            warnings: RefCell::default(),
        }
    }

    fn delete(&self, object: &Stored, propagation: Option<Propagation>) {
        let Some(resource) = self.resource(&object.key) else {
            return;
        };
        let options = DeleteOptions {
            propagation,
            uid: Some(object.uid.clone()),
            ..DeleteOptions::default()
        };
        let call = self.call(&resource, &object.key.namespace);
        match deletion::delete(&call, &object.key.name, &options) {
            Ok(_) => {}
            Err(error) if matches!(error.code, 404 | 409) => {}
            Err(error) => {
                tracing::warn!(resource = %resource.qualified(), namespace = %object.key.namespace,
                    name = %object.key.name, %error, "cannot collect an object");
            }
        }
    }

    /// Changes an object as the server itself: no admission, no new generation.
    fn change(&self, key: &Key, edit: impl Fn(&mut Value) -> bool) {
        let Some(resource) = self.resource(key) else {
            return;
        };
        let call = self.call(&resource, &key.namespace);
        match write::amend(&call, &key.name, edit) {
            Ok(()) => {}
            Err(ApiError { code: 404, .. }) => {}
            Err(error) => {
                tracing::warn!(resource = %resource.qualified(), name = %key.name, %error, "cannot finish a deletion");
            }
        }
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
