//! Which ConfigMaps and Secrets a service's template names, and what a plan changes of them.
//!
//! They are no part of a revision: a change of one reaches every revision that names it, some at once (a volume) and some
//! with their next Pod (a variable).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::object::ObjectKey;

use super::live::{Live, LiveObject};
use super::normalize::FieldChange;
use super::service::ServiceIntent;
use super::steps::{Action, Cause, Plan};

/// The longest value that is shown as it is.
const LONGEST: usize = 80;
/// The most lines that are shown of one object.
const LINES: usize = 10;

/// What a plan changes of a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDiff {
    /// The object.
    pub object: ObjectKey,
    /// Line by line: `+data.url: b`, `-data.url: a`; of a Secret only which keys.
    pub lines: Vec<String>,
}

impl ServiceIntent {
    /// Whether its template names this ConfigMap or Secret.
    pub fn names_config(&self, object: &ObjectKey) -> bool {
        object.namespace.as_deref() == Some(self.namespace.as_str())
            && named_configs(&self.template.value())
                .contains(&(object.kind.clone(), object.name.clone()))
    }
}

/// The ConfigMaps and Secrets that a template names, by kind and name: variables, whole environments, volumes and parts of
/// projected ones.
pub fn named_configs(template: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let list = |value: &Value, path: &str| -> Vec<Value> {
        let items = value.pointer(path).and_then(Value::as_array);
        items.cloned().unwrap_or_default()
    };
    let mut name = |kind: &str, named: Option<&Value>| {
        if let Some(name) = named.and_then(Value::as_str) {
            found.insert((kind.to_owned(), name.to_owned()));
        }
    };
    let containers = ["/spec/containers", "/spec/initContainers"];
    for container in containers.iter().flat_map(|path| list(template, path)) {
        for variable in list(&container, "/env") {
            name(
                "ConfigMap",
                variable.pointer("/valueFrom/configMapKeyRef/name"),
            );
            name("Secret", variable.pointer("/valueFrom/secretKeyRef/name"));
        }
        for source in list(&container, "/envFrom") {
            name("ConfigMap", source.pointer("/configMapRef/name"));
            name("Secret", source.pointer("/secretRef/name"));
        }
    }
    for volume in list(template, "/spec/volumes") {
        name("ConfigMap", volume.pointer("/configMap/name"));
        name("Secret", volume.pointer("/secret/secretName"));
        for source in list(&volume, "/projected/sources") {
            name("ConfigMap", source.pointer("/configMap/name"));
            name("Secret", source.pointer("/secret/name"));
        }
    }
    found
}

impl Plan {
    /// What a commit changes of ConfigMaps and Secrets that a service of the plan names. A correction of what a hand
    /// changed is none: it is what the services had before.
    pub fn config_diffs(&self, live: &dyn Live) -> Vec<ConfigDiff> {
        let of_git = self.steps.iter().filter_map(|step| match &step.action {
            Action::Update {
                object,
                changed,
                cause: Cause::Git,
            } if step.key.group.is_empty() => Some((&step.key, object, changed)),
            _ => None,
        });
        let is_named = |key: &ObjectKey| self.services.iter().any(|one| one.names_config(key));
        of_git
            .filter(|(key, ..)| is_named(key))
            .filter_map(|(key, object, changed)| {
                let lines = match key.kind.as_str() {
                    "Secret" => keys(changed),
                    _ => diff(&*live.get(key)?, object),
                };
                let object = key.clone();
                (!lines.is_empty()).then(|| ConfigDiff {
                    object,
                    lines: shortened(lines),
                })
            })
            .collect()
    }
}

/// Which keys of a Secret change: nobody reads their values here.
fn keys(changed: &[FieldChange]) -> Vec<String> {
    let of_data = |change: &&FieldChange| {
        change.path.starts_with(&["data"]) || change.path.starts_with(&["stringData"])
    };
    changed
        .iter()
        .filter(of_data)
        .map(ToString::to_string)
        .collect()
}

fn diff(live: &LiveObject, desired: &Value) -> Vec<String> {
    let before = live.value();
    let mut lines = Vec::new();
    for part in ["data", "binaryData"] {
        let of = |object: &Value| -> serde_json::Map<String, Value> {
            let entries = object.get(part).and_then(Value::as_object);
            entries.cloned().unwrap_or_default()
        };
        let (old, new) = (of(&before), of(desired));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key))
        {
            let mut line = |sign: char, value: Option<&Value>| {
                if let Some(value) = value {
                    lines.push(format!("{sign}{part}.{key}{}", shown(value, part)));
                }
            };
            line('-', old.get(key));
            line('+', new.get(key));
        }
    }
    lines
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    if more > 0 {
        lines.truncate(LINES);
        lines.push(format!("and {more} more lines"));
    }
    lines
}

fn shown(value: &Value, part: &str) -> String {
    let text = value.as_str().unwrap_or_default();
    let is_short = text.chars().count() <= LONGEST && !text.contains('\n');
    if is_short && part == "data" {
        format!(": {text}")
    } else {
        format!(" ({} bytes)", text.len())
    }
}
