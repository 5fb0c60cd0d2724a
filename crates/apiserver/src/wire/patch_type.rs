//! The forms that patches come in, by content type.

use serde_json::Value;

use crate::model::resource::Resource;
use crate::model::status::ApiError;

/// A patch, read.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, with merge keys.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

/// The forms that patches come in, by content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, with merge keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// The types that patches of a resource come in: strategic ones need Go types, so only
/// Kubernetes' own kinds take them.
pub fn accepted(resource: &Resource) -> Vec<&'static str> {
    let mut media = vec![
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ];
    if resource.is_kubernetes_own() {
        media.insert(2, STRATEGIC);
    }
    media
}

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The content types of patches that there are at all.
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    STRATEGIC,
    "application/apply-patch+yaml",
];

/// What form a patch has.
pub fn form(resource: &Resource, media_type: &str) -> Result<PatchType, ApiError> {
    if !PATCHES.contains(&media_type) {
        return Err(ApiError::no_such_media_type());
    }
    let accepted = accepted(resource);
    if !accepted.contains(&media_type) {
        return Err(ApiError::unsupported_media_type(&accepted.join(", ")));
    }
    Ok(match media_type {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        STRATEGIC => PatchType::Strategic,
        _ => PatchType::Apply,
    })
}
