//! The versions of a kind, each with its schema: an owner's fields are those of the version that it
//! wrote in.

use serde_json::Value;

use super::super::schema::{Schema, TypeRef};
use super::typed::{check, told};

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
