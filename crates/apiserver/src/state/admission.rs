//! What admission hooks see and may do. Hooks are registered when the server is built.

use std::cell::RefCell;

use serde_json::Value;

use crate::model::status::ApiError;
use crate::model::user::User;

/// What a request is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new object (also an apply that creates).
    Create,
    /// A changed object (replace, patch, apply, `/status`, `/scale`).
    Update,
    /// A removed object.
    Delete,
}

/// One request in front of the hooks.
#[derive(Debug)]
pub struct Review<'a> {
    /// Who asks.
    pub user: &'a User,
    /// The object's API group, empty for the core.
    pub group: &'a str,
    /// The version that the request speaks.
    pub version: &'a str,
    /// The object's kind.
    pub kind: &'a str,
    /// The object's namespace, empty for cluster-scoped ones.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// `status`, `scale`, or nothing.
    pub subresource: Option<&'a str>,
    /// What is about to happen.
    pub operation: Operation,
    /// The object as it is stored now, for updates and deletes.
    pub old: Option<&'a Value>,
    /// Nothing will be stored.
    pub dry_run: bool,
    pub(crate) warnings: &'a RefCell<Vec<String>>,
}

impl Review<'_> {
    /// Adds a sentence to the answer's `Warning` headers.
    pub fn warn(&self, message: impl Into<String>) {
        self.warnings.borrow_mut().push(message.into());
    }
}

/// A hook into writes; called in the order of registration.
///
/// The hooks may be called for every kind: look at `review.group` and `review.kind` first.
/// They run inside the request and may run again when a write races with another,
/// so they must be quick and without effects.
pub trait Admission: Send + Sync + 'static {
    /// Whether the hook is about such writes at all: what a hook has filled in is read anew.
    fn concerns(&self, _review: &Review<'_>) -> bool {
        true
    }

    /// May change the object before it is validated (not called for deletes).
    fn mutate(&self, _review: &Review<'_>, _object: &mut Value) -> Result<(), ApiError> {
        Ok(())
    }

    /// May refuse the object; for deletes it is the object that goes.
    fn validate(&self, _review: &Review<'_>, _object: &Value) -> Result<(), ApiError> {
        Ok(())
    }
}
