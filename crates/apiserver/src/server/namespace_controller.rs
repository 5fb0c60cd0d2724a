//! The namespace controller: each namespace has a service account, and namespaces that are deleted empty
//! themselves; so do the definitions of kinds.

use serde_json::{Value, json};

use super::background::Background;
use crate::json::object;
use crate::state::definitions;
use crate::store::{Key, Stored};
use crate::write;

impl Background {
    /// Every namespace has a service account that Pods run as when they name none.
    pub(super) fn give_service_account(&self, namespace: &str) {
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

    pub(super) fn empty_namespace(&self, namespace: &Stored) {
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

    /// Finishes the deletion of a namespace once nothing is left in it.
    pub(super) fn namespace_may_be_done(&self, name: &str) {
        if name.is_empty() {
            return;
        }
        let key = Key {
            storage: "namespaces".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        if let Some(namespace) = self.core.store.get(&key)
            && namespace.terminating
            && self.core.store.everything(Some(name)).is_empty()
        {
            self.empty_namespace(&namespace);
        }
    }

    pub(super) fn empty_definition(&self, definition: &Value) {
        let storage = object::name(definition).to_owned();
        let (_, objects) = self.core.store.list(&storage, None);
        for object in &objects {
            self.delete(object, None);
        }
        self.definition_may_be_done(&storage);
    }

    pub(super) fn definition_may_be_done(&self, storage: &str) {
        let key = Key {
            storage: definitions::STORAGE.to_owned(),
            namespace: String::new(),
            name: storage.to_owned(),
        };
        let Some(definition) = self.core.store.get(&key).filter(|found| found.terminating) else {
            return;
        };
        if self.core.store.list(storage, None).1.is_empty()
            && let Some(resource) = self.resource(&definition.key)
        {
            self.drop_finalizer(&resource, &definition.key, definitions::FINALIZER);
            // Watches on the kind end; listing again says that it is not served.
            self.core.store.compact(storage);
        }
    }
}
