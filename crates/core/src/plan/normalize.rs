//! When two ways to write an object mean the same.
//!
//! Git's object is compared with the live one on the fields that Git sets, and
//! only on them (invariant 7: we own what we set). What the server fills in,
//! rewrites or leaves out never shows: quantities (`1000m` is `1`), empty and
//! zero values that it drops, Knative's template defaults, elements that others
//! add to keyed lists.

use std::fmt;

use serde_json::{Map, Value};

use crate::api::object::split_api_version;
use crate::api::quantity;
use crate::api::serving;

use super::live::{FieldOwner, LiveObject};
use super::manager::Manager;
use super::path::{FieldPath, PathStep};
use super::{annotations, knative, takeover};

/// One field in which Git and the cluster differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldChange {
    /// Where: `spec.template.spec.containers[0].image`.
    pub path: FieldPath,
    /// How.
    pub kind: ChangeKind,
}

/// How a field differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Git has it, the cluster does not.
    Added,
    /// Both have it, with other values.
    Changed,
    /// The cluster has it, Git no longer does.
    Removed,
    /// The values agree, but a list of ours now belongs to another field manager.
    Taken,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Changed => '~',
            ChangeKind::Removed => '-',
            ChangeKind::Taken => '!',
        };
        write!(f, "{sign}{}", self.path)
    }
}

/// The fields that Git sets and the live object does not have as Git sets them.
///
/// `ours` is the entry of the field manager that applies `desired`: a list that
/// it no longer owns was rewritten by someone, even where the part that Git
/// sets looks the same.
pub fn changes(desired: &Value, live: &Value, ours: Option<&FieldOwner>) -> Vec<FieldChange> {
    let owned = ours.and_then(|owner| serde_json::from_str(&owner.fields).ok());
    let mut walk = Walk {
        keyed: keyed_lists(desired),
        path: Vec::new(),
        found: Vec::new(),
    };
    walk.value(desired, live, owned.as_ref());
    walk.found
}

/// Whether the live object has everything that Git sets, as Git sets it.
pub fn holds(desired: &Value, live: &LiveObject, manager: &str) -> bool {
    changes(desired, &live.value(), live.owner(manager)).is_empty()
}

/// The labels and annotations that Git sets and the live object does not have as Git sets them,
/// and those that go because a client-side apply set them and Git does not.
pub fn metadata_changes(desired: &Value, live: &LiveObject, manager: Manager) -> Vec<FieldChange> {
    let mut metadata = desired.clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("spec");
    }
    let mut changed = changes(&metadata, &live.value(), None);
    changed.extend(takeover::drops(&metadata, live, manager));
    // What we note of Git is compared by whoever knows how it was computed.
    let digest = ["metadata", "annotations", annotations::DIGEST];
    changed
        .retain(|change| !change.path.starts_with(&["spec"]) && !change.path.starts_with(&digest));
    changed
}

/// An object with Knative's defaults in its template; others as they are.
pub(super) fn defaulted(object: &Value) -> Value {
    let mut object = object.clone();
    if is_serving(&object)
        && let Some(template) = object.pointer_mut("/spec/template")
    {
        *template = knative::with_defaults(template);
    }
    object
}

pub(super) fn is_serving(object: &Value) -> bool {
    let version = object.get("apiVersion").and_then(Value::as_str);
    split_api_version(version.unwrap_or_default()).0 == serving::GROUP
}

/// Whether lists of the kind are merged by key: true of the built-in kinds, whose
/// lists of named things may carry elements of other managers. In a custom
/// resource a list is one value unless its schema says otherwise.
pub(super) fn keyed_lists(object: &Value) -> bool {
    let version = object.get("apiVersion").and_then(Value::as_str);
    let (group, _) = split_api_version(version.unwrap_or_default());
    !group.contains('.') || group.ends_with(".k8s.io")
}

struct Walk {
    keyed: bool,
    path: Vec<PathStep>,
    found: Vec<FieldChange>,
}

impl Walk {
    fn note(&mut self, kind: ChangeKind) {
        let path = FieldPath(self.path.clone());
        self.found.push(FieldChange { path, kind });
    }

    fn below(&mut self, step: PathStep, with: impl FnOnce(&mut Self)) {
        self.path.push(step);
        with(self);
        self.path.pop();
    }

    fn value(&mut self, desired: &Value, live: &Value, owned: Option<&Value>) {
        if is_empty(desired) && is_empty(live) {
            return;
        }
        match (desired, live) {
            (Value::Object(wanted), Value::Object(has)) => {
                for (name, wanted) in wanted {
                    let owned = below(owned, name);
                    self.below(PathStep::Field(name.clone()), |walk| match has.get(name) {
                        Some(has) => walk.value(wanted, has, owned),
                        None if is_left_out(name, wanted) => {}
                        // Each label on its own, not all labels as one.
                        None if wanted.is_object() => {
                            walk.value(wanted, &Value::Object(Map::new()), owned)
                        }
                        None => walk.note(ChangeKind::Added),
                    });
                }
            }
            (Value::Array(wanted), Value::Array(has)) => self.list(wanted, has, owned),
            (Value::Null, _) => {}
            _ if self.same_scalar(desired, live) => {}
            _ => self.note(ChangeKind::Changed),
        }
    }

