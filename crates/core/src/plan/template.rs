//! In which fields a live revision template differs from Git's.
//!
//! Both are compared in their canonical form ([`super::canonical`]). Beyond that, a field of the
//! live template that Git does not have is a difference only where an apply of Git's template
//! would take it away: where it is ours, and nobody else's too. What Knative's webhook fills in
//! belongs to nobody.
//!
//! Where Git's template is the one that we wrote last and nobody wrote a field since, what the field has is what the
//! server made of our write: its webhooks add variables and sidecars, and rewrite images. That is no difference.

use serde_json::{Map, Value};

use crate::api::min_scale;
use crate::api::serving;

use super::canonical;
use super::live::{FieldOwner, LiveObject, is_ours};
use super::manager::Manager;
use super::normalize::{ChangeKind, FieldChange, is_left_out};
use super::path::{FieldPath, PathStep};

/// Where a template is in its object.
const AT: [&str; 2] = ["spec", "template"];

/// Gives the fields in which two templates differ, in both directions.
pub fn changes(desired: &Value, live: &Value) -> Vec<FieldChange> {
    let mut walk = Walk {
        path: FieldPath::fields(&AT).0,
        found: Vec::new(),
    };
    let (wanted, has) = (canonical::template(desired), canonical::template(live));
    walk.value(Some(&wanted), Some(&has));
    for change in &mut walk.found {
        // A default that one of them spells out is no addition to the other.
        let said = match change.kind {
            ChangeKind::Added => says(live, &change.path),
            ChangeKind::Removed => says(desired, &change.path),
            ChangeKind::Changed | ChangeKind::Taken => false,
        };
        if said {
            change.kind = ChangeKind::Changed;
        }
    }
    walk.found
}

/// Gives the differences that are more than what a server may have filled in, by whatever its
/// `config-defaults` say.
pub fn changes_beyond_defaults(desired: &Value, live: &Value) -> Vec<FieldChange> {
    let mut found = changes(desired, live);
    found.retain(|change| change.kind != ChangeKind::Removed || !may_be_filled_in(&change.path));
    found
}

/// Gives the fields in which the template of a live Service or Configuration differs from Git's.
/// `last_written`: Git's template is the one that we wrote last.
pub fn changes_in(desired: &Value, live: &LiveObject, last_written: bool) -> Vec<FieldChange> {
    let has = live.value().pointer("/spec/template").cloned();
    let mut found = changes(desired, &has.unwrap_or_default());
    if found.is_empty() {
        return found;
    }
    let owners = Owners::of(live);
    found.retain(|change| {
        let is_server_s = last_written && owners.is_as_applied(&change.path);
        let stays = change.kind == ChangeKind::Removed && !owners.would_lose(&change.path);
        !is_server_s && !stays
    });
    found
}

/// Says whether a Revision was made from a template; `None` where that hangs on what its server
/// filled in. As Knative has it, labels and annotations do not take part.
pub fn makes_revision(template: &Value, revision: &Value) -> Option<bool> {
    let of = |object: &Value| serde_json::json!({"spec": object.get("spec")});
    let (wanted, has) = (of(template), of(revision));
    if changes(&wanted, &has).is_empty() {
        Some(true)
    } else if changes_beyond_defaults(&wanted, &has).is_empty() {
        None
    } else {
        Some(false)
    }
}

/// Says whether a Revision is what a template gives, labels and annotations included; `None` where
/// it has more than that, which its server or somebody else may have added.
pub fn made_from(template: &Value, revision: &Value) -> Option<bool> {
    let map = |object: &Value, part: &str| -> Map<String, Value> {
        let part = object.pointer(part).and_then(Value::as_object);
        part.cloned().unwrap_or_default()
    };
    let wanted_template = canonical::template(template);
    let mut more = false;
    for part in ["/metadata/labels", "/metadata/annotations"] {
        let (wanted, has) = (map(&wanted_template, part), map(revision, part));
        let mut has = min_scale::without_raised(&has);
        has.retain(|name, _| !canonical::is_mark(name) && !is_of_knative(name));
        if wanted
            .iter()
            .any(|(name, value)| !is_of_knative(name) && has.get(name) != Some(value))
        {
            return Some(false);
        }
        more |= has.keys().any(|name| !wanted.contains_key(name));
    }
    match makes_revision(template, revision) {
        Some(true) if more => None,
        told => told,
    }
}

