//! Sluice's own kinds are installed, or brought up to date, and never put back to what they were before.

use serde_json::{Value, json};
use tracing::warn;

use super::AgentError;
use crate::api::crds::{self, DEFINITIONS_VERSION, VERSION_ANNOTATION};
use crate::api::object::ObjectKey;
use crate::cluster::Cluster;
use crate::plan::{Manager, annotations};

/// Installs the kinds that the cluster has not got, or has from an earlier release.
pub(super) async fn install(cluster: &Cluster) -> Result<(), AgentError> {
    let mut definitions = Vec::new();
    for definition in crds::all() {
        let object = json!(definition);
        let Some(key) = ObjectKey::of(&object) else {
            continue;
        };
        let version = object.get("apiVersion").and_then(Value::as_str);
        let known = cluster.refresh(&key, version.unwrap_or_default()).await;
        let known = known.map_err(AgentError::Install)?;
        match known.and_then(|known| later_version(&known.value())) {
            Some(found) => warn!(
                "the definition {} is of version {found}, of a later release of Sluice than this one, which has version \
                 {DEFINITIONS_VERSION}: it is left as it is, so that no field is lost; run that release",
                key.name
            ),
            None => {
                let applied = cluster.apply(&object, Manager::Objects).await;
                applied.map_err(AgentError::Install)?;
            }
        }
        definitions.push(key);
    }
    let served = cluster.await_served(&definitions).await;
    served.map_err(|late| AgentError::NotServed(late.join(", ")))
}

/// The version of a definition in the cluster, where it is of a later release than this one.
fn later_version(definition: &Value) -> Option<u32> {
    let version = annotations::annotation(definition, VERSION_ANNOTATION)?;
    let version = version.parse().ok()?;
    (version > DEFINITIONS_VERSION).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_definition_of_a_later_release_is_left_as_it_is() {
        let of = |version: &str| {
            later_version(&json!({"metadata": {"annotations": {VERSION_ANNOTATION: version}}}))
        };
        assert_eq!(of(&DEFINITIONS_VERSION.to_string()), None);
        assert_eq!(of("0"), None);
        assert_eq!(of("soon"), None);
        assert_eq!(of("4000000000"), Some(4_000_000_000));
        // Definitions had no version at first.
        assert_eq!(later_version(&json!({"metadata": {}})), None);
    }
}