    fn list(&mut self, wanted: &[Value], has: &[Value], owned: Option<&Value>) {
        let before = self.found.len();
        match self.keyed.then(|| list_key(wanted)).flatten() {
            Some(key) => {
                for wanted in wanted {
                    let name = identity(wanted, key);
                    let has = has.iter().find(|has| identity(has, key) == name);
                    self.below(PathStep::Key(name), |walk| match has {
                        Some(has) => walk.value(wanted, has, None),
                        None => walk.note(ChangeKind::Added),
                    });
                }
            }
            None if wanted.len() != has.len() => self.note(ChangeKind::Changed),
            None => {
                for (index, (wanted, has)) in wanted.iter().zip(has).enumerate() {
                    self.below(PathStep::Index(index), |walk| walk.value(wanted, has, None));
                }
            }
        }
        if self.found.len() == before && owned == Some(&Value::Null) {
            self.note(ChangeKind::Taken);
        }
    }

    fn same_scalar(&self, desired: &Value, live: &Value) -> bool {
        same_scalar(desired, live, self.path.iter().any(is_quantity))
    }
}

/// Whether two scalars mean the same; below some fields they are quantities.
pub(super) fn same_scalar(desired: &Value, live: &Value, quantities: bool) -> bool {
    if desired == live {
        return true;
    }
    if let (Some(a), Some(b)) = (desired.as_f64(), live.as_f64()) {
        return a == b;
    }
    quantities
        && match (quantity_of(desired), quantity_of(live)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
}

/// Fields below which every scalar is a quantity.
pub(super) fn is_quantity(step: &PathStep) -> bool {
    let PathStep::Field(name) = step else {
        return false;
    };
    matches!(
        name.as_str(),
        "limits"
            | "requests"
            | "hard"
            | "capacity"
            | "overhead"
            | "default"
            | "defaultRequest"
            | "max"
            | "min"
            | "sizeLimit"
            | "divisor"
            | "averageValue"
            | "targetValue"
    )
}

/// What a manager owns below a field. An owned field without parts is owned as a
/// whole, and nothing more is said about what is in it.
fn below<'a>(owned: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    let owned = owned?;
    if owned.as_object().is_some_and(|fields| fields.is_empty()) {
        return None;
    }
    Some(owned.get(format!("f:{name}")).unwrap_or(&Value::Null))
}

/// What a person writes, or the server leaves, to say "nothing". A zero or `false` is
/// something: `replicas: 0`, `runAsUser: 0`, `automountServiceAccountToken: false`.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Nothing, or a zero in one of the few fields whose zero the server leaves out: plain
/// numbers and booleans in Kubernetes' Go types, where all others are pointers.
pub(super) fn is_left_out(name: &str, value: &Value) -> bool {
    let zero = match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => return is_empty(value),
    };
    zero && matches!(
        name,
        "hostNetwork"
            | "hostPID"
            | "hostIPC"
            | "stdin"
            | "stdinOnce"
            | "tty"
            | "readOnly"
            | "hostPort"
            | "port"
            | "initialDelaySeconds"
            | "periodSeconds"
            | "timeoutSeconds"
            | "successThreshold"
            | "failureThreshold"
    )
}

/// The field that identifies the elements of a list of a built-in kind, if every
/// element has one of its own.
pub(super) fn list_key(list: &[Value]) -> Option<&'static str> {
    [
        "name",
        "containerPort",
        "port",
        "mountPath",
        "ip",
        "uid",
        "topologyKey",
    ]
    .into_iter()
    .find(|key| {
        let names: Vec<String> = list.iter().map(|item| identity(item, key)).collect();
        !names.is_empty()
            && names.iter().all(|name| !name.is_empty())
            && names
                .iter()
                .enumerate()
                .all(|(at, name)| !names.iter().take(at).any(|earlier| earlier == name))
    })
}

pub(super) fn identity(item: &Value, key: &str) -> String {
    match item.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn quantity_of(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => quantity::nanos(text),
        Value::Number(number) => quantity::nanos(&number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_zero_that_means_something_is_a_change() {
        let plain =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"paused": true}});
        for (field, value, seen) in [
            ("replicas", json!(0), true),
            ("automountServiceAccountToken", json!(false), true),
            ("hostNetwork", json!(false), false),
            ("args", json!([]), false),
        ] {
            let mut git = plain.clone();
            git["spec"][field] = value;
            assert_eq!(
                changes(&git, &plain, None).len(),
                usize::from(seen),
                "{field}"
            );
        }
    }

    #[test]
    fn what_others_add_to_keyed_lists_of_built_in_kinds_is_theirs() {
        let deployment = |containers: Value| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"replicas": 0, "template": {"spec": {"containers": containers}}}})
        };
        let git =
            deployment(json!([{"name": "app", "image": "a", "ports": [{"containerPort": 80}]}]));
        let live = deployment(json!([
            {"name": "sidecar", "image": "s"},
            {"name": "app", "image": "a", "imagePullPolicy": "Always",
             "ports": [{"containerPort": 80, "protocol": "TCP"}]}]));
        assert_eq!(changes(&git, &live, None), []);
        assert_eq!(changes(&live, &git, None).len(), 3);
    }

    #[test]
    fn a_list_that_someone_else_rewrote_is_found_by_its_owner() {
        let binding = |subjects: Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "a"}, "subjects": subjects})
        };
        let git = binding(json!([{"kind": "User", "name": "ann"}]));
        let live =
            binding(json!([{"kind": "User", "name": "ann"}, {"kind": "User", "name": "eve"}]));
        let owner = |fields: &str| FieldOwner {
            manager: "sluice".into(),
            operation: crate::plan::Operation::Apply,
            subresource: None,
            time: None,
            fields: fields.into(),
        };
        assert_eq!(
            changes(&git, &live, Some(&owner(r#"{"f:subjects":{}}"#))),
            []
        );
        let taken = changes(&git, &live, Some(&owner(r#"{"f:metadata":{}}"#)));
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].to_string(), "!subjects");
    }
}
