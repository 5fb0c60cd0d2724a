//! Whether an object is one of the kind that its path names; what is wrong with it is told in
//! Kubernetes' words, which are others for what was sent, patched and applied.

use serde_json::{Map, Value};

use super::decode::{misfit, unfit_patch};
use super::metadata;
use super::write_request::WriteRequest;
use crate::builtin;
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::schemas;
use crate::model::status::{ApiError, Cause};
use crate::wire::patch_type::Patch;
use crate::wire::query::FieldValidation;

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
    let read = read(&resource.published_schema(), &definition, object);
    read.map_err(|why| Fault::Decoding(why.to_string()))
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
        let read = builtin::decode::decode_metadata(resource.schema(), metadata);
        read.map_err(|why| why.to_string())?;
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
