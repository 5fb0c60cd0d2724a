//! What a container's environment refers to: ConfigMaps, Secrets, and fields of its Pod.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVarSource, ObjectFieldSelector, Pod, Secret,
};

use super::{Environment, NODE_NAME};
use crate::node::lifecycle::status::ADDRESS;

/// Objects of the Pod's namespace by name.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// Those that exist.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// Those that exist.
    pub secrets: BTreeMap<String, Secret>,
}

/// Names of objects to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}

/// A reference that cannot be resolved; worded as a kubelet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// The ConfigMaps and Secrets that a container's environment refers to.
pub fn needed(container: &Container) -> Names {
    let mut names = Names::default();
    for source in container.env_from.iter().flatten() {
        names
            .config_maps
            .extend(source.config_map_ref.iter().map(|one| one.name.clone()));
        names
            .secrets
            .extend(source.secret_ref.iter().map(|one| one.name.clone()));
    }
    for source in container
        .env
        .iter()
        .flatten()
        .filter_map(|one| one.value_from.as_ref())
    {
        names
            .config_maps
            .extend(source.config_map_key_ref.iter().map(|one| one.name.clone()));
        names
            .secrets
            .extend(source.secret_key_ref.iter().map(|one| one.name.clone()));
    }
    names
}

/// Resolves a field of the Pod, as the downward API does.
pub fn field(pod: &Pod, selector: &ObjectFieldSelector) -> Result<String, ConfigError> {
    let (meta, path) = (&pod.metadata, selector.field_path.as_str());
    let entry = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref()
            .and_then(|map| map.get(key))
            .cloned()
            .unwrap_or_default()
    };
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => listed(meta.labels.as_ref()),
        "metadata.annotations" => listed(meta.annotations.as_ref()),
        "spec.nodeName" => NODE_NAME.to_owned(),
        "spec.serviceAccountName" => spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default(),
        "status.podIP" | "status.podIPs" | "status.hostIP" | "status.hostIPs" => ADDRESS.to_owned(),
        _ => {
            let key = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
            if let Some(key) = key("metadata.labels['") {
                entry(&meta.labels, key)
            } else if let Some(key) = key("metadata.annotations['") {
                entry(&meta.annotations, key)
            } else {
                return Err(ConfigError(format!("unsupported fieldPath: {path}")));
            }
        }
    })
}

/// `key="value"` lines, as a downward API volume has them.
fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Sets what `envFrom` takes over: every key of a ConfigMap or Secret.
pub(super) fn from_whole_objects(
    container: &Container,
    objects: &Objects,
    env: &mut Environment,
) -> Result<(), ConfigError> {
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            match objects.config_maps.get(&reference.name) {
                Some(found) => {
                    for (key, value) in found.data.iter().flatten() {
                        env.set_if_named(&format!("{prefix}{key}"), value.clone());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(missing("configmap", &reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match objects.secrets.get(&reference.name) {
                Some(found) => {
                    for (key, value) in found.data.iter().flatten() {
                        let value = String::from_utf8_lossy(&value.0).into_owned();
                        env.set_if_named(&format!("{prefix}{key}"), value);
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(missing("secret", &reference.name)),
            }
        }
    }
    Ok(())
}

/// The value that `source` points at; `None` when it is optional and not there.
pub(super) fn referred(
    pod: &Pod,
    source: &EnvVarSource,
    objects: &Objects,
) -> Result<Option<String>, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let no_key = |kind: &str, name: &str, key: &str| {
        ConfigError(format!(
            "couldn't find key {key} in {kind} {namespace}/{name}"
        ))
    };
    if let Some(reference) = &source.config_map_key_ref {
        let (name, key) = (&reference.name, &reference.key);
        let found = objects.config_maps.get(name);
        let value = found.and_then(|found| found.data.as_ref()?.get(key));
        return match (value, found) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, _) if reference.optional == Some(true) => Ok(None),
            (None, Some(_)) => Err(no_key("ConfigMap", name, key)),
            (None, None) => Err(missing("configmap", name)),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let (name, key) = (&reference.name, &reference.key);
        let found = objects.secrets.get(name);
        let value = found.and_then(|found| found.data.as_ref()?.get(key));
        return match (value, found) {
            (Some(value), _) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            (None, _) if reference.optional == Some(true) => Ok(None),
            (None, Some(_)) => Err(no_key("Secret", name, key)),
            (None, None) => Err(missing("secret", name)),
        };
    }
    if let Some(selector) = &source.field_ref {
        return field(pod, selector).map(Some);
    }
    let what = if source.resource_field_ref.is_some() {
        "resourceFieldRef"
    } else {
        "this source"
    };
    Err(ConfigError(format!(
        "valueFrom: {what} is not supported by the local node"
    )))
}

/// A kubelet's words for an object that is not there.
pub fn missing(kind: &str, name: &str) -> ConfigError {
    ConfigError(format!("{kind} \"{name}\" not found"))
}
