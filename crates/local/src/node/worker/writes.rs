//! What a worker writes to the API: that a Pod is this node's, its status, and its end.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Map, Value, json};

use super::{PORT_ANNOTATION, Worker};
use crate::node::environment::NODE_NAME;
use crate::node::lifecycle::status;

/// A write that failed is tried again after this long.
pub(super) const RETRY: Duration = Duration::from_millis(500);

pub(super) type Write = BoxFuture<'static, (PodStatus, Result<Pod, kube::Error>)>;

impl Worker {
    /// Makes the Pod this node's and gives it a port; `false` when it is gone.
    pub(super) async fn claim(&mut self) -> bool {
        let known = self.annotated_port();
        loop {
            let port = match self.port {
                Some(port) => Ok(port),
                None => self.node.ports.take(known),
            };
            let error = match port {
                Ok(port) => {
                    self.port = Some(port);
                    let is_ours = self
                        .pod
                        .spec
                        .as_ref()
                        .is_some_and(|spec| spec.node_name.is_some());
                    if is_ours && known == Some(port) {
                        return true;
                    }
                    match self.publish(port).await {
                        Ok(()) => return true,
                        Err(error) if self.says_gone(&error).await => return false,
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            };
            tracing::warn!(pod = %self.key.name, namespace = %self.key.namespace, %error, "a Pod cannot be claimed");
            tokio::time::sleep(RETRY).await;
        }
    }

    fn annotated_port(&self) -> Option<u16> {
        self.pod
            .metadata
            .annotations
            .as_ref()?
            .get(PORT_ANNOTATION)?
            .parse()
            .ok()
    }

    /// Says on the Pod where it runs and serves, before anything serves there.
    pub(super) async fn publish(&mut self, port: u16) -> Result<(), kube::Error> {
        let patch = json!({
            // The uid is a precondition: a patch must not hit another Pod of this name.
            "metadata": {"uid": self.key.uid, "annotations": {PORT_ANNOTATION: port.to_string()}},
            "spec": {"nodeName": NODE_NAME},
        });
        let params = PatchParams::default();
        let pod = self
            .api
            .patch(&self.key.name, &params, &Patch::Merge(patch))
            .await?;
        self.saw(Arc::new(pod));
        Ok(())
    }

    /// A write of the status, if the API's is another.
    pub(super) fn write_status(&self) -> Option<Write> {
        let status = status::render(&self.life, &self.base(), Timestamp::now());
        let patch = difference(&self.written, &status)?;
        let (api, name) = (self.api.clone(), self.key.name.clone());
        let patch = json!({"metadata": {"uid": self.key.uid}, "status": patch});
        Some(
            async move {
                let patch = Patch::Merge(patch);
                let result = api
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await;
                (status, result)
            }
            .boxed(),
        )
    }

    /// Our own last status, with the conditions that others wrote since.
    fn base(&self) -> PodStatus {
        let mut base = self.written.clone();
        let seen = self
            .pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_deref());
        status::adopt_foreign(&mut base, seen.unwrap_or_default());
        base
    }

    /// Takes the Pod out of the API; its processes are gone.
    pub(super) async fn delete(&self) {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(self.key.uid.clone()),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        loop {
            match self.api.delete(&self.key.name, &params).await {
                Ok(_) => return,
                Err(error) if self.says_gone(&error).await => return,
                Err(error) => {
                    tracing::warn!(pod = %self.key.name, %error, "a Pod that ended cannot be deleted");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Whether an answer means that the Pod is not there any more, or that another
    /// has its name. A conflict alone may be anything.
    async fn says_gone(&self, error: &kube::Error) -> bool {
        let kube::Error::Api(status) = error else {
            return false;
        };
        if !status.is_conflict() {
            return status.is_not_found();
        }
        match self.api.get_opt(&self.key.name).await {
            Ok(Some(pod)) => pod.metadata.uid.as_deref() != Some(&self.key.uid),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// The fields of `after` that differ from `before`, for a merge patch; `None` when
/// there are none. Fields of a status are replaced whole.
fn difference(before: &PodStatus, after: &PodStatus) -> Option<Value> {
    let object = |status: &PodStatus| match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (mut before, after) = (object(before), object(after));
    let mut patch = Map::new();
    for (name, value) in after {
        if before.remove(&name).as_ref() != Some(&value) {
            patch.insert(name, value);
        }
    }
    for (name, _) in before {
        patch.insert(name, Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let status = |value: Value| serde_json::from_value::<PodStatus>(value).unwrap();
        let before = status(json!({"phase": "Running", "message": "x", "podIP": "127.0.0.1"}));
        let after = status(json!({"phase": "Failed", "podIP": "127.0.0.1"}));
        assert_eq!(difference(&before, &before), None);
        let patch = difference(&before, &after).unwrap();
        assert_eq!(patch, json!({"phase": "Failed", "message": null}));
    }
}
