//! A CustomResourceDefinition's names, scope, columns and paths; its schemas are looked at
//! where they are compiled.

use serde_json::Value;

use super::super::metadata::names;
use super::super::object;
use super::super::status::Cause;
use super::{list, named};

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];

pub(super) fn names(definition: &Value) -> Vec<Cause> {
    let text = |path: &str| object::text_at(definition, path);
    let mut causes = Vec::new();
    let group = text("spec.group");
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else {
        causes.extend(named("spec.group", &group, names::subdomain(&group)));
        if !group.contains('.') {
            causes.push(Cause::invalid(
                "spec.group",
                &group.into(),
                "should be a domain with at least one dot",
            ));
        }
    }
    let scope = text("spec.scope");
    if !matches!(scope.as_str(), "Cluster" | "Namespaced") {
        causes.push(if scope.is_empty() {
            Cause::required("spec.scope", "")
        } else {
            Cause::not_supported("spec.scope", &scope.into(), &["Cluster", "Namespaced"])
        });
    }
    for (key, is_kind) in [
        ("plural", false),
        ("singular", false),
        ("kind", true),
        ("listKind", true),
    ] {
        let field = format!("spec.names.{key}");
        let name = text(&field);
        if name.is_empty() {
            continue;
        }
        let held_against = if is_kind {
            name.to_lowercase()
        } else {
            name.clone()
        };
        let wrong = names::label_1035(&held_against);
        let wrong = if is_kind {
            wrong
                .into_iter()
                .map(|why| format!("may have mixed case, but should otherwise match: {why}"))
                .collect()
        } else {
            wrong
        };
        causes.extend(named(&field, &name, wrong));
    }
    let versions = list(definition, "spec.versions");
    for (at, version) in versions.iter().enumerate() {
        let name = object::text_at(version, "name");
        let wrong = names::label_1035(&name);
        causes.extend(named(&format!("spec.versions[{at}].name"), &name, wrong));
    }
    for (path, version) in places(versions, "additionalPrinterColumns") {
        causes.extend(columns(version, &path));
    }
    for (path, version) in places(versions, "subresources") {
        causes.extend(scale(version, &path));
    }
    causes
}

/// The versions, each with the path that Kubernetes tells its faults by: what is the same in
/// all of them is one thing, and told once, without the version.
pub fn places<'a>(
    versions: &'a [Value],
    part: &str,
) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let first = versions.first().and_then(|version| version.get(part));
    let same = versions.iter().all(|version| version.get(part) == first);
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

fn columns(version: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (at, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
        let path = format!("{path}.additionalPrinterColumns[{at}]");
        let text = |key: &str| object::text_at(column, key);
        if text("name").is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        let kind = text("type");
        if !COLUMN_TYPES.contains(&kind.as_str()) {
            causes.push(Cause::invalid(
                format!("{path}.type"),
                &kind.into(),
                &format!("must be one of {}", COLUMN_TYPES.join(",")),
            ));
        }
        causes.extend(simple_path(&format!("{path}.JSONPath"), &text("jsonPath")));
    }
    causes
}

fn scale(version: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(scale) = version.pointer("/subresources/scale") {
        for key in ["specReplicasPath", "statusReplicasPath"] {
            let field = format!("{path}.subresources.scale.{key}");
            let given = object::text_at(scale, key);
            if given.is_empty() {
                causes.push(Cause::required(field, ""));
            } else {
                causes.extend(simple_path(&field, &given));
            }
        }
    }
    causes
}

fn simple_path(field: &str, path: &str) -> Option<Cause> {
    if path.is_empty() {
        return Some(Cause::required(field, ""));
    }
    (!path.starts_with('.')).then(|| {
        Cause::invalid(
            field,
            &path.into(),
            "must be a simple json path starting with .",
        )
    })
}
