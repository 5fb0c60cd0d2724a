//! Schemas, subresources, columns and selectable fields. A part that is the same in all versions is one
//! thing to Kubernetes, and told of once, without the version.

use serde_json::Value;

use super::super::list;
use crate::json::object;
use crate::model::status::Cause;
use crate::schema;

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &[
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];
/// More fields than this cannot be selected by.
const MOST_SELECTABLE: usize = 8;

/// The faults of all parts of all versions.
pub(super) fn faults(definition: &Value) -> Vec<Cause> {
    let versions = list(definition, "spec.versions");
    let mut causes = Vec::new();
    let status_of = |version: &Value| version.pointer("/subresources/status").is_some();
    for (path, version) in places(versions, "schema") {
        let (part, has_status) = if path == "spec" {
            // What all versions share has an older name.
            ("validation", versions.iter().any(status_of))
        } else {
            ("schema", status_of(version))
        };
        if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
            let path = format!("{path}.{part}.openAPIV3Schema");
            let faults = schema::faults(schema, &path, has_status);
            causes.extend(faults.into_iter().map(Cause::from));
        }
    }
    for (path, version) in places(versions, "subresources") {
        if let Some(scale) = version.pointer("/subresources/scale") {
            causes.extend(scale_paths(scale, &format!("{path}.subresources.scale")));
        }
    }
    for (path, version) in places(versions, "additionalPrinterColumns") {
        for (at, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
            let path = format!("{path}.additionalPrinterColumns[{at}]");
            causes.extend(self::column(column, &path));
        }
    }
    let has_one_schema = is_shared(versions, "schema");
    for (path, version) in places(versions, "selectableFields") {
        let is_shared = path == "spec";
        let path = format!("{path}.selectableFields");
        let all = list(version, "selectableFields");
        let why = if is_shared {
            "may only be set when validations.schema is included"
        } else {
            "may only be set when `version.schema.openAPIV3Schema` is not included"
        };
        // Fields are looked up in the schema of the same place.
        if all.is_empty() {
            continue;
        } else if is_shared != has_one_schema || version.get("schema").is_none() {
            causes.push(Cause::invalid(path, &"".into(), why));
        } else {
            causes.extend(selectable(version, all, &path));
        }
    }
    causes
}

/// Whether any schema fills something in.
pub(super) fn has_defaults(definition: &Value) -> bool {
    let versions = list(definition, "spec.versions").iter();
    versions
        .filter_map(|version| version.pointer("/schema/openAPIV3Schema"))
        .any(schema::has_defaults)
}

fn is_shared(versions: &[Value], part: &str) -> bool {
    let first = versions.first().and_then(|version| version.get(part));
    versions.iter().all(|version| version.get(part) == first)
}

/// The versions that a part is looked at in, with the path that its faults are told by.
fn places<'a>(
    versions: &'a [Value],
    part: &str,
) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let same = is_shared(versions, part);
    versions
        .iter()
        .take(if same { 1 } else { versions.len() })
        .enumerate()
        .map(move |(at, version)| {
            let path = if same {
                "spec".to_owned()
            } else {
                format!("spec.versions[{at}]")
            };
            (path, version)
        })
}

fn column(column: &Value, path: &str) -> Vec<Cause> {
    let text = |key: &str| object::text_at(column, key);
    let field = |key: &str| format!("{path}.{key}");
    let mut causes = Vec::new();
    if text("name").is_empty() {
        causes.push(Cause::required(field("name"), ""));
    }
    let kind = text("type");
    let one_of = |all: &[&str]| format!("must be one of {}", all.join(","));
    if kind.is_empty() {
        causes.push(Cause::required(field("type"), &one_of(COLUMN_TYPES)));
    } else if !COLUMN_TYPES.contains(&kind.as_str()) {
        let why = one_of(COLUMN_TYPES);
        causes.push(Cause::invalid(field("type"), &kind.into(), &why));
    }
    let format = text("format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format.as_str()) {
        let why = one_of(COLUMN_FORMATS);
        causes.push(Cause::invalid(field("format"), &format.into(), &why));
    }
    causes.extend(simple_path(&field("JSONPath"), &text("jsonPath"), None));
    causes
}

fn scale_paths(scale: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, prefix) in [
        ("specReplicasPath", ".spec."),
        ("statusReplicasPath", ".status."),
    ] {
        let given = object::text_at(scale, key);
        causes.extend(simple_path(&format!("{path}.{key}"), &given, Some(prefix)));
    }
    let selector = object::text_at(scale, "labelSelectorPath");
    if !selector.is_empty() {
        let field = format!("{path}.labelSelectorPath");
        let wrong = simple_path(&field, &selector, None);
        let is_below = [".spec.", ".status."]
            .iter()
            .any(|prefix| selector.starts_with(prefix));
        let why = "should be a json path under either .spec or .status";
        causes.extend(
            wrong.or_else(|| (!is_below).then(|| Cause::invalid(field, &selector.into(), why))),
        );
    }
    causes
}

fn simple_path(field: &str, path: &str, prefix: Option<&str>) -> Option<Cause> {
    if path.is_empty() {
        return Some(Cause::required(field, ""));
    }
    if !path.starts_with('.') {
        let why = "must be a simple json path starting with .";
        return Some(Cause::invalid(field, &path.into(), why));
    }
    let prefix = prefix.filter(|prefix| !path.starts_with(prefix))?;
    let why = format!(
        "should be a json path under {}",
        prefix.trim_end_matches('.')
    );
    Some(Cause::invalid(field, &path.into(), &why))
}

fn selectable(version: &Value, all: &[Value], path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (at, field) in all.iter().enumerate() {
        let place = format!("{path}[{at}].jsonPath");
        let selected = field
            .get("jsonPath")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if selected.is_empty() {
            causes.push(Cause::required(place, ""));
            continue;
        }
        if selected.starts_with(".metadata") {
            let why = "must not point to fields in metadata";
            causes.push(Cause::invalid(&place, &selected.into(), why));
        }
        let Some(field) = find(version, selected) else {
            let why = "is an invalid path: does not refer to a valid field";
            causes.push(Cause::invalid(&place, &selected.into(), why));
            continue;
        };
        let declared = field.get("type").and_then(Value::as_str);
        if !matches!(declared, Some("string" | "boolean" | "integer")) {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.push(Cause::invalid(&place, &selected.into(), why));
        }
        if seen.contains(&selected) {
            causes.push(Cause::duplicate(place, &selected.into()));
        } else {
            seen.push(selected);
        }
    }
    if seen.len() > MOST_SELECTABLE {
        causes.push(Cause {
            reason: "FieldValueTooMany",
            message: format!(
                "Too many: {}: must have at most {MOST_SELECTABLE} items",
                seen.len()
            ),
            field: path.to_owned(),
        });
    }
    causes
}

/// What the schema says of the field at a path of plain names.
fn find<'v>(version: &'v Value, path: &str) -> Option<&'v Value> {
    let mut names = path.trim_start_matches('.').split('.');
    let schema = version.pointer("/schema/openAPIV3Schema")?;
    names.try_fold(schema, |schema, name| schema.get("properties")?.get(name))
}
