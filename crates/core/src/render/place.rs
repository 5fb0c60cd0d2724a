//! Where an object goes, and whether its Delivery may write there.

use crate::api::object::ObjectKey;
use crate::api::scope::Scope;
use crate::manifest::{Loaded, Manifest};

use super::destination::Destination;
use super::facts::ClusterFacts;
use super::note::Remark;

/// The places of a Delivery's objects.
pub(super) struct Place<'a, C: ?Sized> {
    to: &'a Destination,
    defined: Vec<Defined>,
    cluster: &'a C,
}

/// A kind that a CustomResourceDefinition among the manifests brings along.
struct Defined {
    group: String,
    kind: String,
    scope: Scope,
}

impl<'a, C: ClusterFacts + ?Sized> Place<'a, C> {
    pub fn new(to: &'a Destination, loaded: &Loaded, cluster: &'a C) -> Self {
        Self {
            to,
            defined: definitions(loaded),
            cluster,
        }
    }

    /// The object's key with the namespace that it goes to, and why it is not delivered, if it is not.
    pub fn of(&self, manifest: &Manifest) -> (ObjectKey, Option<Remark>) {
        let mut key = manifest.key.clone();
        match self.scope(&manifest.api_version, &key) {
            Scope::Unknown => {
                let api_version = manifest.api_version.clone();
                return (key, Some(Remark::NoSuchKind { api_version }));
            }
            Scope::Cluster => key.namespace = None,
            Scope::Namespaced => {
                let own = || self.to.namespace.clone();
                key.namespace.get_or_insert_with(own);
            }
        }
        let own = &self.to.delivery.namespace;
        let outside = (!self.to.admits(&key)).then(|| Remark::Outside(own.clone()));
        (key, outside)
    }

    /// As the cluster knows it, or else a definition that is delivered beside the object.
    fn scope(&self, api_version: &str, key: &ObjectKey) -> Scope {
        match self.cluster.scope_of(api_version, &key.kind) {
            Scope::Unknown => {
                let mut defined = self.defined.iter();
                let found = defined.find(|d| d.group == key.group && d.kind == key.kind);
                found.map_or(Scope::Unknown, |defined| defined.scope)
            }
            known => known,
        }
    }
}

fn definitions(loaded: &Loaded) -> Vec<Defined> {
    let text = |value: Option<&serde_json::Value>| {
        let text = value.and_then(serde_json::Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    loaded
        .objects
        .iter()
        .filter(|manifest| manifest.key.kind == "CustomResourceDefinition")
        .map(|manifest| manifest.value.value())
        .map(|object| Defined {
            group: text(object.pointer("/spec/group")),
            kind: text(object.pointer("/spec/names/kind")),
            scope: match text(object.pointer("/spec/scope")).as_str() {
                "Cluster" => Scope::Cluster,
                _ => Scope::Namespaced,
            },
        })
        .collect()
}
