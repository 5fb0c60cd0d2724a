//! The four kinds of patches.

use serde_json::Value;

use super::patch::{PatchError, json_patch, merge_patch, strategic_merge_patch};
use super::resource::{Origin, Resource};
use super::status::ApiError;
use super::write::{By, Call};
use super::{managed, media, object};

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

/// The types that patches of a resource come in: strategic ones need Go types, so only
/// Kubernetes' own kinds take them.
pub fn accepted(resource: &Resource) -> Vec<&'static str> {
    let mut media = vec![
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ];
    if resource.origin == Origin::BuiltIn && !resource.group.ends_with("knative.dev") {
        media.insert(2, STRATEGIC);
    }
    media
}

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A patched object and how its owners are found.
pub struct Patched {
    /// The object.
    pub object: Value,
    /// How its owners are found.
    pub by: By,
}

/// Reads a patch by its content type.
pub fn read(resource: &Resource, media_type: &str, bytes: &[u8]) -> Result<Patch, ApiError> {
    let json = |what: &str| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|error| ApiError::bad_request(format!("error decoding {what}: {error}")))
    };
    let accepted = accepted(resource);
    match media_type {
        other if !accepted.contains(&other) => {
            Err(ApiError::unsupported_media_type(&accepted.join(", ")))
        }
        "application/json-patch+json" => Ok(Patch::Json(json("patch")?)),
        "application/merge-patch+json" => Ok(Patch::Merge(json("patch")?)),
        STRATEGIC => Ok(Patch::Strategic(json("patch")?)),
        _ => Ok(Patch::Apply(media::yaml(bytes)?)),
    }
}

/// Applies a patch to the object as the client sees it.
pub fn apply_to(call: &Call<'_>, seen: &Value, patch: &Patch) -> Result<Patched, ApiError> {
    let object = match patch {
        Patch::Apply(applied) => {
            return Ok(Patched {
                object: managed::apply(call, Some(seen), applied)?,
                by: By::Apply,
            });
        }
        Patch::Json(patch) => json_patch(seen, patch),
        Patch::Merge(patch) => merge_patch(seen, patch),
        Patch::Strategic(patch) => {
            strategic_merge_patch(seen, patch, &call.resource.published_schema())
        }
    };
    let object = object.map_err(|error| match error {
        PatchError::BadRequest(why) => ApiError::bad_request(why),
        PatchError::Unprocessable(why) => ApiError::new(422, "Invalid", why),
    })?;
    Ok(Patched {
        object,
        by: By::Update,
    })
}

/// Applies to an object that is not there yet.
pub fn apply_to_nothing(call: &Call<'_>, name: &str, patch: &Patch) -> Result<Patched, ApiError> {
    let Patch::Apply(applied) = patch else {
        return Err(ApiError::not_found(call.resource, name));
    };
    let mut object = managed::apply(call, None, applied)?;
    object::set_meta(&mut object, "name", name);
    Ok(Patched {
        object,
        by: By::Apply,
    })
}
