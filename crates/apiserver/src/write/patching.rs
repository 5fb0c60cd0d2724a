//! The four kinds of patches.

use serde_json::{Map, Value};

use super::write_request::{By, WriteRequest};
use crate::model::status::ApiError;
use crate::patch::{PatchError, json_patch, merge_patch, strategic_merge_patch};
use crate::wire::patch_type::{Patch, PatchType};
use crate::wire::query::FieldValidation;

use super::{decode, managed};
use crate::json::go_words;
use crate::json::strict_json;

/// A patched object and how its owners are found.
pub struct Patched {
    /// The object.
    pub object: Value,
    /// How its owners are found.
    pub by: By,
}

/// Reads a patch; also the paths of what is in it twice.
pub fn read(form: PatchType, bytes: &[u8]) -> Result<(Patch, Vec<String>), ApiError> {
    if form == PatchType::Apply {
        let applied = decode::yaml(bytes).map_err(|error| {
            ApiError::bad_request(format!(
                "error decoding YAML: error converting YAML to JSON: {error}"
            ))
        })?;
        return match applied.value {
            value @ Value::Object(_) => Ok((Patch::Apply(value), applied.duplicates)),
            Value::Null => Ok((Patch::Apply(Value::Object(Map::new())), Vec::new())),
            other => {
                let found = go_words::kind(&other);
                Err(ApiError::bad_request(format!(
                    "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
                )))
            }
        };
    }
    let sent = strict_json::parse(bytes).map_err(|error| {
        let words = strict_json::go_words(&error, bytes);
        ApiError::bad_request(if form == PatchType::Strategic {
            words
        } else {
            format!("error decoding patch: {words}")
        })
    })?;
    let patch = match form {
        PatchType::Json => Patch::Json(sent.value),
        PatchType::Merge => Patch::Merge(sent.value),
        _ => match sent.value {
            Value::Null => Patch::Strategic(Value::Object(Map::new())),
            other => Patch::Strategic(other),
        },
    };
    Ok((patch, sent.duplicates))
}

/// Applies a patch to the object as the client sees it.
pub fn apply_to(call: &WriteRequest<'_>, seen: &Value, patch: &Patch) -> Result<Patched, ApiError> {
    let object = match patch {
        Patch::Apply(applied) => {
            return Ok(Patched {
                object: managed::apply(call, Some(seen), applied)?,
                by: By::Known,
            });
        }
        Patch::Json(patch) => json_patch(seen, patch),
        // Who does not look for unknown fields has it read only once it is in place of the object.
        Patch::Merge(sent)
            if !sent.is_object()
                && !sent.is_null()
                && call.options.field_validation == FieldValidation::Ignore =>
        {
            return Err(decode::unfit_patch(patch, sent, &decode::no_object(sent)));
        }
        Patch::Merge(patch) => merge_patch(seen, patch),
        Patch::Strategic(patch) if !patch.is_object() => {
            let found = go_words::kind(patch);
            return Err(ApiError::bad_request(format!(
                "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )));
        }
        Patch::Strategic(patch) => {
            strategic_merge_patch(seen, patch, &call.resource.published_schema())
        }
    };
    let object = object.map_err(|error| match error {
        PatchError::BadRequest(why) => ApiError::bad_request(why),
        PatchError::Unprocessable(why) => {
            tracing::debug!(why, "a patch does not apply");
            ApiError::unpatchable()
        }
        PatchError::TooLarge(why) => ApiError::new(413, "RequestEntityTooLarge", why),
        PatchError::Internal(why) => ApiError::plain(500, why),
    })?;
    Ok(Patched {
        object,
        by: By::Update,
    })
}

/// Applies to an object that is not there yet.
pub fn apply_to_nothing(
    call: &WriteRequest<'_>,
    name: &str,
    patch: &Patch,
) -> Result<Patched, ApiError> {
    let Patch::Apply(applied) = patch else {
        return Err(ApiError::not_found(call.resource, name));
    };
    Ok(Patched {
        object: managed::apply(call, None, applied)?,
        by: By::Known,
    })
}
