//! What all requests share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::definitions::compiled::Compiled;
use super::pod_logs::PodLogs;
use crate::model::registry::Registry;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::store::{Key, Store};
use crate::wire::path::ResourcePath;

/// The server's state, shared by all requests and the controllers inside it.
pub struct Core {
    /// The objects.
    pub store: Arc<Store>,
    /// The served resources.
    pub registry: ArcSwap<Registry>,
    /// The built-in part of the registry.
    pub built_in: Vec<Arc<Resource>>,
    /// What the stored definitions define.
    pub compiled: Compiled,
    /// Admission hooks, in order.
    pub hooks: Vec<Arc<dyn Admission>>,
    /// Who keeps the logs of Pods, once there is a node.
    pub pod_logs: RwLock<Option<Arc<dyn PodLogs>>>,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// Cancelled when the server goes down: open watches and logs end.
    pub stopping: CancellationToken,
    /// Cancelled while the server pretends to be away, and fresh again after: see
    /// [`crate::ApiServer::outage`].
    pub presence: ArcSwap<CancellationToken>,
    /// How often an idle watch is told the revision.
    pub bookmark_every: std::time::Duration,
}

impl Core {
    /// The resource that a path names.
    pub fn resource(&self, path: &ResourcePath) -> Result<Arc<Resource>, ApiError> {
        let registry = self.registry.load();
        let resource = registry
            .find(&path.group, &path.version, &path.plural)
            .ok_or_else(|| {
                if registry.groups().contains_key(path.group.as_str()) {
                    ApiError::no_such_path()
                } else {
                    ApiError::page_not_found()
                }
            })?;
        let fits = match (resource.namespaced, &path.namespace, &path.name) {
            // An object of a namespaced kind has to be named with its namespace.
            (true, None, Some(_)) | (false, Some(_), _) => false,
            (true, _, _) | (false, None, _) => true,
        };
        if fits {
            Ok(Arc::clone(resource))
        } else {
            Err(ApiError::no_such_path())
        }
    }

    /// The time now, in whole seconds as Kubernetes keeps it.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Where an object of a resource is kept.
pub fn key(resource: &Resource, namespace: &str, name: &str) -> Key {
    Key {
        storage: resource.storage.clone(),
        namespace: if resource.namespaced {
            namespace.to_owned()
        } else {
            String::new()
        },
        name: name.to_owned(),
    }
}
