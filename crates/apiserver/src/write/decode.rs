//! From the bytes of a request to an object of the kind that its path names; what is wrong
//! with them is told in Kubernetes' words.

use serde_json::{Map, Value};

use super::metadata;
use super::write_request::WriteRequest;
use crate::builtin;
use crate::json::go_words;
use crate::json::object;
use crate::json::strict_json::{self, Sent};
use crate::model::resource::Resource;
use crate::model::schemas;
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
            yaml(bytes).map_err(Unread::Syntax)
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
pub fn yaml(bytes: &[u8]) -> Result<Sent, String> {
    strict_json::from(serde_yaml::Deserializer::from_slice(bytes))
        .map_err(|error| format!("yaml: {error}"))
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

/// What an object came as: its faults are told differently.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// It was sent as a whole.
    Body,
    /// It is what a patch made of the live one.
    Patched(&'a Patch),
    /// It is what the apply of this made of the live one.
    Applied(&'a Value),
}

/// Holds the object against its kind: apiVersion and kind, and the types of its fields where
/// Kubernetes reads it into a Go struct. What is fine has its canonical form afterwards.
pub fn check(
    call: &WriteRequest<'_>,
    object: &mut Value,
    source: Source<'_>,
    duplicates: &[String],
) -> Result<(), ApiError> {
    let resource = call.resource;
    if let Source::Patched(patch @ (Patch::Json(_) | Patch::Merge(_))) = source {
        has_identity(resource, patch, object)?;
        if resource.is_kubernetes_own() && said(object, "apiVersion").is_none() {
            return without_version(call, source, object);
        }
    }
    let said = Said::of(resource, object, source);
    match fault(call, &said, source, object, duplicates) {
        Ok(()) => {
            metadata::stamp_identity(resource, object, &said.kind);
            tidy(resource, object, source);
            Ok(())
        }
        Err(Fault::Status(error)) => Err(error),
        Err(Fault::Decoding(why)) => Err(match source {
            Source::Applied(applied) if resource.is_kubernetes_own() => {
                not_convertible(resource, applied, why)
            }
            Source::Body | Source::Applied(_) => {
                let version = said.api_version.rsplit('/').next().unwrap_or_default();
                ApiError::bad_request(format!(
                    "{} in version \"{version}\" cannot be handled as a {}: {why}",
                    said.kind, resource.kind
                ))
            }
            Source::Patched(patch) => unfit_patch(patch, object, &why),
        }),
    }
}

/// What an object says that it is, or is taken for where it does not say.
struct Said {
    api_version: String,
    kind: String,
}

impl Said {
    fn of(resource: &Resource, object: &Value, source: Source<'_>) -> Self {
        if let Source::Patched(Patch::Strategic(_)) = source {
            // What it patches is a Go struct already, whatever it says of itself.
            return Self {
                api_version: resource.api_version(),
                kind: resource.kind.clone(),
            };
        }
        let api_version = match (said(object, "apiVersion"), source) {
            (Some(said), _) => said.to_owned(),
            // What a custom object is, it has to say.
            (None, Source::Body) if !resource.is_kubernetes_own() => String::new(),
            (None, _) => resource.api_version(),
        };
        Self {
            api_version,
            kind: said(object, "kind").unwrap_or(&resource.kind).to_owned(),
        }
    }

    fn group_and_version(&self) -> (&str, &str) {
        self.api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version))
    }
}

fn said<'o>(object: &'o Value, key: &str) -> Option<&'o str> {
    let text = object.get(key).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// Gives the object's metadata its canonical form; what an apply left empty stays there for now.
fn tidy(resource: &Resource, object: &mut Value, source: Source<'_>) {
    match source {
        Source::Applied(_) if !resource.is_kubernetes_own() => {
            let empties = metadata::take_empties(object);
            metadata::tidy(resource, object);
            metadata::put_empties(object, &empties);
        }
        _ => metadata::tidy(resource, object),
    }
}

