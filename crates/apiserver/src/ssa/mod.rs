//! Implements server-side apply: who owns which field, and what an apply or an update makes of it.
//!
//! The model is Kubernetes' structured-merge-diff with its field manager on top,
//! reimplemented over JSON values and [`Schema`](crate::schema::Schema):
//!
//! - [`Set`]: a set of field paths, with the `FieldsV1` codec;
//! - typed walks over a schema: the field set of an object, merge, compare, removal;
//! - managers: the entries of `metadata.managedFields`;
//! - [`apply`] and [`update`]: what a request does to object and owners.
//!
//! Everything is pure. Where it stands in a request, as in the real API server:
//!
//! ```text
//! apply:  apply(live, applied) -> default -> mutate (admission) -> prune, validate -> settle
//! others: decode, prune, default -> update(live, new) -> mutate (admission) -> validate -> settle
//! ```
//!
//! Owners are computed **before** admission: what a webhook fills in belongs to nobody.
//! [`noop`] comes last: a write that changed nothing but a manager's time is no change.

mod apply;
mod compare;
mod conflict;
mod fields_v1;
mod managers;
mod merge;
mod noop;
mod path;
mod prune;
mod reconcile;
mod remove;
mod scale;
mod set;
#[cfg(test)]
mod tests;
mod typed;
mod update;

pub use apply::{ApplyError, ApplyOptions, apply};
pub use conflict::{Conflict, Conflicts};
pub use managers::Operation;
pub use noop::noop;
pub use path::{Path, PathElement};
pub use remove::extract;
pub use scale::Scale;
pub use set::Set;
pub use typed::fits;
pub use update::{UpdateOptions, update};

pub use reset::ResetFields;
mod reset;
