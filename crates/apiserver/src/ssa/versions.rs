//! The versions of a kind, each with its schema: an owner's fields are those of the version that it
//! wrote in.

use serde_json::Value;

use super::typed::{check, told};
use crate::schema::{Schema, TypeRef};

/// The version that a request is in, and those that owners may have written in.
#[derive(Debug, Clone, Copy)]
pub struct Versions<'a> {
    api_version: &'a str,
    schema: &'a Schema,
    others: &'a [Version],
}

/// A version of a kind.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its group and name.
    pub api_version: String,
    /// What its objects may look like.
    pub schema: Schema,
}

impl<'a> Versions<'a> {
    /// A kind whose versions have the same fields.
    #[must_use]
    pub fn alike(schema: &'a Schema) -> Self {
        Self {
            api_version: "",
            schema,
            others: &[],
        }
    }

    /// A kind whose versions have a schema each; the request is in the one that is named.
    #[must_use]
    pub fn each(api_version: &'a str, schema: &'a Schema, all: &'a [Version]) -> Self {
        Self {
            api_version,
            schema,
            others: all,
        }
    }

    /// The schema of the request's version.
    pub(super) fn root(&self) -> TypeRef<'a> {
        self.schema.root()
    }

    /// Whether fields of a version are read as those of the request's.
    pub(super) fn is_own(&self, api_version: &str) -> bool {
        self.others.is_empty() || self.api_version == api_version
    }

    /// The schema of a version.
    pub(super) fn root_of(&self, api_version: &str) -> Result<TypeRef<'a>, String> {
        if self.is_own(api_version) {
            return Ok(self.root());
        }
        let mut others = self.others.iter();
        match others.find(|other| other.api_version == api_version) {
            Some(known) => Ok(known.schema.root()),
            None => Err(format!(
                "request to convert CR to an invalid group/version: {api_version}"
            )),
        }
    }

    /// Reads an object of one version as one of another: only `apiVersion` changes, and it must fit.
    pub(super) fn convert(&self, value: &Value, from: &str, to: &str) -> Result<(), String> {
        if from == to || (self.is_own(from) && self.is_own(to)) {
            return Ok(());
        }
        match check(self.root_of(to)?, value).as_slice() {
            [] => Ok(()),
            faults => Err(told(faults)),
        }
    }

    /// The request's version.
    pub(super) fn own(&self) -> &'a str {
        self.api_version
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::super::{ApplyOptions, ResetFields, UpdateOptions, apply, update};
    use super::*;

    fn version(name: &str, fields: &[&str]) -> Version {
        let fields = fields
            .iter()
            .map(|field| (*field, json!({"type": "string"})));
        let properties: serde_json::Map<String, Value> = fields
            .map(|(field, schema)| (field.to_owned(), schema))
            .collect();
        Version {
            api_version: format!("g/{name}"),
            schema: Schema::from_openapi(&json!({"type": "object", "properties": properties})),
        }
    }

    fn applied(
        all: &[Version],
        live: Option<&Value>,
        name: &str,
        fields: Value,
    ) -> Result<Value, String> {
        let api_version = format!("g/{name}");
        let mut object = fields;
        object["apiVersion"] = api_version.as_str().into();
        let options = ApplyOptions {
            manager: "a",
            force: false,
            subresource: None,
            reset: ResetFields::None,
            now: Timestamp::UNIX_EPOCH,
            may_not_fit: true,
        };
        let own = all
            .iter()
            .find(|version| version.api_version == api_version);
        let versions = Versions::each(&api_version, &own.unwrap().schema, all);
        apply(live, &object, &versions, &options).map_err(|error| error.to_string())
    }

    fn updated(all: &[Version], live: &Value, mut new: Value) -> Value {
        let options = UpdateOptions {
            manager: "u",
            subresource: None,
            reset: ResetFields::None,
            now: Timestamp::UNIX_EPOCH,
        };
        new["apiVersion"] = "g/v2".into();
        let versions = Versions::each("g/v2", &all[1].schema, all);
        update(Some(live), new, &versions, &options)
    }

    #[test]
    fn an_owner_in_a_version_that_cannot_say_the_object_is_forgotten_with_all_others() {
        let live = |all: &[Version]| {
            let mut live = applied(all, None, "v1", json!({"x": "1"})).unwrap();
            live["metadata"]["uid"] = "u1".into();
            live
        };
        let alike = [version("v1", &["x", "y"]), version("v2", &["x", "y"])];
        let told = updated(&alike, &live(&alike), json!({"x": "1", "y": "2"}));
        let owned = |at: usize| told["metadata"]["managedFields"][at]["fieldsV1"].clone();
        assert_eq!(owned(0), json!({"f:x": {}}));
        assert_eq!(owned(1), json!({"f:y": {}}));

        let unlike = [version("v1", &["x"]), version("v2", &["x", "y"])];
        let told = updated(&unlike, &live(&unlike), json!({"x": "1", "y": "2"}));
        assert_eq!(told["metadata"], Value::Null);
    }

    #[test]
    fn what_was_applied_last_is_taken_away_in_the_version_that_it_was_applied_in() {
        let alike = [version("v1", &["x", "y"]), version("v2", &["x", "y"])];
        let live = applied(&alike, None, "v1", json!({"x": "1"})).unwrap();
        let told = applied(&alike, Some(&live), "v2", json!({"y": "1"})).unwrap();
        assert_eq!((&told["x"], &told["y"]), (&Value::Null, &json!("1")));

        let unlike = [version("v1", &["x"]), version("v2", &["x", "y"])];
        let live = applied(&unlike, None, "v1", json!({"x": "1"})).unwrap();
        assert_eq!(
            applied(&unlike, Some(&live), "v2", json!({"y": "1"})).unwrap_err(),
            "failed to prune fields: failed to convert merged object to last applied version: .y: field not declared in schema"
        );
    }
}
