//! Applies the patches of the Kubernetes API: JSON patch, merge patch, strategic merge patch.
//!
//! Pure: an object and a patch in, a new object or the server's words out. Server-side
//! apply is not a patch of this kind; it has a module of its own (`ssa`).

mod element_order;
mod json;
mod merge;
mod strategic;
mod strategic_lists;

pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;

/// Why a patch cannot be applied; the message is the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not what its content type says (400 `BadRequest`).
    #[error("{0}")]
    BadRequest(String),
    /// The patch is well formed and does not fit this object (422 `Invalid`); the words are
    /// for logs, clients get the generic ones.
    #[error("{0}")]
    Unprocessable(String),
    /// There is more in the patch than is done at once (413 `RequestEntityTooLarge`).
    #[error("{0}")]
    TooLarge(String),
    /// The merge itself gives up (500, without a reason).
    #[error("{0}")]
    Internal(String),
}