/// An applied object that the Go struct of its kind does not take, in the words of Kubernetes'
/// converter.
fn not_convertible(resource: &Resource, applied: &Value, why: String) -> ApiError {
    let of_core = if resource.group.is_empty() { "/" } else { "" };
    let what = format!(
        "{of_core}{}, Kind={}",
        resource.api_version(),
        resource.kind
    );
    // What reads itself is not asked how it is written.
    let reads_itself = ["parsing time", "quantities must match"]
        .iter()
        .any(|words| why.starts_with(words))
        || why.ends_with("into Go value of type int32");
    // Numbers are numbers there, and no text.
    let size = why
        .strip_prefix("json: cannot unmarshal number ")
        .filter(|_| !reads_itself)
        .and_then(|rest| rest.rsplit_once(" of type int"));
    let (from_json, why) = match size {
        Some((_, size)) => ("", format!("cannot convert float64 to int{size}")),
        None if reads_itself => ("", why),
        None => ("error decoding from json: ", why),
    };
    ApiError::plain(
        500,
        format!(
            "failed to convert new object ({}/{}; {what}) to proper version: unable to convert unstructured object to {what}: {from_json}{why}",
            object::namespace(applied),
            object::name(applied),
        ),
    )
}

/// What a patch leaves has to say what it is; a custom object all of it.
fn has_identity(resource: &Resource, patch: &Patch, object: &Value) -> Result<(), ApiError> {
    if let Some(misfit) = misfit(object) {
        return Err(unfit_patch(patch, object, &misfit));
    }
    let is_missing = |key: &str| object::text_at(object, key).is_empty();
    if resource.is_kubernetes_own() {
        return Ok(());
    }
    if is_missing("kind") {
        let why = format!("Object 'Kind' is missing in '{object}'");
        return Err(unfit_patch(patch, object, &why));
    }
    // Whom it is about is asked before.
    if is_missing("apiVersion") && !object::name(object).is_empty() {
        // Where a webhook is asked, the way to it is where this is found.
        let why = if resource.webhook {
            format!(
                "Internal error occurred: /, Kind={} is unstructured and is not suitable for converting to \"{}\"",
                object::text_at(object, "kind"),
                resource.api_version()
            )
        } else {
            "Object 'apiVersion' is missing in 'object has no apiVersion field'".to_owned()
        };
        let mut error = ApiError::internal(&why);
        error.details.causes.push(Cause {
            reason: "",
            message: why,
            field: String::new(),
        });
        return Err(error);
    }
    Ok(())
}