/// Whether a label or annotation of a Revision is Knative's own.
fn is_of_knative(name: &str) -> bool {
    name.strip_prefix(serving::GROUP)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Who owns what of an object.
struct Owners {
    /// By our own apply.
    applied: Vec<Value>,
    /// By that, or by what it takes over.
    ours: Vec<Value>,
    others: Vec<Value>,
}

impl Owners {
    fn of(live: &LiveObject) -> Self {
        let fields = |owner: &FieldOwner| serde_json::from_str(&owner.fields).unwrap_or_default();
        let (mut applied, mut ours, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for owner in &live.managers {
            let is_applied = owner.manager == Manager::Objects.name();
            if is_applied {
                applied.push(fields(owner));
            }
            if is_applied || owner.is_taken_over() {
                ours.push(fields(owner));
            } else if !is_ours(&owner.manager) {
                others.push(fields(owner));
            }
        }
        Self {
            applied,
            ours,
            others,
        }
    }

    /// Whether nobody has written a field, or the list that it is in, since we applied it.
    fn is_as_applied(&self, path: &FieldPath) -> bool {
        own(&self.applied, path) && !own(&self.others, path)
    }

    /// Whether an apply without a field takes it away.
    fn would_lose(&self, path: &FieldPath) -> bool {
        // A list is written whole, whoever has it.
        let in_a_list = path.0.iter().any(|step| matches!(step, PathStep::Index(_)));
        in_a_list || (own(&self.ours, path) && !own(&self.others, path))
    }
}

fn own(owners: &[Value], path: &FieldPath) -> bool {
    owners.iter().any(|fields| path.is_in(fields))
}

/// Whether a template sets a field to something.
fn says(template: &Value, path: &FieldPath) -> bool {
    let found = path
        .0
        .iter()
        .skip(AT.len())
        .try_fold(template, |at, step| match step {
            PathStep::Field(name) => at.get(name),
            PathStep::Index(index) => at.get(index),
            PathStep::Key(_) => None,
        });
    match (found, path.0.last()) {
        (Some(value), Some(PathStep::Field(name))) => !is_left_out(name, value),
        (Some(value), _) => !value.is_null(),
        (None, _) => false,
    }
}

/// The fields that Knative's webhook fills in, in its `config-defaults`' words or its own.
fn may_be_filled_in(path: &FieldPath) -> bool {
    let steps: Vec<&str> = path
        .0
        .iter()
        .skip(AT.len())
        .filter_map(|step| match step {
            PathStep::Field(name) | PathStep::Key(name) => Some(name.as_str()),
            PathStep::Index(_) => None,
        })
        .collect();
    match steps.as_slice() {
        ["spec", "containers" | "initContainers", field, below @ ..] => {
            matches!(
                (*field, below),
                ("name" | "imagePullPolicy", [])
                    | ("resources", ["limits" | "requests", ..])
                    | ("securityContext", _)
                    | ("readinessProbe", ["tcpSocket", ..])
                    | (
                        "readinessProbe" | "livenessProbe" | "startupProbe",
                        ["successThreshold"
                            | "failureThreshold"
                            | "timeoutSeconds"
                            | "periodSeconds"]
                    )
                    | ("ports", ["protocol" | "name"])
                    | ("volumeMounts", ["readOnly"])
            )
        }
        ["spec", field, ..] => matches!(
            *field,
            "timeoutSeconds"
                | "responseStartTimeoutSeconds"
                | "idleTimeoutSeconds"
                | "containerConcurrency"
                | "enableServiceLinks"
                | "securityContext"
        ),
        _ => false,
    }
}

struct Walk {
    path: Vec<PathStep>,
    found: Vec<FieldChange>,
}

impl Walk {
    fn note(&mut self, kind: ChangeKind) {
        let path = FieldPath(self.path.clone());
        self.found.push(FieldChange { path, kind });
    }

    /// Each field on its own: of what only one side has, its innermost parts are told.
    fn value(&mut self, wanted: Option<&Value>, has: Option<&Value>) {
        let map = |value: Option<&'_ Value>| match value {
            Some(Value::Object(fields)) if !fields.is_empty() => Some(fields.clone()),
            _ => None,
        };
        match (wanted, has) {
            (Some(wanted), Some(has)) if wanted == has => {}
            (Some(Value::Object(wanted)), Some(Value::Object(has))) => {
                self.fields(wanted, has);
            }
            (Some(Value::Array(wanted)), Some(Value::Array(has))) if wanted.len() == has.len() => {
                for (index, (wanted, has)) in wanted.iter().zip(has).enumerate() {
                    self.path.push(PathStep::Index(index));
                    self.value(Some(wanted), Some(has));
                    self.path.pop();
                }
            }
            (Some(_), Some(_)) => self.note(ChangeKind::Changed),
            (Some(_), None) => match map(wanted) {
                Some(wanted) => self.fields(&wanted, &Map::new()),
                None => self.note(ChangeKind::Added),
            },
            (None, Some(_)) => match map(has) {
                Some(has) => self.fields(&Map::new(), &has),
                None => self.note(ChangeKind::Removed),
            },
            (None, None) => {}
        }
    }

    fn fields(&mut self, wanted: &Map<String, Value>, has: &Map<String, Value>) {
        let mut names: Vec<&String> = wanted.keys().chain(has.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            self.path.push(PathStep::Field(name.clone()));
            self.value(wanted.get(name), has.get(name));
            self.path.pop();
        }
    }
}

#[cfg(test)]
#[path = "tests/template.rs"]
mod tests;
