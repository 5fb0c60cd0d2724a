//! Bodies in and out: which form a client wants, and reading what it sent.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::model::status::{ApiError, PAGE_NOT_FOUND};

/// The largest body that is taken: Kubernetes' own limit.
pub const BODY_LIMIT: usize = 3 * 1024 * 1024;

const WRITTEN: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMS: &str =
    ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The form in which objects are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The objects as they are.
    Plain,
    /// `Table`.
    Table(Meta),
    /// `PartialObjectMetadata`, of one object.
    Metadata(Meta),
    /// `PartialObjectMetadataList`, of a list.
    MetadataList(Meta),
}

/// The version of `meta.k8s.io` that tables and bare metadata come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The usual one.
    V1,
    /// The one before, which is still given to who asks for it.
    V1beta1,
}

impl Meta {
    /// As objects say it.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What the way to a path speaks: Kubernetes' own kinds are reached by a router that knows whole
/// media types only, custom ones are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Objects of Kubernetes' own kinds.
    Objects,
    /// Their collections, which are watched too.
    Collections,
    /// Custom kinds.
    Custom,
}

/// Refuses a client that takes nothing which is spoken there.
pub fn check(headers: &HeaderMap, spoken: Spoken) -> Result<(), ApiError> {
    let streams = match spoken {
        Spoken::Custom => return Ok(()),
        Spoken::Objects => "",
        Spoken::Collections => STREAMS,
    };
    let wanted = wanted(headers);
    let is_known = |choice: &str| {
        let media = choice.split(';').next().unwrap_or_default().trim();
        media == "*/*" || WRITTEN.split(", ").any(|known| known == media)
    };
    if wanted.is_empty() || wanted.split(',').any(is_known) {
        Ok(())
    } else {
        Err(ApiError::no_representation(&format!("{WRITTEN}{streams}")))
    }
}

fn wanted(headers: &HeaderMap) -> &str {
    let accept = headers.get(header::ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// What a client wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The form of the objects.
    pub form: Form,
    /// As YAML and not as JSON.
    pub yaml: bool,
}

/// Picks the form of the `Accept` header that can be given and is wanted most.
pub fn accepted(headers: &HeaderMap) -> Result<Accepted, ApiError> {
    let wanted = wanted(headers);
    if wanted.is_empty() {
        let form = Form::Plain;
        return Ok(Accepted { form, yaml: false });
    }
    let found = clauses(wanted).iter().find_map(Clause::accepted);
    found.ok_or_else(|| ApiError::not_acceptable(WRITTEN))
}

/// One of the choices that an `Accept` header gives.
struct Clause<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let media: Vec<&str> = parts.next()?.split('/').map(str::trim).collect();
        let (kind, subtype) = match media.as_slice() {
            ["*"] => ("*", "*"),
            [kind, subtype] if !subtype.is_empty() => (*kind, *subtype),
            _ => return None,
        };
        let mut quality = 1.0;
        let mut parameters = Vec::new();
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "q" => quality = value.parse().unwrap_or(0.0),
                name => parameters.push((name, value.trim())),
            }
        }
        Some(Self {
            kind,
            subtype,
            quality,
            parameters,
        })
    }

    /// As Kubernetes has it, which is no order: of two each may be before the other.
    fn is_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.kind != "*" && other.kind == "*")
            || (self.subtype != "*" && other.subtype == "*")
    }

    /// What the choice comes to, if it can be given.
    fn accepted(&self) -> Option<Accepted> {
        let yaml = match (self.kind, self.subtype) {
            ("application", "yaml") => true,
            ("application", "json" | "*") | ("*", "*") => false,
            _ => return None,
        };
        let (mut shape, mut group, mut version) = (None, None, None);
        for (name, value) in &self.parameters {
            match *name {
                "as" => shape = Some(*value),
                "g" => group = Some(*value),
                "v" => version = Some(*value),
                "stream" if *value != "watch" => return None,
                _ => {}
            }
        }
        // Whoever names a group or a version wants another form, even where it is not said which.
        if (shape, group, version) == (None, None, None) {
            let form = Form::Plain;
            return Some(Accepted { form, yaml });
        }
        let meta = match (group?, version?) {
            ("meta.k8s.io", "v1") => Meta::V1,
            ("meta.k8s.io", "v1beta1") => Meta::V1beta1,
            _ => return None,
        };
        let form = match shape? {
            "Table" => Form::Table(meta),
            "PartialObjectMetadata" => Form::Metadata(meta),
            "PartialObjectMetadataList" => Form::MetadataList(meta),
            _ => return None,
        };
        Some(Accepted { form, yaml })
    }
}

