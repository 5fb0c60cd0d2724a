//! A service's ServiceRollout: what is remembered of its releases, and what people ask of them.

use serde_json::{Value, json};

use crate::api::object::ObjectKey;
use crate::api::rollout::{RolloutSpec, RolloutStatus};
use crate::api::{GROUP, VERSION};
use crate::cluster::{Cluster, WriteError};
use crate::plan::{LiveObject, Manager, ServiceIntent, annotations};
use crate::rollout::memory::Memory;

/// The key of a service's ServiceRollout.
pub fn key(intent: &ServiceIntent) -> ObjectKey {
    ObjectKey::namespaced(GROUP, "ServiceRollout", &intent.namespace, &intent.name)
}

/// What was stored last; nothing where there is no ServiceRollout.
pub fn memory(cluster: &Cluster, intent: &ServiceIntent) -> Memory {
    let rollout = cluster.get(&key(intent));
    rollout.map(|live| memory_of(&live)).unwrap_or_default()
}

/// What a ServiceRollout remembers, as far as it can be read.
pub fn memory_of(rollout: &LiveObject) -> Memory {
    Memory::read(rollout.value().get("status").unwrap_or(&Value::Null))
}

/// What people ask for.
pub fn spec(cluster: &Cluster, intent: &ServiceIntent) -> RolloutSpec {
    let rollout = cluster.get(&key(intent));
    rollout
        .and_then(|live| serde_json::from_value(live.value().get("spec")?.clone()).ok())
        .unwrap_or_default()
}

/// Makes the ServiceRollout, with nothing in it.
pub async fn create(cluster: &Cluster, intent: &ServiceIntent) -> Result<(), WriteError> {
    let marks = json!({annotations::DELIVERY: intent.delivery.to_string()});
    let object = object(intent, marks, "spec", json!({}));
    cluster.apply(&object, Manager::Objects).await?;
    Ok(())
}

/// Stores the status, and with it what of the memory this program cannot read.
pub async fn store(
    cluster: &Cluster,
    intent: &ServiceIntent,
    memory: &Memory,
    status: &RolloutStatus,
) -> Result<(), WriteError> {
    let object = object(intent, json!({}), "status", memory.written(status));
    cluster.apply_status(&object).await?;
    Ok(())
}

fn object(intent: &ServiceIntent, marks: Value, part: &str, value: Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "ServiceRollout", part: value, "metadata":
        {"name": intent.name, "namespace": intent.namespace, "annotations": marks}})
}
