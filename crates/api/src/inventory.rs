//! An inventory as it stands in a Delivery's status: small for thousands of objects.
//!
//! A short one has an entry for each object, as every release of Sluice reads it. A long one has
//! an entry for each group, kind and namespace, with the names only: 15,000 objects whose names
//! have twenty letters are 350 kB that way, and 1.5 MB the other. Both forms are read.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::object::ObjectKey;

/// Bytes of an inventory with an entry for each object; a longer one is grouped.
pub const GROUPED_FROM: usize = 128_000;
/// Bytes that an inventory may have in a status. etcd takes 1.5 MiB an object, and the rest of the
/// status, the spec and the managed fields are in it as well.
pub const MOST: usize = 700_000;

/// An object of an inventory, or several of one kind in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, as in the manifest.
    pub kind: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The object's name, where the inventory is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The objects' names, where the inventory is long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl InventoryEntry {
    fn of(key: &ObjectKey) -> Self {
        Self {
            group: key.group.clone(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: Some(key.name.clone()),
            names: Vec::new(),
        }
    }

    fn is_beside(&self, key: &ObjectKey) -> bool {
        (&self.group, &self.kind, &self.namespace) == (&key.group, &key.kind, &key.namespace)
    }

    fn keys(self) -> impl Iterator<Item = ObjectKey> {
        let Self {
            group,
            kind,
            namespace,
            name,
            names,
        } = self;
        name.into_iter().chain(names).map(move |name| ObjectKey {
            group: group.clone(),
            kind: kind.clone(),
            namespace: namespace.clone(),
            name,
        })
    }
}

/// The bytes that an inventory has in a status.
pub fn size(keys: &[ObjectKey]) -> usize {
    bytes(&entries(keys))
}

fn entries(keys: &[ObjectKey]) -> Vec<InventoryEntry> {
    let single: Vec<InventoryEntry> = keys.iter().map(InventoryEntry::of).collect();
    if bytes(&single) <= GROUPED_FROM {
        return single;
    }
    let mut grouped: Vec<InventoryEntry> = Vec::new();
    for key in keys {
        match grouped.last_mut() {
            Some(last) if last.is_beside(key) => last.names.push(key.name.clone()),
            _ => grouped.push(InventoryEntry {
                name: None,
                names: vec![key.name.clone()],
                ..InventoryEntry::of(key)
            }),
        }
    }
    grouped
}

fn bytes(entries: &[InventoryEntry]) -> usize {
    // What cannot be written is not: an entry is text through and through.
    serde_json::to_vec(entries).map_or(usize::MAX, |json| json.len())
}

pub(crate) fn serialize<S: Serializer>(keys: &[ObjectKey], to: S) -> Result<S::Ok, S::Error> {
    entries(keys).serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ObjectKey>, D::Error> {
    let entries = Vec::<InventoryEntry>::deserialize(from)?;
    Ok(entries.into_iter().flat_map(InventoryEntry::keys).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::DeliveryStatus;

    fn keys(number: usize) -> Vec<ObjectKey> {
        let key = |n| {
            let kind = if n % 2 == 0 { "ConfigMap" } else { "Secret" };
            ObjectKey::namespaced(
                "",
                kind,
                &format!("team-{}", n % 5),
                &format!("a-name-of-20-{n:07}"),
            )
        };
        let mut keys: Vec<ObjectKey> = (0..number).map(key).collect();
        keys.sort();
        keys
    }

    fn written(inventory: &[ObjectKey]) -> serde_json::Value {
        let status = DeliveryStatus {
            inventory: inventory.to_vec(),
            ..DeliveryStatus::default()
        };
        serde_json::to_value(status).unwrap()
    }

    #[test]
    fn fifteen_thousand_objects_fit_and_are_read_as_they_were_written() {
        let keys = keys(15_000);
        let value = written(&keys);
        let bytes = value.to_string().len();
        assert!(bytes < 400_000, "{bytes}");
        assert!(size(&keys) <= MOST);
        assert_eq!(value["inventory"].as_array().unwrap().len(), 10);
        let read: DeliveryStatus = serde_json::from_value(value).unwrap();
        assert_eq!(read.inventory, keys);
    }

    #[test]
    fn a_short_inventory_is_written_as_older_agents_read_it() {
        let value = written(&keys(2));
        assert_eq!(
            value["inventory"],
            json!([{"kind": "ConfigMap", "namespace": "team-0", "name": "a-name-of-20-0000000"},
                {"kind": "Secret", "namespace": "team-1", "name": "a-name-of-20-0000001"}])
        );
        let old: Vec<ObjectKey> = serde_json::from_value(value["inventory"].clone()).unwrap();
        assert_eq!(old, keys(2));
    }

    #[test]
    fn an_old_inventory_is_read_however_long_it_is() {
        let keys = keys(10_000);
        let status = json!({"inventory": serde_json::to_value(&keys).unwrap()});
        let read: DeliveryStatus = serde_json::from_value(status).unwrap();
        assert_eq!(read.inventory, keys);
    }

    #[test]
    fn objects_without_a_namespace_and_names_out_of_order_are_kept() {
        let mut keys = keys(3_000);
        keys.reverse();
        keys.push(ObjectKey {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: "shop".to_owned(),
        });
        let read: DeliveryStatus = serde_json::from_value(written(&keys)).unwrap();
        assert_eq!(read.inventory, keys);
    }
}