/// Go's words where what an object is is no text.
fn misfit(object: &Value) -> Option<String> {
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

/// An object that a patch took the version from is read in the form that the server has inside,
/// whose fields have other names: nothing of it is left.
fn without_version(
    call: &WriteRequest<'_>,
    source: Source<'_>,
    object: &mut Value,
) -> Result<(), ApiError> {
    let shown = std::mem::take(object);
    let unknown = but_identity(&shown, &["apiVersion", "kind"]);
    metadata::stamp_identity(call.resource, object, &call.resource.kind);
    strictly(call, source, &shown, &unknown, &[])
}

/// Why an object is none of its kind.
enum Fault {
    /// Its decoding fails; Kubernetes' words, which are wrapped as its source has it.
    Decoding(String),
    /// It is refused in words of its own.
    Status(ApiError),
}

fn fault(
    call: &WriteRequest<'_>,
    said: &Said,
    source: Source<'_>,
    object: &mut Value,
    duplicates: &[String],
) -> Result<(), Fault> {
    let resource = call.resource;
    if !resource.is_kubernetes_own() {
        custom_fault(resource, source, object).map_err(Fault::Decoding)?;
        return other_version(call, said, source, object, duplicates).map_err(Fault::Status);
    }
    if said.api_version != resource.api_version() || said.kind != resource.kind {
        return Err(Fault::Decoding(no_conversion(call, said)));
    }
    let definition = schemas::component_name(resource);
    let read = match source {
        Source::Applied(_) => builtin::decode::convert,
        _ => builtin::decode::decode,
    };
    read(&resource.published_schema(), &definition, object).map_err(Fault::Decoding)
}

/// What is wrong with the parts of a custom object that are Go structs: its metadata, and objects
/// embedded in it.
fn custom_fault(resource: &Resource, source: Source<'_>, object: &mut Value) -> Result<(), String> {
    if matches!(source, Source::Body) && object.get("apiVersion") == Some(&Value::Null) {
        return Err(
            ".apiVersion accessor error: <nil> is of the type <nil>, expected string".to_owned(),
        );
    }
    if matches!(source, Source::Applied(_)) {
        // It was held against the types of its fields before: only nulls are made something.
        let empties = metadata::take_empties(object);
        if let Some(metadata) = object.get_mut("metadata") {
            let _ = builtin::decode::decode_metadata(resource.schema(), metadata);
        }
        metadata::put_empties(object, &empties);
        return Ok(());
    }
    if let Some(metadata) = object.get_mut("metadata") {
        builtin::decode::decode_metadata(resource.schema(), metadata)?;
    }
    match resource.schema().embedded_misfit(object) {
        Some(misfit) => Err(misfit.to_string()),
        None => Ok(()),
    }
}

/// Why a built-in object that says that it is of another kind cannot be made one of this.
fn no_conversion(call: &WriteRequest<'_>, said: &Said) -> String {
    let Said { api_version, kind } = said;
    let (group, version) = said.group_and_version();
    let is_known = call
        .core
        .registry
        .load()
        .by_kind(group, version, kind)
        .is_some_and(|other| other.is_kubernetes_own());
    if !is_known {
        return format!(
            "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:110\""
        );
    }
    let package = match call.resource.group.split('.').next().unwrap_or_default() {
        "" => "core",
        package => package,
    };
    format!(
        "converting ({version}.{kind}) to ({package}.{}): unknown conversion",
        call.resource.kind
    )
}

/// Refuses a custom object of another version than the path's. Before, it is read as one of its
/// own, and what is unknown in that is told.
fn other_version(
    call: &WriteRequest<'_>,
    said: &Said,
    source: Source<'_>,
    object: &Value,
    duplicates: &[String],
) -> Result<(), ApiError> {
    let expected = call.resource.api_version();
    if said.api_version == expected {
        return Ok(());
    }
    let (group, version) = said.group_and_version();
    let is_ours = group == call.resource.group && said.kind == call.resource.kind;
    if is_ours && matches!(source, Source::Body) {
        let registry = call.core.registry.load();
        let unknown = match registry.by_kind(group, version, &said.kind) {
            Some(other) => schemas::prune(other, &mut object.clone()),
            None => but_identity(object, &["apiVersion", "kind", "metadata"]),
        };
        strictly_in(call, version, source, object, &unknown, duplicates)?;
    }
    Err(ApiError::bad_request(format!(
        "the API version in the data ({}) does not match the expected API version ({expected})",
        said.api_version
    )))
}

/// The names of an object's fields but for those that say what it is.
fn but_identity(object: &Value, identity: &[&str]) -> Vec<String> {
    let fields = object.as_object().into_iter().flat_map(Map::keys);
    fields
        .filter(|field| !identity.contains(&field.as_str()))
        .cloned()
        .collect()
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

/// Says what was dropped or was there twice, as the client wishes.
pub fn strictly(
    call: &WriteRequest<'_>,
    source: Source<'_>,
    object: &Value,
    unknown: &[String],
    duplicates: &[String],
) -> Result<(), ApiError> {
    let version = &call.resource.version;
    strictly_in(call, version, source, object, unknown, duplicates)
}

fn strictly_in(
    call: &WriteRequest<'_>,
    version: &str,
    source: Source<'_>,
    object: &Value,
    unknown: &[String],
    duplicates: &[String],
) -> Result<(), ApiError> {
    if unknown.is_empty() && duplicates.is_empty() {
        return Ok(());
    }
    // Of what is unknown in a Go struct that is said, and not how often it is there.
    let is_unknown = |path: &str| {
        call.resource.is_kubernetes_own()
            && unknown.iter().any(|unknown| {
                path.strip_prefix(unknown.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
    };
    let twice = duplicates
        .iter()
        .filter(|path| !is_unknown(path))
        .map(|path| format!("duplicate field \"{path}\""));
    let dropped = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""));
    let words: Vec<String> = twice.chain(dropped).collect();
    match call.options.field_validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            call.warnings.borrow_mut().extend(words);
            Ok(())
        }
        FieldValidation::Strict => {
            let why = format!("strict decoding error: {}", words.join(", "));
            let resource = call.resource;
            Err(match source {
                Source::Body | Source::Applied(_) => ApiError::bad_request(format!(
                    "{} in version \"{version}\" cannot be handled as a {}: {why}",
                    resource.kind, resource.kind
                )),
                Source::Patched(patch) => unfit_patch(patch, object, &why),
            })
        }
    }
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
