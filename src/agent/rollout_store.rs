//! A service's ServiceRollout: what is remembered of its releases, and what people ask of them.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::object::ObjectKey;
use crate::api::rollout::{RolloutSpec, RolloutStatus};
use crate::api::{GROUP, VERSION};
use crate::cluster::{Cluster, WriteError};
use crate::plan::{LiveObject, Manager, ServiceIntent, annotations};

/// The key of a service's ServiceRollout.
pub fn key(intent: &ServiceIntent) -> ObjectKey {
    ObjectKey::namespaced(GROUP, "ServiceRollout", &intent.namespace, &intent.name)
}

/// What was stored last; nothing where there is no ServiceRollout.
pub fn status(cluster: &Cluster, intent: &ServiceIntent) -> RolloutStatus {
    let rollout = cluster.get(&key(intent));
    rollout
        .and_then(|live| status_of(&live))
        .unwrap_or_default()
}

/// What a ServiceRollout remembers, if it can be read.
pub fn status_of(rollout: &LiveObject) -> Option<RolloutStatus> {
    part(rollout, "status")
}

/// What people ask for.
pub fn spec(cluster: &Cluster, intent: &ServiceIntent) -> RolloutSpec {
    let rollout = cluster.get(&key(intent));
    rollout
        .and_then(|live| part(&live, "spec"))
        .unwrap_or_default()
}

/// Makes the ServiceRollout, with nothing in it.
pub async fn create(cluster: &Cluster, intent: &ServiceIntent) -> Result<(), WriteError> {
    let marks = json!({annotations::DELIVERY: intent.delivery.to_string()});
    let object = object(intent, marks, "spec", json!({}));
    cluster.apply(&object, Manager::Objects).await?;
    Ok(())
}

/// Stores the status.
pub async fn store(
    cluster: &Cluster,
    intent: &ServiceIntent,
    status: &RolloutStatus,
) -> Result<(), WriteError> {
    let object = object(intent, json!({}), "status", json!(status));
    cluster.apply_status(&object).await?;
    Ok(())
}

fn part<T: DeserializeOwned>(rollout: &LiveObject, part: &str) -> Option<T> {
    serde_json::from_value(rollout.value().get(part)?.clone()).ok()
}

fn object(intent: &ServiceIntent, marks: Value, part: &str, value: Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "ServiceRollout", part: value, "metadata":
        {"name": intent.name, "namespace": intent.namespace, "annotations": marks}})
}
