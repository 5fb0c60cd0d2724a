//! Wakes the loop of a service when something that it decides from has changed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::index::{Index, Name};
use crate::api::object::ObjectKey;
use crate::api::serving::annotation;
use crate::api::{self, serving};
use crate::cluster::{Changes, Cluster};
use crate::plan::{FieldPath, LiveObject, Manager, annotations};
use crate::rollout::RevisionFacts;

/// The index of revisions and Pods, and who listens to which service.
#[derive(Default)]
pub struct Wakeups {
    index: Mutex<Index>,
    listeners: Mutex<HashMap<Name, Arc<Notify>>>,
}

impl Wakeups {
    /// Who is woken when something of the service changes.
    pub fn listen(&self, namespace: &str, service: &str) -> Arc<Notify> {
        self.listeners
            .lock()
            .entry((namespace.to_owned(), service.to_owned()))
            .or_default()
            .clone()
    }

    /// This listener is gone; another one of the same service goes on being woken.
    pub fn forget(&self, namespace: &str, service: &str, listener: Arc<Notify>) {
        let mut listeners = self.listeners.lock();
        drop(listener);
        let name = (namespace.to_owned(), service.to_owned());
        if listeners
            .get(&name)
            .is_some_and(|left| Arc::strong_count(left) == 1)
        {
            listeners.remove(&name);
        }
    }

    /// See [`Index::revisions`].
    pub fn revisions(
        &self,
        namespace: &str,
        configuration: &str,
        others: &[String],
    ) -> Vec<RevisionFacts> {
        self.index
            .lock()
            .revisions(namespace, configuration, others)
    }

    /// Follows the caches until cancelled. `changes` must have been opened before the first watch.
    pub async fn follow(&self, cluster: &Cluster, changes: Changes, cancel: CancellationToken) {
        loop {
            let changed = tokio::select! {
                () = cancel.cancelled() => return,
                changed = changes.next() => changed,
            };
            for key in &changed {
                if let Some(service) = self.take_in(cluster, key) {
                    self.wake(&service);
                }
            }
        }
    }

    fn take_in(&self, cluster: &Cluster, key: &ObjectKey) -> Option<Name> {
        let namespace = key.namespace.clone()?;
        let name = (namespace.clone(), key.name.clone());
        let now = || cluster.get(key).map(|live| live.value());
        let service = match (key.group.as_str(), key.kind.as_str()) {
            (serving::GROUP, "Service" | "Configuration" | "Route")
            | (api::GROUP, "ServiceRollout") => key.name.clone(),
            (serving::GROUP, "Revision") => {
                let live = cluster.get(key);
                let value = live
                    .as_ref()
                    .map(|live| (live.value(), is_kept_by_us(live)));
                let seen = value.as_ref().map(|(value, kept)| (value, *kept));
                self.index.lock().revision(&name, seen)?
            }
            ("", "Pod") => self.index.lock().pod(&name, now().as_ref())?,
            _ => return None,
        };
        Some((namespace, service))
    }

    fn wake(&self, service: &Name) {
        if let Some(listener) = self.listeners.lock().get(service) {
            listener.notify_one();
        }
    }
}

/// Whether we asked that a Revision is not collected. A template may ask for it as well, and then
/// it is not ours to take back.
fn is_kept_by_us(revision: &LiveObject) -> bool {
    let path = FieldPath::fields(&["metadata", "annotations", annotation::NO_GC]);
    let value = revision.value();
    let said = annotations::annotation(&value, annotation::NO_GC) == Some("true");
    let owner = revision.owner(Manager::Objects.name());
    said && owner.is_some_and(|owner| owner.owns(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_said_ourselves_is_ours_to_take_back() {
        let revision = |by: serde_json::Value| {
            let entries: Vec<_> = by.as_array().unwrap().iter().map(|manager| serde_json::json!({
                "manager": manager, "operation": if manager == "sluice" { "Apply" } else { "Update" },
                "fieldsV1": {"f:metadata": {"f:annotations": {"f:serving.knative.dev/no-gc": {}}}}})).collect();
            let object = serde_json::json!({"apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": {"name": "hello-1", "annotations": {"serving.knative.dev/no-gc": "true"},
                    "managedFields": entries}});
            is_kept_by_us(&LiveObject::new(object).unwrap())
        };
        assert!(!revision(serde_json::json!(["controller"])));
        assert!(revision(serde_json::json!(["controller", "sluice"])));
    }

    #[tokio::test]
    async fn a_listener_that_goes_leaves_the_other_one_of_its_service_awake() {
        let wakeups = Wakeups::default();
        let (first, second) = (
            wakeups.listen("default", "hello"),
            wakeups.listen("default", "hello"),
        );
        wakeups.forget("default", "hello", first);
        wakeups.wake(&("default".to_owned(), "hello".to_owned()));
        let woken = tokio::time::timeout(std::time::Duration::from_secs(5), second.notified());
        assert!(woken.await.is_ok());
        wakeups.forget("default", "hello", second);
        assert!(wakeups.listeners.lock().is_empty());
    }
}
