//! The rules of this module as a hook of the API server.

use serde_json::Value;

use super::{GROUP, KINDS, MUTATION_WEBHOOK, VALIDATION_WEBHOOK};
use crate::apiserver::{Admission, ApiError, Operation, Review};

/// Defaults and checks of `serving.knative.dev`, for [`Builder::admission`].
///
/// [`Builder::admission`]: crate::apiserver::Builder::admission
#[derive(Debug, Clone, Copy)]
pub struct ServingWebhook;

/// The request as this module takes it; `None` where it has no rules for it.
///
/// Writes to a status change neither metadata nor spec: there is nothing to check.
fn ours<'a>(review: &'a Review<'_>) -> Option<super::Review<'a>> {
    let operation = match review.operation {
        Operation::Create => super::Operation::Create,
        Operation::Update => super::Operation::Update,
        Operation::Delete => return None,
    };
    let ours =
        review.group == GROUP && KINDS.contains(&review.kind) && review.subresource.is_none();
    ours.then_some(super::Review {
        kind: review.kind,
        operation,
        old: review.old,
        username: &review.user.name,
    })
}

impl Admission for ServingWebhook {
    fn concerns(&self, review: &Review<'_>) -> bool {
        ours(review).is_some()
    }

    fn mutate(&self, review: &Review<'_>, object: &mut Value) -> Result<(), ApiError> {
        if let Some(review) = ours(review) {
            super::fill_defaults(&review, object)
                .map_err(|why| ApiError::denied(MUTATION_WEBHOOK, &super::unreadable(&why)))?;
            // It is read into the type that the path says, and comes back as that.
            if let Some(fields) = object.as_object_mut() {
                fields.insert("kind".to_owned(), review.kind.into());
            }
        }
        Ok(())
    }

    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        let Some(request) = ours(review) else {
            return Ok(());
        };
        let verdict = super::validate(&request, object);
        // A warning is a header, and a header is one line.
        for line in verdict.warnings.iter().flat_map(|text| text.lines()) {
            review.warn(line);
        }
        if verdict.errors.is_empty() {
            return Ok(());
        }
        let why = super::refusal(&verdict.errors);
        Err(ApiError::denied(VALIDATION_WEBHOOK, &why))
    }
}
