//! Walking a document beside its schema: unknown fields, wrong types, missing fields.
//!
//! The schemas are OpenAPI as CRDs and Kubernetes' own types have it; only what helps
//! the writer of a manifest is looked at, the API server has the last word.

use serde_json::Value;

use super::node::{Kind, Node};
use super::words::{Words, say};
use super::yaml::{Wrong, quote_it};
use crate::api::duration::HumanDuration;
use crate::api::probe::{ExpectedStatus, check_path};

/// What is said of a field that the schema does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownFields {
    /// It is refused: the schema is complete.
    Refused,
    /// Only a likely slip of the pen is refused: the cluster may be newer than we are.
    Typos,
}

/// A schema with the definitions that its `$ref`s name.
pub(super) struct Schema {
    pub root: Value,
    pub definitions: Value,
    pub unknown: UnknownFields,
}

impl Schema {
    /// What is wrong in `node`, which stands at `field`.
    pub fn check(&self, node: &Node, field: &str) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        self.walk(node, &self.root, field, &mut wrong);
        wrong
    }

    /// Follows `$ref`, `allOf` with one member, and `anyOf` with `null`.
    fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..16 {
            let next = if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
                let name = name.rsplit('/').next().unwrap_or(name);
                self.definitions.get(name)
            } else if let Some([only]) = list(schema, "allOf") {
                Some(only)
            } else if let Some(any) = list(schema, "anyOf") {
                let mut real = any
                    .iter()
                    .filter(|member| member.get("type").and_then(Value::as_str) != Some("null"));
                match (real.next(), real.next()) {
                    (Some(only), None) => Some(only),
                    _ => None,
                }
            } else {
                None
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn walk(&self, node: &Node, schema: &Value, field: &str, wrong: &mut Vec<Wrong>) {
        // A null is an unset field to the API server, whatever the type.
        if node.is_null() {
            return;
        }
        let schema = self.resolve(schema);
        if flag(schema, "x-kubernetes-int-or-string") {
            match &node.kind {
                Kind::String(text) => string(node, text, schema, field, wrong),
                Kind::Number(number) => range(node, number.as_f64(), schema, field, wrong),
                _ => wrong.push(mismatch(node, field, "a number or a string", None)),
            }
            return;
        }
        match (kind_of(schema), &node.kind) {
            (Some("object"), Kind::Map(_)) => self.map(node, schema, field, wrong),
            (Some("object"), _) => wrong.push(mismatch(node, field, "a map", None)),
            (Some("array"), Kind::List(items)) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.walk(item, inner, &format!("{field}[{index}]"), wrong);
                    }
                }
            }
            (Some("array"), _) => wrong
                .push(mismatch(node, field, "a list", None).hint("begin each entry with \"- \"")),
            (Some("string"), Kind::String(text)) => string(node, text, schema, field, wrong),
            (Some("string"), _) => {
                let quoted = node.written.as_deref().map(quote_it);
                wrong.push(mismatch(node, field, "a string", quoted));
            }
            (Some("integer"), Kind::Number(number)) if !number.is_f64() => {
                range(node, number.as_f64(), schema, field, wrong);
            }
            (Some("number"), Kind::Number(number)) => {
                range(node, number.as_f64(), schema, field, wrong);
            }
            (Some(wanted @ ("integer" | "number")), _) => {
                let bare = node
                    .as_str()
                    .filter(|text| text.parse::<f64>().is_ok())
                    .map(|text| say("remove the quotes: ").quote(text));
                let wanted = match wanted {
                    "integer" => "a whole number",
                    _ => "a number",
                };
                wrong.push(mismatch(node, field, wanted, bare));
            }
            (Some("boolean"), Kind::Bool(_)) => {}
            (Some("boolean"), _) => {
                let bare = node
                    .as_str()
                    .filter(|text| matches!(*text, "true" | "false"))
                    .map(|text| say("remove the quotes: ").quote(text))
                    .or_else(|| Some("write true or false".into()));
                wrong.push(mismatch(node, field, "true or false", bare));
            }
            _ => {}
        }
    }

    fn map(&self, node: &Node, schema: &Value, field: &str, wrong: &mut Vec<Wrong>) {
        let known = schema.get("properties").and_then(Value::as_object);
        let other = schema.get("additionalProperties");
        for entry in node.entries() {
            let inner = known.and_then(|known| known.get(&entry.key));
            let path = join(field, &entry.key);
            match (inner, known, other) {
                (Some(inner), _, _) => self.walk(&entry.value, inner, &path, wrong),
                (None, _, Some(Value::Object(_))) => {
                    if let Some(inner) = other {
                        self.walk(&entry.value, inner, &path, wrong);
                    }
                }
                (None, Some(known), other)
                    if other != Some(&Value::Bool(true))
                        && !flag(schema, "x-kubernetes-preserve-unknown-fields") =>
                {
                    let near = nearest(&entry.key, known.keys().map(String::as_str));
                    if near.is_some() || self.unknown == UnknownFields::Refused {
                        let hint = match near {
                            Some(near) => did_you_mean(near),
                            None => say("known here: ").ours(some(known.keys())),
                        };
                        wrong.push(Wrong::new(entry.at, "unknown field").field(path).hint(hint));
                    }
                }
                _ => {}
            }
        }
        for name in list(schema, "required").into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            if node.get(name).is_none_or(Node::is_null) {
                wrong.push(
                    Wrong::new(node.at, say("\"").ours(name).ours("\" is missing"))
                        .field(field)
                        .hint(say("set ").ours(join(field, name))),
                );
            }
        }
    }
}

