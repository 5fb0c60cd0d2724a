//! Fields that a request cannot write, and so cannot own.

use std::sync::LazyLock;

use super::path::{Path, PathElement};
use super::set::Set;

/// Which part of an object an endpoint resets to what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetFields {
    /// Nothing: the kind has no status subresource.
    #[default]
    None,
    /// The main endpoint of a kind with a status subresource: `status` is not written.
    Status,
    /// The status endpoint of definitions: all but `status` is not written.
    AllButStatus,
    /// The status endpoint of most kinds: what is said of the metadata is nobody else's either.
    Spec,
    /// The status endpoint of Deployments.
    SpecAndLabels,
    /// The status endpoint of Pods.
    SpecAndOwners,
}

impl ResetFields {
    /// The rule for a request: whether the kind has a status subresource, and through
    /// which subresource the request comes.
    #[must_use]
    pub fn of(has_status_subresource: bool, subresource: Option<&str>) -> Self {
        match (has_status_subresource, subresource) {
            (_, Some("status")) => Self::AllButStatus,
            (true, _) => Self::Status,
            (false, _) => Self::None,
        }
    }

    /// The fields as a set; whatever is below them is meant too.
    pub(super) fn set(self) -> &'static Set {
        static NONE: LazyLock<Set> = LazyLock::new(Set::default);
        static STATUS: LazyLock<Set> = LazyLock::new(|| fields(&[&["status"]]));
        static OTHERS: LazyLock<Set> = LazyLock::new(|| fields(&[&["metadata"], &["spec"]]));
        static SPEC: LazyLock<Set> = LazyLock::new(|| fields(&[&["spec"]]));
        static SPEC_AND_LABELS: LazyLock<Set> =
            LazyLock::new(|| fields(&[&["spec"], &["metadata", "labels"]]));
        static SPEC_AND_OWNERS: LazyLock<Set> = LazyLock::new(|| {
            fields(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ])
        });
        match self {
            Self::None => &NONE,
            Self::Status => &STATUS,
            Self::AllButStatus => &OTHERS,
            Self::Spec => &SPEC,
            Self::SpecAndLabels => &SPEC_AND_LABELS,
            Self::SpecAndOwners => &SPEC_AND_OWNERS,
        }
    }
}

/// Fields that say which object this is, or that the server keeps: never owned.
pub(super) fn identity() -> &'static Set {
    static IDENTITY: LazyLock<Set> = LazyLock::new(|| {
        fields(&[
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ])
    });
    &IDENTITY
}

fn fields(paths: &[&[&str]]) -> Set {
    Set::from_paths(
        paths
            .iter()
            .map(|path| Path(path.iter().map(|name| PathElement::field(name)).collect())),
    )
}
