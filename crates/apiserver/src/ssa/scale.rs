//! Who owns an object's number of replicas: the object and its Scale are of two kinds, and an owner in one
//! is an owner in the other.
//!
//! Source: the scale handler of `k8s.io/apimachinery/pkg/util/managedfields`.

use std::sync::LazyLock;

use serde_json::Value;

use super::managers::{Entry, Managed};
use super::path::{Path, PathElement};
use super::set::Set;

/// The version of the Scale.
const SCALE: &str = "autoscaling/v1";

static REPLICAS: LazyLock<Path> =
    LazyLock::new(|| Path(["spec", "replicas"].map(PathElement::field).into()));

/// The owners of an object whose number of replicas is written.
#[derive(Debug)]
pub struct Scale {
    api_version: String,
    /// The versions of the object's kind.
    versions: Vec<String>,
    object: Managed,
}

impl Scale {
    /// The owners of an object that is written in this version, of those of its kind.
    ///
    /// # Errors
    /// What is wrong with the object's managed fields.
    pub fn of(
        object: &Value,
        api_version: String,
        versions: impl Into<Vec<String>>,
    ) -> Result<Self, String> {
        Ok(Self {
            api_version,
            versions: versions.into(),
            object: Managed::decode(object)?,
        })
    }

    fn is_known(&self, entry: &Entry) -> bool {
        self.versions.contains(&entry.api_version)
    }

    /// Whether the number is an owner's.
    fn owned(&self, entry: &Entry) -> bool {
        self.is_known(entry) && entry.set.contains(&REPLICAS.0)
    }

    /// Tells a Scale of the owners of its number.
    pub fn tell(&self, scale: &mut Value) {
        let owners = self.object.entries.iter();
        let entries = owners.filter(|entry| self.owned(entry));
        let entries = entries.map(|entry| Entry {
            api_version: SCALE.to_owned(),
            set: Set::from_paths([REPLICAS.clone()]),
            ..entry.clone()
        });
        let managed = Managed {
            entries: entries.collect(),
        };
        managed.encode_into(scale);
    }

    /// Tells the object of the owners that its Scale has by now. Who still owns the number there keeps his
    /// entry; others lose it, and a new owner has an entry of his own, without a time.
    ///
    /// # Errors
    /// What is wrong with the Scale's managed fields.
    pub fn take(&self, scale: &Value, object: &mut Value) -> Result<(), String> {
        let mut of_scale = Managed::decode(scale)?;
        let mut managed = Managed::default();
        for entry in &self.object.entries {
            if !self.is_known(entry) {
                continue;
            }
            let mut entry = entry.clone();
            if self.owned(&entry) && of_scale.take(&entry.id).is_none() {
                entry.set = entry.set.difference(&Set::from_paths([REPLICAS.clone()]));
            }
            managed.put(entry);
        }
        managed.drop_empty();
        for entry in of_scale.entries {
            if entry.set.contains(&REPLICAS.0) {
                // An updater is another one than that of the object's own version, though it is told as the same.
                managed.put(Entry {
                    api_version: self.api_version.clone(),
                    time: None,
                    set: Set::from_paths([REPLICAS.clone()]),
                    ..entry
                });
            }
        }
        managed.encode_into(object);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, version: &str, through: &str, fields: Value) -> Value {
        let mut entry = json!({
            "manager": manager, "operation": operation, "apiVersion": version,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields},
        });
        if !through.is_empty() {
            entry["subresource"] = through.into();
        }
        entry
    }

    fn with(entries: Value) -> Value {
        json!({"metadata": {"managedFields": entries}})
    }

    fn owners(object: &Value) -> Scale {
        Scale::of(object, "g/v1".to_owned(), ["g/v1".to_owned()]).unwrap()
    }

    #[test]
    fn a_scale_has_the_owners_of_the_number() {
        let object = with(json!([
            entry(
                "a",
                "Apply",
                "g/v1",
                "",
                json!({"f:replicas": {}, "f:x": {}})
            ),
            entry("b", "Update", "g/v1", "scale", json!({"f:replicas": {}})),
            entry("c", "Update", "g/v1", "", json!({"f:x": {}})),
            entry("e", "Update", "g/v9", "", json!({"f:replicas": {}})),
        ]));
        let mut scale = json!({});
        owners(&object).tell(&mut scale);
        let expected = with(json!([
            entry("a", "Apply", SCALE, "", json!({"f:replicas": {}})),
            entry("b", "Update", SCALE, "scale", json!({"f:replicas": {}})),
        ]));
        assert_eq!(scale, expected);
    }

    #[test]
    fn who_does_not_own_the_number_any_more_loses_it_in_the_object() {
        let object = with(json!([
            entry(
                "a",
                "Apply",
                "g/v1",
                "",
                json!({"f:replicas": {}, "f:x": {}})
            ),
            entry("b", "Update", "g/v1", "", json!({"f:replicas": {}})),
            entry("e", "Update", "g/v9", "", json!({"f:replicas": {}})),
        ]));
        let scale = with(json!([entry(
            "s",
            "Update",
            SCALE,
            "scale",
            json!({"f:replicas": {}})
        )]));
        let mut told = json!({});
        owners(&object).take(&scale, &mut told).unwrap();
        let expected = with(json!([
            entry("a", "Apply", "g/v1", "", json!({"f:x": {}})),
            entry("s", "Update", "g/v1", "scale", json!({"f:replicas": {}})),
        ]));
        let names = |value: &Value| {
            let entries = value.pointer("/metadata/managedFields").unwrap();
            let mut entries = entries.as_array().unwrap().clone();
            entries.sort_by_key(|entry| entry["manager"].to_string());
            entries
        };
        assert_eq!(names(&told), names(&expected));
    }

    #[test]
    fn an_applier_keeps_its_entry_and_an_updater_gets_another() {
        let fields = json!({"f:replicas": {}, "f:x": {}});
        let object = with(json!([
            entry("a", "Apply", "g/v1", "", fields.clone()),
            entry("u", "Update", "g/v1", "", fields.clone()),
        ]));
        let owners = owners(&object);
        let mut scale = json!({});
        owners.tell(&mut scale);
        let mut told = json!({});
        owners.take(&scale, &mut told).unwrap();
        let expected = with(json!([
            entry("a", "Apply", "g/v1", "", fields),
            entry("u", "Update", "g/v1", "", json!({"f:x": {}})),
            entry("u", "Update", "g/v1", "", json!({"f:replicas": {}})),
        ]));
        assert_eq!(told, expected);
    }
}