fn string(node: &Node, text: &str, schema: &Value, field: &str, wrong: &mut Vec<Wrong>) {
    if let Some(allowed) = list(schema, "enum") {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        if !allowed.is_empty() && !allowed.contains(&text) {
            let hint = match nearest(text, allowed.iter().copied()) {
                Some(near) => did_you_mean(near),
                None => say("write one of: ").ours(allowed.join(", ")),
            };
            wrong.push(
                Wrong::new(
                    node.at,
                    say("\"").quote(text).ours("\" is not one of its values"),
                )
                .field(field)
                .hint(hint),
            );
        }
    }
    // The schemas of HumanDuration, ExpectedStatus and of a probe's path say it by a pattern.
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let refused = match pattern {
        Some(ExpectedStatus::PATTERN) => text.parse::<ExpectedStatus>().err(),
        Some("^/") => check_path(text).err(),
        _ => None,
    };
    if let Some(refused) = refused {
        wrong.push(Wrong::new(node.at, say("").quote(refused)).field(field));
    }
    if pattern.is_some_and(|pattern| pattern.contains("(ms|s|m|h)"))
        && text.parse::<HumanDuration>().is_err()
    {
        wrong.push(
            Wrong::new(node.at, say("\"").quote(text).ours("\" is not a duration"))
                .field(field)
                .hint("write a number with a unit, such as 500ms, 30s, 5m or 1h30m"),
        );
    }
}

fn range(node: &Node, value: Option<f64>, schema: &Value, field: &str, wrong: &mut Vec<Wrong>) {
    let Some(value) = value else { return };
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    let below = limit("minimum").filter(|least| value < *least);
    let above = limit("maximum").filter(|most| value > *most);
    let message = match (below, above) {
        (Some(least), _) => say("")
            .quote(value)
            .ours(" is too small, the least is ")
            .ours(least),
        (_, Some(most)) => say("")
            .quote(value)
            .ours(" is too large, the most is ")
            .ours(most),
        _ => return,
    };
    wrong.push(Wrong::new(node.at, message).field(field));
}

fn did_you_mean(name: &str) -> Words {
    say("did you mean \"").ours(name).ours("\"?")
}

fn mismatch(node: &Node, field: &str, wanted: &'static str, hint: Option<Words>) -> Wrong {
    let wrong = Wrong::new(
        node.at,
        say("it must be ")
            .ours(wanted)
            .ours(", but it is ")
            .ours(node.noun()),
    )
    .field(field);
    match hint {
        Some(hint) => wrong.hint(hint),
        None => wrong,
    }
}

/// The schema's type; of `["string", "null"]` the one that is not null.
fn kind_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        _ => None,
    }
}

fn list<'a>(schema: &'a Value, name: &str) -> Option<&'a [Value]> {
    schema.get(name)?.as_array().map(Vec::as_slice)
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

pub(super) fn join(field: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    match (field.is_empty(), plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{field}.{name}"),
        (_, false) => format!("{field}[\"{name}\"]"),
    }
}

fn some<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    const SHOWN: usize = 10;
    match names.get(..SHOWN) {
        Some(first) if names.len() > SHOWN => format!("{}, ...", first.join(", ")),
        _ => names.join(", "),
    }
}

/// The name that was probably meant: the same but for its case, or two letters away at most.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    // A short name is only one letter away from everything.
    let most = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    known
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(ca != cb))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}
