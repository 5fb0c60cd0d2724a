//! One served resource: everything the request path needs to know about a kind.

use std::sync::OnceLock;

use super::behaviour::Behaviour;
use super::status::KindNames;
use crate::local::apiserver::json::jsonpath::JsonPath;
use crate::local::apiserver::schema::Schema;
use crate::local::apiserver::ssa::Version;

/// Where the numbers of `/scale` live in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// Dotted path of the wanted count, such as `.spec.replicas`.
    pub spec: String,
    /// Dotted path of the seen count.
    pub status: String,
    /// Dotted path of the label selector, in its text form.
    pub selector: Option<String>,
}

/// A column of the table that `kubectl get` prints.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// `name` for the name column, else usually empty.
    pub format: String,
    /// What the column says.
    pub description: String,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i64,
    /// Where its value is in the object; nothing for computed columns.
    pub path: Option<JsonPath>,
}

/// Where an entry came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the server.
    BuiltIn,
    /// A CustomResourceDefinition.
    Custom,
}

/// A kind's schema; those of built-in kinds are made when they are first asked for.
#[derive(Debug, Clone, Default)]
pub struct SchemaCell(OnceLock<Schema>);

impl SchemaCell {
    /// The schema, made by `make` where it is not there yet.
    pub fn get_or_init(&self, make: impl FnOnce() -> Schema) -> &Schema {
        self.0.get_or_init(make)
    }
}

impl From<Schema> for SchemaCell {
    fn from(schema: Schema) -> Self {
        Self(OnceLock::from(schema))
    }
}

/// A kind as it is served: one entry for each group, version and plural.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The API group, empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The kind of its lists.
    pub list_kind: String,
    /// The name in paths.
    pub plural: String,
    /// The name for one.
    pub singular: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// What people type.
    pub short_names: Vec<String>,
    /// Groups such as `all`.
    pub categories: Vec<String>,
    /// Whether `/status` is served and status is kept from other writes.
    pub status: bool,
    /// Whether `metadata.generation` is kept.
    pub generation: bool,
    /// `/scale`, where it is served.
    pub scale: Option<ScalePaths>,
    /// The columns of its tables.
    pub columns: Vec<Column>,
    /// Fields that field selectors may use, besides name and namespace.
    pub selectable: Vec<String>,
    /// The store's shelf: versions and views of one kind share it.
    pub storage: String,
    /// The apiVersion that objects are stored with.
    pub storage_api_version: String,
    /// What its objects may look like, see [`Resource::schema`].
    pub schema: SchemaCell,
    /// All versions of a custom kind, by which its objects are read from the store.
    pub known: Vec<Version>,
    /// Where each of them has the number of replicas, if it has one.
    pub replicas: Vec<Option<String>>,
    /// The revision since which a custom kind is defined as it is; older objects may be of another form.
    pub since: u64,
    /// What everybody is told who asks for it: that it is deprecated.
    pub warning: Option<String>,
    /// Tells two states of a definition apart; empty for built-in kinds.
    pub fingerprint: String,
    /// What is particular to the kind.
    pub behaviour: Behaviour,
    /// Built in or defined by a CRD.
    pub origin: Origin,
}

impl Resource {
    /// Whether it is one of Kubernetes' own kinds, which are Go structs there. All others,
    /// Knative's among them, are custom resources on a cluster, whose server speaks
    /// differently of them now and then.
    pub fn is_kubernetes_own(&self) -> bool {
        self.origin == Origin::BuiltIn && !self.group.ends_with("knative.dev")
    }

    /// `plural.group`, or the plural alone in the core group.
    pub fn qualified(&self) -> String {
        KindNames::from(self).qualified()
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

impl<'a> From<&'a Resource> for KindNames<'a> {
    fn from(resource: &'a Resource) -> Self {
        Self {
            group: &resource.group,
            kind: &resource.kind,
            plural: &resource.plural,
        }
    }
}

/// `group/version`, or the version alone in the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}
