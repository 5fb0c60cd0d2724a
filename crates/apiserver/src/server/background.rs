//! What happens behind the requests. One task follows the store's changes and hands them to the garbage
//! collector (`garbage_collector.rs`) and the namespace controller (`namespace_controller.rs`).
//!
//! It keeps nothing that it could not find again, so that it may be stopped at any point and start over.

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
use crate::state::core::Core;
use crate::store::{Change, EventKind, Key, Stored};
use crate::wire::query::WriteOptions;
use crate::write;
use crate::write::deletion::{self, DeleteOptions, Propagation};
use crate::write::write_request::WriteRequest;

/// Follows the changes until cancelled.
pub async fn run(
    core: Arc<Core>,
    mut changes: mpsc::UnboundedReceiver<Change>,
    stop: CancellationToken,
) {
    let background = Background {
        core,
        user: User::admin("system:serviceaccount:kube-system:generic-garbage-collector"),
    };
    // What a former run left unfinished.
    for object in background.core.store.everything(None) {
        background.changed(&object);
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
            EventKind::Added | EventKind::Modified => background.changed(&change.object),
            EventKind::Deleted => background.deleted(&change.object),
        }
        tokio::task::yield_now().await;
    }
}

/// What the controllers inside the server write with.
pub(super) struct Background {
    pub(super) core: Arc<Core>,
    user: User,
}

impl Background {
    fn changed(&self, object: &Stored) {
        if object.key.storage == "namespaces" && !object.terminating {
            self.give_service_account(&object.key.name);
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
            self.finish_orphaning_owners(&object);
        }
    }

    fn deleted(&self, gone: &Stored) {
        for dependent in self.core.store.dependents(&gone.uid) {
            self.examine(&dependent, &dependent.value());
        }
        self.finish_owners(gone, |_| true);
        self.namespace_may_be_done(&gone.key.namespace);
        self.definition_may_be_done(&gone.key.storage);
    }

    /// Brings an asked-for deletion further.
    pub(super) fn finish(&self, object: &Arc<Stored>, value: &Value) {
        let Some(resource) = self.resource(&object.key) else {
            return;
        };
        match resource.strategy {
            Strategy::Namespace => self.empty_namespace(object),
            Strategy::CustomResourceDefinition => self.empty_definition(value),
            _ => {}
        }
        self.finish_dependents(&resource, object, value);
    }

    pub(super) fn drop_finalizer(&self, resource: &Resource, key: &Key, finalizer: &str) {
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

    pub(super) fn resource(&self, key: &Key) -> Option<Arc<Resource>> {
        self.core.registry.load().by_storage(&key.storage).cloned()
    }

    pub(super) fn call<'a>(&'a self, resource: &'a Resource, namespace: &str) -> WriteRequest<'a> {
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

    pub(super) fn delete(&self, object: &Stored, propagation: Option<Propagation>) {
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
    pub(super) fn change(&self, key: &Key, edit: impl Fn(&mut Value) -> bool) {
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
