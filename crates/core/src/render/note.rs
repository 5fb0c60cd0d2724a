//! What rendering left out, or refused, and where it stands in Git.

use std::fmt;

use crate::api::object::ObjectKey;
use crate::manifest::Origin;

/// Something that is not wanted as Git says it, with its place: file, line, object and field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file, and the line of the field.
    pub origin: Origin,
    /// The object.
    pub object: ObjectKey,
    /// The field, such as `metadata.ownerReferences[0]`.
    pub field: String,
    /// What became of it, and why.
    pub remark: Remark,
}

/// What became of an object or a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The object is left out: the cluster has no such kind.
    NoSuchKind {
        /// As the manifest has it.
        api_version: String,
    },
    /// The object is left out: it is outside this namespace, the Delivery's own, and the Delivery may not write there.
    Outside(String),
    /// The field is left out: an owner by an identity that the cluster does not have. The server would collect the
    /// object as soon as it is written.
    LostOwner {
        /// Its place in the list.
        index: usize,
        /// Kind and name.
        owner: String,
    },
}

impl Remark {
    /// Whether the object is not delivered at all, which a person should mend.
    pub fn refuses(&self) -> bool {
        match self {
            Self::NoSuchKind { .. } | Self::Outside(_) => true,
            Self::LostOwner { .. } => false,
        }
    }

    /// The path of the field that it is about.
    pub(super) fn path(&self, object: &ObjectKey) -> Vec<String> {
        let path: &[&str] = match self {
            Self::NoSuchKind { .. } => &["apiVersion"],
            Self::Outside(_) if object.namespace.is_none() => &["kind"],
            Self::Outside(_) => &["metadata", "namespace"],
            Self::LostOwner { .. } => &["metadata", "ownerReferences"],
        };
        let mut path: Vec<String> = path.iter().map(|&step| step.to_owned()).collect();
        if let Self::LostOwner { index, .. } = self {
            path.push(index.to_string());
        }
        path
    }
}

impl Note {
    /// What it says without the file, the line and the object.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.field, self.remark)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.object, self.sentence())
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchKind { api_version } => write!(
                f,
                "the cluster has no such kind in {api_version}; install its CustomResourceDefinition or put it in Git"
            ),
            Self::Outside(own) => f.write_str(&outside(own)),
            Self::LostOwner { owner, .. } => write!(
                f,
                "delivered without its owner {owner}, which the cluster does not have by that uid; take metadata.ownerReferences out of the manifest"
            ),
        }
    }
}

/// Why a Delivery of a namespace may not write an object, in words.
pub fn outside(own: &str) -> String {
    format!(
        "a Delivery in namespace {own} may write only there; move the object or the Delivery, or start the agent with --cluster-wide={own}"
    )
}
