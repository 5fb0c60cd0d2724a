//! `/openapi/v3` and `/openapi/v2`.

use axum::body::Body;
use http::{HeaderMap, Response};

use super::core::Core;
use super::status::ApiError;

/// `/openapi/v3` and the documents below it.
pub fn v3(_core: &Core, _document: &str, _headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    Err(ApiError::no_such_path())
}

/// `/openapi/v2`: not served; clients fall back to v3.
pub fn v2(_core: &Core, _headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    Err(ApiError::no_such_path())
}
