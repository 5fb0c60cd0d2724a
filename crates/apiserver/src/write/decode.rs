//! From the bytes of a request to an object; what is wrong with them is told in Kubernetes' words.

use serde_json::{Map, Value};

use crate::json::go_words;
use crate::json::strict_json::{self, Sent};
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::wire::patch_type::Patch;
use crate::wire::protobuf;
use crate::wire::query::FieldValidation;

/// Bytes of a body that are quoted in an error.
const QUOTED: usize = 30;

/// Why a body is not even data.
#[derive(Debug)]
pub enum Unread {
    /// Its content type is none that is read here.
    MediaType,
    /// It is not what its content type says; Kubernetes' words.
    Syntax(String),
}

/// Why a text is no YAML.
#[derive(Debug, thiserror::Error)]
#[error("yaml: {0}")]
pub struct YamlError(#[source] serde_yaml::Error);

/// Reads a body by its content type.
pub fn read(media: &str, bytes: &[u8]) -> Result<Sent, Unread> {
    match media {
        "application/json" | "text/plain" | "*/*" => strict_json::parse(bytes).map_err(|error| {
            let words = strict_json::go_words(&error, bytes);
            Unread::Syntax(format!(
                "couldn't get version/kind; json parse error: {words}"
            ))
        }),
        "application/yaml" | "text/yaml" | "application/x-yaml" => {
            yaml(bytes).map_err(|error| Unread::Syntax(error.to_string()))
        }
        "application/vnd.kubernetes.protobuf" => match protobuf::decode(bytes) {
            Ok(value) => Ok(value.into()),
            Err(protobuf::Broken::Malformed(why)) => Err(Unread::Syntax(why.to_owned())),
            Err(protobuf::Broken::Unknown(_)) => Err(Unread::MediaType),
        },
        _ => Err(Unread::MediaType),
    }
}

/// Parses YAML (and so JSON, which it contains).
pub fn yaml(bytes: &[u8]) -> Result<Sent, YamlError> {
    strict_json::from(serde_yaml::Deserializer::from_slice(bytes)).map_err(YamlError)
}

/// Reads a body that is to hold an object of the kind.
pub fn body(
    resource: &Resource,
    subresource: Option<&str>,
    media: &str,
    bytes: &[u8],
    validation: FieldValidation,
) -> Result<Sent, ApiError> {
    let unrecognized = |why: &str| unrecognized(resource, why, bytes);
    // What is a Go struct need not say its kind, and a Scale is one for all kinds.
    let says_kind = !resource.is_kubernetes_own() && subresource != Some("scale");
    let mut sent = read(media, bytes).map_err(|unread| match unread {
        Unread::MediaType => ApiError::unsupported_media_type(readable(resource)),
        Unread::Syntax(why) => unrecognized(&why),
    })?;
    match &sent.value {
        Value::Object(object) => {
            if let Some(misfit) = misfit(&sent.value) {
                return Err(unrecognized(&misfit));
            }
            let kind = object.get("kind").and_then(Value::as_str);
            if says_kind && kind.is_none_or(str::is_empty) {
                return Err(no_kind(resource, validation, bytes));
            }
        }
        Value::Null if !says_kind => {
            sent.value = Value::Object(Map::new());
        }
        Value::Null => return Err(no_kind(resource, validation, bytes)),
        other => {
            return Err(unrecognized(&no_object(other)));
        }
    }
    Ok(sent)
}

/// Go's words for what is no object at all.
pub fn no_object(found: &Value) -> String {
    let found = go_words::kind(found);
    format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )
}

fn unrecognized(resource: &Resource, why: &str, bytes: &[u8]) -> ApiError {
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        resource.kind,
        summary(bytes)
    ))
}

/// A custom object that does not say what it is.
fn no_kind(resource: &Resource, validation: FieldValidation, bytes: &[u8]) -> ApiError {
    let text = String::from_utf8_lossy(bytes);
    let why = format!("Object 'Kind' is missing in '{text}'");
    // Who does not look for unknown fields knows what it was to be.
    match validation {
        FieldValidation::Ignore => ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {why}",
            resource.kind, resource.version, resource.kind
        )),
        _ => unrecognized(resource, &why, bytes),
    }
}

/// The content types that a body of the kind may have.
fn readable(resource: &Resource) -> &'static str {
    if resource.is_kubernetes_own() {
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    } else {
        "application/json, application/yaml"
    }
}

/// The beginning of a body as errors quote it: text where it looks like JSON, else hex.
fn summary(bytes: &[u8]) -> String {
    let quoted = bytes.get(..QUOTED).unwrap_or(bytes);
    let more = if bytes.len() > QUOTED { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(quoted)),
        Some(_) => {
            let hex: String = quoted.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{more}")
        }
    }
}

/// Go's words where what an object is is no text.
pub(super) fn misfit(object: &Value) -> Option<String> {
    ["apiVersion", "kind"].into_iter().find_map(|key| {
        let found = object
            .get(key)
            .filter(|found| !found.is_string() && !found.is_null())?;
        Some(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{key} of type string",
            go_words::kind(found)
        ))
    })
}

/// A patch whose result is none of its kind.
pub fn unfit_patch(patch: &Patch, object: &Value, why: &str) -> ApiError {
    let (shown, why) = match patch {
        Patch::Strategic(patch) => {
            // It never becomes text on its way into the struct: other words.
            let wanted = why
                .starts_with("json: cannot unmarshal")
                .then(|| why.rsplit(' ').next())
                .flatten();
            let why = wanted.map_or(why.to_owned(), |wanted| {
                format!("unrecognized type: {wanted}")
            });
            (strict_json::go_map(patch), why)
        }
        _ => (object.to_string(), why.to_owned()),
    };
    let cause = Cause::invalid("patch", &Value::String(shown), &why);
    ApiError::invalid_as("", "", "", vec![cause])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_quoted_as_kubernetes_quotes_them() {
        assert_eq!(summary(b""), "<empty>");
        assert_eq!(summary(b"{\"a\""), "{\"a\"");
        assert_eq!(summary(b"[]"), "5b5d");
        let long = format!("{{{}", "x".repeat(40));
        assert_eq!(
            summary(long.as_bytes()),
            format!("{{{} ...", "x".repeat(29))
        );
    }

    #[test]
    fn forms_that_are_not_read_here_are_told_apart_from_broken_ones() {
        assert!(matches!(read("text/csv", b"a,b"), Err(Unread::MediaType)));
        assert!(matches!(
            read("application/json", b"{"),
            Err(Unread::Syntax(why)) if why.ends_with("unexpected end of JSON input")
        ));
        assert!(matches!(
            read("application/vnd.kubernetes.protobuf", b"{}"),
            Err(Unread::Syntax(_))
        ));
        let sent = read("application/yaml", b"a: {b: 1, b: 2}").unwrap();
        assert_eq!(
            (&sent.value["a"]["b"], sent.duplicates),
            (&2.into(), vec!["a.b".to_owned()])
        );
    }
}
