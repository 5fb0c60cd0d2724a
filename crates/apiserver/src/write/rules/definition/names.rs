//! The names of a definition and of its kind.

use serde_json::Value;

use super::super::list;
use crate::json::object;
use crate::model::names;
use crate::model::status::Cause;

pub(super) use names::label_1035 as label;

/// A text with everything that is wrong with it in one sentence.
pub(super) fn joined(field: impl Into<String>, text: &str, wrong: Vec<String>) -> Option<Cause> {
    (!wrong.is_empty()).then(|| Cause::invalid(field, &text.into(), &wrong.join(",")))
}

/// A definition is named after what it defines.
pub(super) fn own(definition: &Value) -> Vec<Cause> {
    let text = |path: &str| object::text_at(definition, path);
    let expected = format!("{}.{}", text("spec.names.plural"), text("spec.group"));
    ["generateName", "name"]
        .into_iter()
        .filter_map(|key| {
            let given = object::meta_str(definition, key);
            let is_wrong = !given.is_empty() && given != expected;
            is_wrong.then(|| {
                Cause::invalid(
                    format!("metadata.{key}"),
                    &given.into(),
                    "must be spec.names.plural+\".\"+spec.group",
                )
            })
        })
        .collect()
}

pub(super) fn group(group: &str) -> Option<Cause> {
    let field = "spec.group";
    if group.is_empty() {
        return Some(Cause::required(field, ""));
    }
    joined(field, group, names::subdomain(group)).or_else(|| {
        let why = "should be a domain with at least one dot";
        (!group.contains('.')).then(|| Cause::invalid(field, &group.into(), why))
    })
}

pub(super) fn names(definition: &Value) -> Vec<Cause> {
    let text = |key: &str| object::text_at(definition, &format!("spec.names.{key}"));
    let field = |key: &str| format!("spec.names.{key}");
    let keys = ["plural", "singular", "kind", "listKind"];
    let mut causes: Vec<Cause> = keys
        .iter()
        .filter(|key| text(key).is_empty())
        .map(|key| Cause::required(field(key), ""))
        .collect();
    for key in keys {
        let name = text(key);
        if name.is_empty() {
            continue;
        }
        if matches!(key, "plural" | "singular") {
            causes.extend(joined(field(key), &name, label(&name)));
            continue;
        }
        let wrong = label(&name.to_lowercase());
        if !wrong.is_empty() {
            let why = format!(
                "may have mixed case, but should otherwise match: {}",
                wrong.join(",")
            );
            causes.push(Cause::invalid(field(key), &name.into(), &why));
        }
    }
    let kind = text("kind");
    if !kind.is_empty() && kind == text("listKind") {
        let why = "kind and listKind may not be the same";
        causes.push(Cause::invalid(field("listKind"), &kind.into(), why));
    }
    for key in ["shortNames", "categories"] {
        let all = list(definition, &field(key));
        for (at, name) in all.iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            causes.extend(joined(format!("{}[{at}]", field(key)), name, label(name)));
        }
    }
    causes
}
