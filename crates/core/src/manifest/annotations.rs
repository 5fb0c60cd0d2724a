//! The annotations by which people tune one object: `sluice.dev/...`. One that is misspelled would else be ignored.

use super::node::{Entry, Node};
use super::schema::{join, nearest};
use super::words::say;
use super::yaml::Wrong;
use crate::api::annotations::PROBES;
use crate::api::dns_names;
use crate::api::object::ObjectKey;
use crate::api::probe::ProbeSetting;
use crate::api::serving;

const PREFIX: &str = "sluice.dev/";
/// What people write, and what it may say; of a policy's name and of probes there is no list.
const PEOPLE_S: [(&str, &[&str]); 9] = [
    ("expand", &["Routes", "Service"]),
    ("force", &["true", "false"]),
    ("policy", &[]),
    ("probe-expected-body", &[]),
    ("probe-expected-status", &[]),
    ("probe-headers", &[]),
    ("probe-method", &[]),
    ("probe-path", &[]),
    ("prune", &["disabled"]),
];
/// What only a Service is read for.
const SERVICE_S: [&str; 2] = ["expand", "policy"];
/// What Sluice writes, and an object that was read out of a cluster may have.
const OURS: [&str; 6] = [
    "attempt",
    "delivery",
    "digest",
    "rolled-back",
    "sync",
    "take-over",
];
const METADATA: [&str; 2] = ["metadata", "annotations"];
const TEMPLATE: [&str; 4] = ["spec", "template", "metadata", "annotations"];

/// What is wrong with them.
pub(super) fn check(object: &Node) -> Vec<Wrong> {
    ours(object, &METADATA)
        .filter_map(|(name, entry)| {
            let field = join("metadata.annotations", &entry.key);
            let value = entry.value.as_str()?;
            if let Some(read) = ProbeSetting::read(&entry.key, value) {
                let refused = read.err()?;
                return Some(Wrong::new(entry.at, say("").quote(refused)).field(field));
            }
            let wrong = |message, hint| Wrong::new(entry.at, message).field(field).hint(hint);
            let Some((_, values)) = PEOPLE_S.iter().find(|(known, _)| *known == name) else {
                if OURS.contains(&name) {
                    return None;
                }
                let near = nearest(name, PEOPLE_S.iter().map(|(known, _)| *known));
                let hint = match near {
                    Some(near) => say("did you mean \"").ours(PREFIX).ours(near).ours("\"?"),
                    None => say("known here: ").ours(known()),
                };
                return Some(wrong(say("unknown annotation"), hint));
            };
            let is_name = || value.split('.').all(dns_names::is_dns_1123_shape);
            if values.contains(&value) || (values.is_empty() && is_name()) {
                return None;
            }
            let message = say("\"").quote(value).ours("\" is not one of its values");
            let near = nearest(value, values.iter().copied());
            let hint = match (near, values) {
                (Some(near), _) => say("did you mean \"").ours(near).ours("\"?"),
                (None, []) => say("write the name of a RolloutPolicy or of a preset"),
                (None, values) => say("write ")
                    .ours(values.join(" or "))
                    .ours(", or remove it"),
            };
            Some(wrong(message, hint))
        })
        .collect()
}

/// Those that stand where nobody reads them: the place's path, and why.
pub(super) fn misplaced(object: &Node, key: &ObjectKey) -> Vec<(Vec<String>, String)> {
    let is_service = key.group == serving::GROUP && key.kind == "Service";
    let on_object = ours(object, &METADATA).filter(|(name, entry)| {
        let read = SERVICE_S.contains(name) || entry.key.starts_with(PROBES);
        read && !is_service
    });
    let why = |entry: &Entry| {
        let kind = &key.kind;
        format!(
            "{} has no effect: only a Knative Service is read for it, not a {kind}",
            entry.key
        )
    };
    let mut found: Vec<_> = on_object
        .map(|(_, entry)| (path(&METADATA, entry), why(entry)))
        .collect();
    let in_template =
        ours(object, &TEMPLATE).filter(|(name, _)| PEOPLE_S.iter().any(|(known, _)| known == name));
    found.extend(in_template.map(|(_, entry)| {
        let why = format!(
            "{} has no effect in spec.template; move it to metadata.annotations",
            entry.key
        );
        (path(&TEMPLATE, entry), why)
    }));
    found
}

fn path(place: &[&str], entry: &Entry) -> Vec<String> {
    let mut path: Vec<String> = place.iter().map(|step| (*step).to_owned()).collect();
    path.push(entry.key.clone());
    path
}

/// Our annotations at a place, by the name behind the prefix.
fn ours<'a>(object: &'a Node, place: &[&str]) -> impl Iterator<Item = (&'a str, &'a Entry)> {
    let annotations = object
        .find(place)
        .map(|(_, annotations)| annotations.entries());
    let entries = annotations.unwrap_or_default().iter();
    entries.filter_map(|entry| Some((entry.key.strip_prefix(PREFIX)?, entry)))
}

fn known() -> String {
    let names: Vec<String> = PEOPLE_S
        .iter()
        .map(|(name, _)| format!("{PREFIX}{name}"))
        .collect();
    names.join(", ")
}
