//! One served resource: everything the request path needs to know about a kind.

use std::sync::OnceLock;

use super::status::KindNames;
use super::strategy::Strategy;
use crate::json::jsonpath::JsonPath;
use crate::schema::Schema;

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
    /// It is one of Kubernetes' own, and part of the server.
    BuiltIn,
    /// It was handed in when the server was built: a custom resource to clients.
    HandedIn,
    /// A CustomResourceDefinition.
    Custom,
}

/// What makes the schema of a kind by its group, version and kind; `None` where it does not know it.
pub type SchemaSource = fn(group: &str, version: &str, kind: &str) -> Option<Schema>;

/// A kind's schema; those of kinds that no definition defines are made when they are first asked for.
#[derive(Debug, Clone)]
pub struct SchemaCell {
    made: OnceLock<Schema>,
    source: SchemaSource,
}

impl SchemaCell {
    /// A schema that is made later.
    pub fn made_by(source: SchemaSource) -> Self {
        Self {
            made: OnceLock::new(),
            source,
        }
    }

    /// The schema, made where it is not there yet.
    pub fn get(&self, group: &str, version: &str, kind: &str) -> &Schema {
        self.made.get_or_init(|| self.of(group, version, kind))
    }

    /// The schema of one version of the kind.
    pub fn of(&self, group: &str, version: &str, kind: &str) -> Schema {
        (self.source)(group, version, kind).unwrap_or_else(Schema::untyped)
    }
}

impl From<Schema> for SchemaCell {
    fn from(schema: Schema) -> Self {
        Self {
            made: OnceLock::from(schema),
            source: |_, _, _| None,
        }
    }
}

/// A version of a custom kind.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its group and name.
    pub api_version: String,
    /// What its objects may look like.
    pub schema: Schema,
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
    /// Whether `/scale` is served; of made-up kinds it never is.
    pub scale: bool,
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
    /// The revision since which a custom kind is defined as it is; older objects may be of another form.
    pub since: u64,
    /// What everybody is told who asks for it: that it is deprecated.
    pub warning: Option<String>,
    /// Tells two states of a definition apart; empty for built-in kinds.
    pub fingerprint: String,
    /// Whether a cluster asks a webhook about its writes.
    pub webhook: bool,
    /// What is particular to the kind.
    pub strategy: Strategy,
    /// Built in, handed in or defined by a CRD.
    pub origin: Origin,
}

impl Resource {
    /// Whether it is one of Kubernetes' own kinds, which are Go structs there. All others are
    /// custom resources on a cluster, whose server speaks differently of them now and then.
    pub fn is_kubernetes_own(&self) -> bool {
        self.origin == Origin::BuiltIn
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
