//! Reviews: questions that are answered and never stored. Whoever got in may do
//! everything, so the answers are simple.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::model::user::User;
use crate::wire::media;

/// Answers a review.
pub fn answer(
    resource: &Resource,
    user: &User,
    mut review: Value,
) -> Result<Response<Body>, ApiError> {
    let who = json!({"username": user.name, "groups": user.groups});
    let status = match resource.kind.as_str() {
        "SelfSubjectAccessReview" | "SubjectAccessReview" => {
            json!({"allowed": true, "reason": "whoever is let in may do everything here"})
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "SelfSubjectReview" => json!({"userInfo": who}),
        "TokenReview" => {
            json!({"authenticated": false, "error": "tokens of others are not known here"})
        }
        _ => return Err(ApiError::no_such_path()),
    };
    let map = object::as_map(&mut review);
    map.insert("kind".to_owned(), resource.kind.as_str().into());
    map.insert("apiVersion".to_owned(), resource.api_version().into());
    map.insert("status".to_owned(), status);
    object::default_to(map, "metadata", json!({}));
    Ok(media::json(StatusCode::CREATED, review.to_string()))
}
