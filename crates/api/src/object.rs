//! What names a Kubernetes object, whatever its kind.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Identity of an object across versions of its API: group, kind, namespace and name.
///
/// `serving.knative.dev/Service default/hello`. The version is left out on
/// purpose: the same object read through another version is the same object.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, as in the manifest.
    pub kind: String,
    /// Namespace; `None` for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// A namespaced object's key.
    pub fn namespaced(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// The key of an object as it stands in `value`; `None` where kind or name is missing.
    pub fn of(value: &Value) -> Option<Self> {
        let (group, _) = split_api_version(value.get("apiVersion")?.as_str()?);
        let metadata = value.get("metadata")?;
        Some(Self {
            group: group.to_owned(),
            kind: value.get("kind")?.as_str()?.to_owned(),
            namespace: metadata
                .get("namespace")
                .and_then(Value::as_str)
                .map(str::to_owned),
            name: metadata.get("name")?.as_str()?.to_owned(),
        })
    }
}

impl fmt::Display for ObjectKey {
    /// `Service.serving.knative.dev default/hello`, `ConfigMap default/settings`, `Namespace shop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{}", self.name),
            None => write!(f, " {}", self.name),
        }
    }
}

/// Splits `apps/v1` into (`apps`, `v1`) and `v1` into (``, `v1`).
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Hash of a revision template: what a revision is made of, and nothing else.
///
/// Two commits with the same template have the same hash, so an exact revert is
/// recognised and a quarantine holds until the template itself changes. How it is computed has
/// a version, which its text begins with: `v2-1f3a...`; the first one had none.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct TemplateHash(pub String);

impl TemplateHash {
    /// The version that agents compute now.
    pub const VERSION: u32 = 2;

    /// Names what was computed of a template by the present version.
    pub fn present(digest: &str) -> Self {
        Self(format!("v{}-{digest}", Self::VERSION))
    }

    /// By which version it was computed; that of a text with a prefix that cannot be read is
    /// none that this agent knows.
    pub fn version(&self) -> u32 {
        match self.0.split_once('-') {
            None => 1,
            Some((version, _)) => version
                .strip_prefix('v')
                .and_then(|number| number.parse().ok())
                .unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_prints_as_kubectl_users_would_say_it() {
        let service = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": "hello", "namespace": "default"}});
        assert_eq!(
            ObjectKey::of(&service).unwrap().to_string(),
            "Service.serving.knative.dev default/hello"
        );
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        assert_eq!(
            ObjectKey::of(&namespace).unwrap().to_string(),
            "Namespace shop"
        );
    }

    #[test]
    fn a_template_hash_tells_by_which_version_it_was_computed() {
        for (text, version) in [
            ("00c0ffee00c0ffee", 1),
            ("v2-00c0ffee00c0ffee", 2),
            ("v17-00c0ffee", 17),
            ("sha-00c0ffee", u32::MAX),
        ] {
            assert_eq!(TemplateHash(text.to_owned()).version(), version, "{text}");
        }
        let present = TemplateHash::present("00c0ffee");
        assert_eq!(present.version(), TemplateHash::VERSION);
    }
}
