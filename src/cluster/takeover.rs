//! Fields of a person's `kubectl apply` from the client's side become ours before the first apply.
//!
//! Which ones, and why, is decided in [`crate::plan::takeover`]; here the server's record of them
//! is rewritten, at the version that was read and no later one.

use kube::Resource;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};

use crate::api::object::ObjectKey;
use crate::plan::{Manager, takeover};

use super::Cluster;
use super::error::{Failure, Refusal, sort};
use super::hidden::Hidden;

/// Somebody else may write in between, so often.
const TRIES: u32 = 4;

impl Cluster {
    /// Moves what client-side applies own of an object to `manager`, and a revision's name that Git does not give.
    /// Costs nothing where the caches show no such owner.
    pub(super) async fn take_over(
        &self,
        key: &ObjectKey,
        object: &Value,
        manager: Manager,
    ) -> Result<(), Refusal> {
        let known = self.0.store.get(key);
        if !known.is_some_and(|live| takeover::is_due(&live, object, manager)) {
            return Ok(());
        }
        let version = object.get("apiVersion").and_then(Value::as_str);
        let kind = self.kind(version.unwrap_or_default(), &key.kind).await?;
        let path = DynamicObject::url_path(&kind.resource, key.namespace.as_deref());
        let requests = Request::new(path);
        let params = PatchParams {
            field_manager: Some(manager.name().to_owned()),
            ..PatchParams::default()
        };
        for _ in 0..TRIES {
            let read =
                self.with_retries(key, None, || requests.get(&key.name, &Default::default()));
            let live = match read.await {
                Ok(live) => live,
                // There is nothing to take over from, then.
                Err(Refusal::Gone) => return Ok(()),
                Err(refusal) => return Err(refusal),
            };
            let Some(fields) = takeover::managed_fields(key, &live, object, manager) else {
                return Ok(());
            };
            let patch = Patch::Merge(json!({"metadata": {
                "managedFields": fields,
                "resourceVersion": live.pointer("/metadata/resourceVersion"),
            }}));
            let request = requests
                .patch(&key.name, &params, &patch)
                .map_err(|error| Refusal::Other(error.to_string()))?;
            let _turn = self.0.writers.turn(key).await;
            match self.0.client.request::<Value>(request).await {
                Ok(_) => return Ok(()),
                // Somebody wrote meanwhile: what was read is old.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => {
                    return Err(match sort(&error, key, &Hidden::default()) {
                        Failure::Final(refusal) => refusal,
                        Failure::Again { message, .. } | Failure::Raced { message } => {
                            Refusal::Unavailable(message)
                        }
                    });
                }
            }
        }
        Err(Refusal::Unavailable(
            "others write it so often that its fields cannot be taken over".to_owned(),
        ))
    }
}
