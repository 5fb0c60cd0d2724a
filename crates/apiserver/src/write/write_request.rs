//! A write request, read: what all steps of a write go by.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::Value;

use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::model::user::User;
use crate::state::admission::{Operation, Review};
use crate::state::core::{Core, key};
use crate::store::{Key, Stored};
use crate::wire::query::WriteOptions;

/// A write request, read.
pub struct WriteRequest<'a> {
    /// The server.
    pub core: &'a Arc<Core>,
    /// Who writes.
    pub user: &'a User,
    /// The kind.
    pub resource: &'a Resource,
    /// The namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// `status`, `scale`, or nothing.
    pub subresource: Option<&'a str>,
    /// The query's options.
    pub options: WriteOptions,
    /// The field manager where the query names none.
    pub agent: String,
    /// Sentences for the answer's `Warning` headers.
    pub warnings: RefCell<Vec<String>>,
}

/// How the new object came about, which decides who owns its fields.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// Everything that differs from the live object is the writer's.
    Update,
    /// The managers were worked out already, by server-side apply or for a Scale.
    Known,
}

impl WriteRequest<'_> {
    /// The field manager of this write.
    pub fn manager(&self) -> &str {
        self.options
            .field_manager
            .as_deref()
            .unwrap_or(self.agent.as_str())
    }

    /// Where the object of that name is kept.
    pub fn key(&self, name: &str) -> Key {
        key(self.resource, &self.namespace, name)
    }

    /// The object as it is now.
    pub fn live(&self, name: &str) -> Result<Arc<Stored>, ApiError> {
        self.core
            .store
            .get(&self.key(name))
            .ok_or_else(|| ApiError::not_found(self.resource, name))
    }

    /// The hooks' view of this write.
    pub fn review<'b>(
        &'b self,
        name: &'b str,
        operation: Operation,
        old: Option<&'b Value>,
    ) -> Review<'b> {
        Review {
            user: self.user,
            group: &self.resource.group,
            version: &self.resource.version,
            kind: &self.resource.kind,
            namespace: &self.namespace,
            name,
            subresource: self.subresource,
            operation,
            old,
            dry_run: self.options.dry_run,
            warnings: &self.warnings,
        }
    }
}