/// The choices of a header, the one that is wanted most at the front. Where the rule is no order the
/// outcome is the way of sorting: each is put before those that were there.
fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut sorted: Vec<Clause<'_>> = Vec::new();
    for clause in header.split(',').filter_map(Clause::parse) {
        let after = sorted.iter().rev();
        let after = after.take_while(|other| clause.is_before(other)).count();
        sorted.insert(sorted.len() - after, clause);
    }
    sorted
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

/// The answer with its JSON written as YAML.
pub async fn as_yaml(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let text = serde_json::from_slice::<Value>(&bytes)
        .ok()
        .and_then(|value| serde_yaml::to_string(&value).ok());
    let Some(text) = text else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/yaml"),
    );
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
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

/// Adds a `Warning` header in front of those that are there.
pub fn warn_first(response: &mut Response<Body>, warning: String) {
    let header::Entry::Occupied(others) = response.headers_mut().entry(header::WARNING) else {
        return warn(response, &[warning]);
    };
    let (_, others) = others.remove_entry_mult();
    let others: Vec<HeaderValue> = others.collect();
    warn(response, &[warning]);
    for other in others {
        response.headers_mut().append(header::WARNING, other);
    }
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

impl ApiError {
    /// The error as the answer to a request.
    pub fn into_response(self) -> Response<Body> {
        if self.message == PAGE_NOT_FOUND {
            let mut response = Response::new(Body::from(format!("{PAGE_NOT_FOUND}\n")));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            return response;
        }
        let mut response = Response::new(Body::from(self.to_status().to_string()));
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        warn(&mut response, &self.details.warnings);
        if let Some(seconds) = self.details.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Result<Form, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        accepted(&headers).map(|accepted| accepted.form)
    }

    #[test]
    fn the_first_form_that_can_be_given_is_given() {
        assert_eq!(form("application/json"), Ok(Form::Plain));
        assert_eq!(
            form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok(Form::Table(Meta::V1))
        );
        assert_eq!(
            form("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            Ok(Form::Table(Meta::V1beta1))
        );
        assert_eq!(
            form("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"),
            Ok(Form::Plain)
        );
        assert_eq!(form("application/json;v=v1").unwrap_err().code, 406);
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json"),
            Ok(Form::Plain)
        );
        assert_eq!(
            form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Ok(Form::MetadataList(Meta::V1))
        );
        assert_eq!(
            form("application/vnd.kubernetes.protobuf")
                .unwrap_err()
                .code,
            406
        );
    }

    #[test]
    fn what_is_wanted_most_is_given() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let is_table = |accept: String| matches!(form(&accept), Ok(Form::Table(_)));
        assert!(is_table(format!("application/json;q=0.5, {table}")));
        assert!(!is_table(format!("application/json, {table}")));
        assert!(!is_table(format!("{table};q=0.1, application/json;q=0.2")));
        assert!(!is_table(format!("{table};q=odd, application/json;q=0.2")));
        // What is said precisely comes before what is not, however little it is wanted.
        assert!(is_table(format!("*/*, {table};q=0.1")));
        assert!(is_table(format!("application/*, {table};q=0.1")));
        assert_eq!(form("*"), Ok(Form::Plain));
        for nothing in ["json", "application/", "application/json/x", " "] {
            assert_eq!(form(nothing).unwrap_err().code, 406, "{nothing:?}");
        }
        assert_eq!(form("application/json;stream=watch"), Ok(Form::Plain));
        assert_eq!(form("application/json;stream=odd").unwrap_err().code, 406);
    }

    #[tokio::test]
    async fn yaml_is_given_to_who_asks_for_it() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/yaml"));
        assert!(accepted(&headers).unwrap().yaml);
        let answer = as_yaml(json(StatusCode::OK, r#"{"a":{"b":[1]}}"#)).await;
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/yaml");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"a:\n  b:\n  - 1\n");
    }
}
