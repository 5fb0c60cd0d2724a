//! Holds structural schemas: what an object of a kind may look like.
//!
//! One `Schema` serves pruning, defaulting, validation, typed merging (`ssa`),
//! strategic patches and OpenAPI. It is compiled once, from the
//! `openAPIV3Schema` of a CRD or from the published types of a built-in kind,
//! into a flat arena of nodes; after that it never changes, and a clone is one
//! counter. It knows JSON values only: no requests, no store, no clock.

mod compile;
mod correlate;
mod crd_schema_validation;
mod defaulting;
mod embedded;
mod field_error;
mod format;
mod json_schema;
mod list_types;
mod merge_keys;
mod node;
mod numbers;
mod object_meta;
mod openapi_rules;
mod prune;
mod rules;
mod structural;
#[cfg(test)]
mod tests;
mod validate;
mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

pub use field_error::{FieldError, FieldErrorReason};

pub(crate) use merge_keys::{STRUCT, mark};
pub(crate) use node::{Kind, ListType, TypeRef};
pub(crate) use object_meta::from_schemars;

use node::Arena;

/// An immutable structural schema of a whole object, cheap to clone and share.
#[derive(Debug, Clone)]
pub struct Schema {
    arena: Arc<Arena>,
}

/// What a named definition is called in an OpenAPI document: `io.k8s.api.core.v1.Pod`.
pub type Definitions = BTreeMap<String, Value>;

impl Schema {
    /// The schema of a custom resource, from the `openAPIV3Schema` of its CRD version, of which
    /// [`faults`] found none.
    ///
    /// `apiVersion`, `kind` and `metadata` are added as the API server adds them:
    /// metadata is always the full `ObjectMeta`, whatever the CRD says of it.
    #[must_use]
    pub fn from_openapi(schema: &Value) -> Self {
        Self::new(compile::custom_resource(schema))
    }

    /// The schema of a built-in kind from definitions that refer to each other by
    /// `$ref`. They are trusted to be structural: unknown references are any value.
    pub(crate) fn from_definitions(root: &str, definitions: Definitions) -> Self {
        Self::new(compile::definitions(root, definitions))
    }

    /// A schema that knows nothing but the metadata: every value is allowed and its
    /// type is deduced when it is seen (maps granular, lists atomic).
    #[must_use]
    pub fn untyped() -> Self {
        static UNTYPED: LazyLock<Schema> = LazyLock::new(|| Schema::new(compile::untyped()));
        UNTYPED.clone()
    }

    fn new(arena: Arena) -> Self {
        Self {
            arena: Arc::new(arena),
        }
    }

    /// The type of the whole object, where typed walks start.
    pub(crate) fn root(&self) -> TypeRef<'_> {
        self.arena.root()
    }

    /// Removes the fields that the schema does not know.
    ///
    /// Returns the paths of what was removed, sorted (`spec.foo`,
    /// `spec.list[2].bar`), for the field validation of `Strict` and `Warn`:
    /// `unknown field "spec.foo"`. `apiVersion`, `kind` and `metadata` are never
    /// removed; unknown fields inside `metadata` are, and are reported.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(self.root(), object, true)
    }

    /// Drops the nulls that may not be and have no default, as the API server does when it
    /// decodes. What an apply leaves is not decoded, and keeps them.
    pub fn drop_nulls(&self, object: &mut Value) {
        defaulting::drop_nulls(self.root(), object);
    }

    /// Fills in the schema's defaults where a field is absent (or null and may not be).
    pub fn default(&self, object: &mut Value) {
        defaulting::default(self.root(), object);
    }

    /// Everything that is wrong with the object, worded as Kubernetes words it, but for what it has
    /// twice. What is as it was in the older object is let off.
    #[must_use]
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        validate::validate(self.root(), object, old)
    }

    /// Everything that is wrong with one field of an object: in the words its path begins there.
    #[must_use]
    pub fn validate_field(
        &self,
        name: &str,
        value: &Value,
        old: Option<&Value>,
    ) -> Vec<FieldError> {
        validate::validate_field(self.root(), name, value, old)
    }

    /// What the objects inside of the object (`x-kubernetes-embedded-resource`) do not say of
    /// themselves, or say wrongly.
    #[must_use]
    pub fn embedded_faults(&self, object: &Value) -> Vec<FieldError> {
        embedded::faults(self.root(), object, "")
    }

    /// The first object inside of the object that cannot be read.
    #[must_use]
    pub fn embedded_misfit(&self, object: &Value) -> Option<FieldError> {
        embedded::misfit(self.root(), object, "")
    }

    /// Items that sets and keyed lists of the object have twice.
    #[must_use]
    pub fn duplicates(&self, object: &Value) -> Vec<FieldError> {
        list_types::duplicates(self.root(), object)
    }

    /// The schema as an OpenAPI v3 document publishes it. References are to
    /// `#/components/schemas/NAME`; [`Schema::definitions`] has them.
    #[must_use]
    pub fn to_openapi(&self) -> Value {
        self.arena.openapi().clone()
    }

    /// The named definitions that [`Schema::to_openapi`] refers to.
    #[must_use]
    pub fn definitions(&self) -> &Definitions {
        self.arena.definitions()
    }
}

/// What keeps a schema from being a definition's, worded as Kubernetes words it. `path` is where the
/// schema stands, `has_status` whether the kind's status is written apart.
#[must_use]
pub fn faults(schema: &Value, path: &str, has_status: bool) -> Vec<FieldError> {
    crd_schema_validation::faults(schema, path, has_status)
}

/// The formats of texts in a schema that are not known, in the order of their coming.
#[must_use]
pub fn unknown_formats(schema: &Value) -> Vec<&str> {
    let mut unknown = Vec::new();
    json_schema::each(schema, &mut |schema| {
        let format = json_schema::text(schema, "format");
        let is_text = json_schema::text(schema, "type") == "string";
        if is_text && !format.is_empty() && !format::is_known(format) && !unknown.contains(&format)
        {
            unknown.push(format);
        }
    });
    unknown
}

/// Whether a schema fills something in, anywhere.
#[must_use]
pub fn has_defaults(schema: &Value) -> bool {
    let mut has = false;
    json_schema::each(schema, &mut |schema| {
        has |= json_schema::given(schema, "default").is_some();
    });
    has
}
