//! Deletion of one incarnation of an object, never of a later one of the same name.

use std::time::Duration;

use kube::Resource;
use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::core::Request;
use serde_json::Value;

use crate::api::object::ObjectKey;

use super::Cluster;
use super::error::{Refusal, WriteError};

/// How a deletion went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, or was before.
    Gone,
    /// The server keeps it until these finalizers are taken away by whoever set them.
    Waiting {
        /// The finalizers.
        finalizers: Vec<String>,
    },
    /// Another object has the name now; it was left alone.
    Replaced,
}

impl Cluster {
    /// Deletes an object, its children after it. `version` is any version that the kind
    /// is served in; `uid` names the incarnation.
    pub async fn delete(
        &self,
        key: &ObjectKey,
        version: &str,
        uid: &str,
    ) -> Result<Deleted, WriteError> {
        let failed = |cause| WriteError {
            object: key.clone(),
            cause,
        };
        let api_version = if key.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", key.group)
        };
        let kind = match self.kind(&api_version, &key.kind).await {
            Ok(kind) => kind,
            // The kind went, and its objects with it.
            Err(Refusal::NoSuchKind(_)) => return Ok(Deleted::Gone),
            Err(refusal) => return Err(failed(refusal)),
        };
        let lock = self.0.locks.of(key);
        let _one_at_a_time = lock.lock().await;
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        let path = DynamicObject::url_path(&kind.resource, key.namespace.as_deref());
        let requests = Request::new(path);
        let answer = self
            .with_retries(key, None, || requests.delete(&key.name, &params))
            .await;
        self.0.settled.lock().remove(key);
        match answer {
            Ok(answer) => Ok(outcome(&answer)),
            Err(Refusal::Gone) => {
                let replaced = self.get(key).is_some_and(|live| live.uid != uid);
                Ok(if replaced {
                    Deleted::Replaced
                } else {
                    Deleted::Gone
                })
            }
            Err(Refusal::NoNamespace(_)) => Ok(Deleted::Gone),
            Err(refusal) => Err(failed(refusal)),
        }
    }

    /// Waits until the watches no longer show an object, at most `limit`; `false` where
    /// they still do. The object's kind must be watched.
    pub async fn wait_gone(&self, key: &ObjectKey, limit: Duration) -> bool {
        let changes = self.changes();
        let gone = async {
            while self.get(key).is_some() {
                changes.next().await;
            }
        };
        tokio::time::timeout(limit, gone).await.is_ok()
    }
}

fn outcome(answer: &Value) -> Deleted {
    let finalizers: Vec<String> = answer
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if finalizers.is_empty() {
        Deleted::Gone
    } else {
        Deleted::Waiting { finalizers }
    }
}
