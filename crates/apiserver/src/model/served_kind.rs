//! Kinds that are handed in when the server is built.

use super::columns;
use super::kinds;
use super::resource::{Column, Origin, Resource, SchemaCell, SchemaSource};

/// A kind that the server serves from its start without knowing it: it lives in namespaces, has a
/// status and a generation, and is a custom resource to clients, as if a CustomResourceDefinition
/// had defined it.
#[derive(Debug, Clone)]
pub struct ServedKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    columns: Vec<Column>,
    schema: SchemaSource,
    webhook: bool,
}

impl ServedKind {
    /// A kind; `schema` makes its schema, by group, version and kind, when it is first asked for.
    #[must_use]
    pub fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        schema: SchemaSource,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            short_names: &[],
            categories: &[],
            columns: Vec::new(),
            schema,
            webhook: false,
        }
    }

    /// What people type for it.
    #[must_use]
    pub fn short_names(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    /// The groups that it is in, such as `all`.
    #[must_use]
    pub fn categories(mut self, names: &'static [&'static str]) -> Self {
        self.categories = names;
        self
    }

    /// One more column of its tables, behind the name; where there is none its age is shown.
    /// `path` is a JSONPath such as `.status.url`.
    #[must_use]
    pub fn column(mut self, name: &str, kind: &str, path: &str) -> Self {
        self.columns.push(columns::column(name, kind, path));
        self
    }

    /// On a cluster a webhook is asked about each write of it, which some errors tell.
    #[must_use]
    pub fn with_webhook(mut self) -> Self {
        self.webhook = true;
        self
    }

    /// The kind as it is served.
    pub(crate) fn resource(&self) -> Resource {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let mut shown = vec![columns::name()];
        if self.columns.is_empty() {
            shown.push(columns::custom_age_column());
        }
        shown.extend(self.columns.iter().cloned());
        Resource {
            short_names: owned(self.short_names),
            categories: owned(self.categories),
            status: true,
            generation: true,
            columns: shown,
            schema: SchemaCell::made_by(self.schema),
            webhook: self.webhook,
            origin: Origin::HandedIn,
            ..kinds::kind(self.group, self.version, self.kind, self.plural)
        }
    }
}
