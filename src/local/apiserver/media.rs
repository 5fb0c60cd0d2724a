//! Bodies in and out: which form a client wants, and reading what it sent.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::status::ApiError;

/// The largest body that is taken: Kubernetes' own limit.
pub const BODY_LIMIT: usize = 3 * 1024 * 1024;

const READ: &str = "application/json, application/yaml";

/// The form in which objects are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The objects as they are.
    Plain,
    /// `meta.k8s.io/v1` `Table`.
    Table,
    /// `meta.k8s.io/v1` `PartialObjectMetadata` and its list.
    Metadata,
}

/// Picks the first form of the `Accept` header that can be given.
pub fn accepted(headers: &HeaderMap) -> Result<Form, ApiError> {
    let wanted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if wanted.is_empty() {
        return Ok(Form::Plain);
    }
    for choice in wanted.split(',') {
        let mut parts = choice.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !matches!(
            media,
            "application/json" | "application/*" | "*/*" | "application/yaml" | "text/plain" | ""
        ) {
            continue;
        }
        let mut shape = None;
        let mut meta_v1 = (false, false);
        for part in parts {
            match part.split_once('=') {
                Some(("as", kind)) => shape = Some(kind),
                Some(("g", group)) => meta_v1.0 = group == "meta.k8s.io",
                Some(("v", version)) => meta_v1.1 = version == "v1",
                _ => {}
            }
        }
        match shape {
            None => return Ok(Form::Plain),
            Some("Table") if meta_v1 == (true, true) => return Ok(Form::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList")
                if meta_v1 == (true, true) =>
            {
                return Ok(Form::Metadata);
            }
            Some(_) => {}
        }
    }
    Err(ApiError::not_acceptable("application/json"))
}

/// The content type without its parameters; JSON where there is none.
pub fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .unwrap_or("application/json")
}

/// Reads a body up to the limit.
pub async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::too_large(BODY_LIMIT))
        }
        Err(error) => Err(ApiError::bad_request(format!(
            "the body of the request could not be read: {error}"
        ))),
    }
}

/// Parses a body that holds an object, as JSON or YAML.
pub fn decode(media: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    match media {
        "application/json" | "text/plain" | "*/*" => {
            serde_json::from_slice(bytes).map_err(|error| {
                ApiError::bad_request(format!("the object provided is not valid JSON: {error}"))
            })
        }
        "application/yaml" | "text/yaml" | "application/x-yaml" => yaml(bytes),
        _ => Err(ApiError::unsupported_media_type(READ)),
    }
}

/// Parses YAML (and so JSON, which it contains).
pub fn yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_yaml::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!("the object provided is not valid YAML: {error}"))
    })
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Adds `Warning` headers, worded as RFC 7234 has them and as clients parse them.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        let clean: String = quoted.chars().filter(|c| !c.is_control()).collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{clean}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Result<Form, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        accepted(&headers)
    }

    #[test]
    fn the_first_form_that_can_be_given_is_given() {
        assert_eq!(form("application/json"), Ok(Form::Plain));
        assert_eq!(
            form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok(Form::Table)
        );
        assert_eq!(
            form("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            Ok(Form::Plain)
        );
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json"),
            Ok(Form::Plain)
        );
        assert_eq!(
            form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Ok(Form::Metadata)
        );
        assert_eq!(
            form("application/vnd.kubernetes.protobuf")
                .unwrap_err()
                .code,
            406
        );
    }

    #[test]
    fn protobuf_is_refused_with_words() {
        let error = decode("application/vnd.kubernetes.protobuf", b"k8s\0").unwrap_err();
        assert_eq!((error.code, error.reason), (415, "UnsupportedMediaType"));
    }
}
