//! Conflicts of an apply, worded as Kubernetes words them.

use std::fmt;

use super::managers::ManagerId;
use super::path::Path;

/// A field that an apply would change and someone else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner, as messages name it: `"kubectl-create" using apps/v1`.
    pub manager: String,
    /// The field: `.spec.replicas`.
    pub field: String,
}

impl Conflict {
    pub(super) fn new(manager: &ManagerId, path: &Path) -> Self {
        Self {
            manager: manager.words(),
            field: path.to_string(),
        }
    }

    /// The reason of its cause in a `Status`.
    pub const REASON: &'static str = "FieldManagerConflict";

    /// The message of its cause in a `Status`.
    #[must_use]
    pub fn message(&self) -> String {
        format!("conflict with {}", self.manager)
    }
}

/// Every conflict of one apply, manager by manager; displays as the message of the
/// `Status` (409 `Conflict`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(
                f,
                "Apply failed with 1 conflict: conflict with {}: {}",
                only.manager, only.field
            );
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        for (index, group) in self
            .0
            .chunk_by(|one, another| one.manager == another.manager)
            .enumerate()
        {
            let newline = if index > 0 { "\n" } else { "" };
            let manager = group.first().map_or("", |conflict| &conflict.manager);
            write!(f, "{newline}conflicts with {manager}:")?;
            for conflict in group {
                write!(f, "\n- {}", conflict.field)?;
            }
        }
        Ok(())
    }
}
