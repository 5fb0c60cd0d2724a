//! The four kinds of patches.

use serde_json::Value;

use super::object;
use super::status::ApiError;
use super::write::{By, Call};
use super::media;

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

/// The types that patches come in.
const READ: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";

/// A patched object and how its owners are found.
pub struct Patched {
    /// The object.
    pub object: Value,
    /// How its owners are found.
    pub by: By,
}

/// Reads a patch by its content type.
pub fn read(media_type: &str, bytes: &[u8]) -> Result<Patch, ApiError> {
    let json = |what: &str| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|error| ApiError::bad_request(format!("error decoding {what}: {error}")))
    };
    match media_type {
        "application/json-patch+json" => Ok(Patch::Json(json("patch")?)),
        "application/merge-patch+json" => Ok(Patch::Merge(json("patch")?)),
        "application/strategic-merge-patch+json" => Ok(Patch::Strategic(json("patch")?)),
        "application/apply-patch+yaml" => Ok(Patch::Apply(media::yaml(bytes)?)),
        _ => Err(ApiError::unsupported_media_type(READ)),
    }
}

/// Applies a patch to the object as the client sees it.
pub fn apply_to(_call: &Call<'_>, seen: &Value, patch: &Patch) -> Result<Patched, ApiError> {
    let mut object = seen.clone();
    match patch {
        Patch::Json(operations) => {
            let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
            json_patch::patch(&mut object, &operations).map_err(|error| {
                ApiError::new(422, "Invalid", format!("the server rejected our request due to an error in our request: {error}"))
            })?;
        }
        Patch::Merge(patch) | Patch::Strategic(patch) | Patch::Apply(patch) => {
            json_patch::merge(&mut object, patch);
        }
    }
    Ok(Patched {
        object,
        by: By::Update,
    })
}

/// Applies to an object that is not there yet.
pub fn apply_to_nothing(
    call: &Call<'_>,
    name: &str,
    patch: &Patch,
) -> Result<Patched, ApiError> {
    let Patch::Apply(patch) = patch else {
        return Err(ApiError::not_found(call.resource, name));
    };
    let mut object = patch.clone();
    object::set_meta(&mut object, "name", name);
    Ok(Patched {
        object,
        by: By::Update,
    })
}
