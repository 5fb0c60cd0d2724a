//! Who else owns the fields that we want to set, and whether to take them.
//!
//! The rule, in one place:
//!
//! | the other manager wrote by | we applied the object before | then |
//! |---|---|---|
//! | an update (`kubectl edit`, a program) | yes | drift: rolled back, and reported |
//! | an update by a person's tool | no | adoption: taken over |
//! | a client-side `kubectl apply` | either | its fields were made ours before (`takeover.rs`) |
//! | an update by any other program | no | conflict: said, left alone |
//! | an apply by `kubectl` | either | as an update by a person's tool |
//! | any other apply | either | conflict: another tool declares that it owns this field |
//! | anything on the `scale` subresource | either | conflict: an autoscaler is at work |
//!
//! The annotation `sluice.dev/force: "true"` takes everything.

use std::fmt;

use jiff::Timestamp;
use kube::core::Status;

use crate::plan::Operation;

/// A field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other field manager.
    pub manager: String,
    /// How it wrote.
    pub operation: Operation,
    /// Through which subresource, where not the object itself.
    pub subresource: Option<String>,
    /// When it last wrote, where known.
    pub at: Option<Timestamp>,
    /// Which field: `.spec.replicas`.
    pub field: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} owns {}",
            self.manager,
            self.field.trim_start_matches('.')
        )
    }
}

/// What we know of the object when a conflict comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConflictRights {
    /// We applied it before.
    pub ours: bool,
    /// It carries `sluice.dev/force: "true"`.
    pub force: bool,
}

/// The conflicts that are not ours to resolve; none of them means: write with force.
pub fn to_respect(conflicts: &[Conflict], standing: ConflictRights) -> Vec<Conflict> {
    conflicts
        .iter()
        .filter(|conflict| !may_take(conflict, standing))
        .cloned()
        .collect()
}

fn may_take(conflict: &Conflict, standing: ConflictRights) -> bool {
    // Our own managers are one hand, and the rollout decides between them.
    if standing.force || crate::plan::is_ours(&conflict.manager) {
        return true;
    }
    if conflict.subresource.is_some() {
        return false;
    }
    match conflict.operation {
        Operation::Apply => conflict.manager == "kubectl",
        Operation::Update => standing.ours || is_a_persons_tool(&conflict.manager),
    }
}

/// Command-line tools: who used them put the object under Git's rule when they put
/// its manifest in Git.
fn is_a_persons_tool(manager: &str) -> bool {
    manager == "kubectl"
        || manager.starts_with("kubectl-")
        || manager == "kn"
        || manager.starts_with("kn-")
        || manager == "oc"
}

/// Reads the causes of a conflict. Their wording is apimachinery's
/// (`managedfields/internal/conflict.go`):
/// `conflict with "kubectl-edit" with subresource "scale" using apps/v1 at 2026-01-02T03:04:05Z`;
/// only an update says `using`.
pub(super) fn read(status: &Status) -> Vec<Conflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .filter_map(|cause| {
            let rest = cause.message.strip_prefix("conflict with \"")?;
            let (manager, rest) = rest.split_once('"')?;
            let (subresource, rest) = match rest.strip_prefix(" with subresource \"") {
                Some(rest) => {
                    let (name, rest) = rest.split_once('"')?;
                    (Some(name.to_owned()), rest)
                }
                None => (None, rest),
            };
            let (operation, at) = match rest.strip_prefix(" using ") {
                Some(rest) => {
                    let at = rest.split_once(" at ").and_then(|(_, at)| at.parse().ok());
                    (Operation::Update, at)
                }
                None => (Operation::Apply, None),
            };
            Some(Conflict {
                manager: manager.to_owned(),
                operation,
                subresource,
                at,
                field: cause.field.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn conflict(message: &str) -> Conflict {
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![StatusCause {
                reason: "FieldManagerConflict".into(),
                message: message.into(),
                field: ".spec.replicas".into(),
            }],
            retry_after_seconds: 0,
        };
        let status = Status::failure("Apply failed with 1 conflict", "Conflict")
            .with_code(409)
            .with_details(details);
        read(&status).remove(0)
    }

    #[test]
    fn the_rule_about_other_managers() {
        let ours = ConflictRights {
            ours: true,
            force: false,
        };
        let new = ConflictRights {
            ours: false,
            force: false,
        };
        for (message, taken_when_ours, taken_when_new) in [
            (
                r#"conflict with "kubectl-edit" using apps/v1 at 2026-01-02T03:04:05Z"#,
                true,
                true,
            ),
            (
                r#"conflict with "kubectl-create" using apps/v1"#,
                true,
                true,
            ),
            (
                r#"conflict with "kn" using serving.knative.dev/v1"#,
                true,
                true,
            ),
            (r#"conflict with "terraform" using apps/v1"#, true, false),
            (r#"conflict with "kubectl""#, true, true),
            (r#"conflict with "kustomize-controller""#, false, false),
            (
                r#"conflict with "kube-controller-manager" with subresource "scale" using apps/v1"#,
                false,
                false,
            ),
            (r#"conflict with "sluice-traffic""#, true, true),
        ] {
            let conflict = conflict(message);
            let taken = |standing| to_respect(std::slice::from_ref(&conflict), standing).is_empty();
            assert_eq!(taken(ours), taken_when_ours, "ours: {message}");
            assert_eq!(taken(new), taken_when_new, "new: {message}");
            assert!(
                taken(ConflictRights {
                    ours: false,
                    force: true
                }),
                "force: {message}"
            );
        }
    }

    #[test]
    fn a_conflict_tells_who_owns_what_since_when() {
        let conflict = conflict(
            r#"conflict with "kubectl-edit" with subresource "scale" using apps/v1 at 2026-01-02T03:04:05Z"#,
        );
        assert_eq!(conflict.to_string(), "kubectl-edit owns spec.replicas");
        assert_eq!(conflict.subresource.as_deref(), Some("scale"));
        assert_eq!(conflict.at, "2026-01-02T03:04:05Z".parse().ok());
    }
}
