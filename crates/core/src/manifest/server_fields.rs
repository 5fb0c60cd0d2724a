//! The fields that the cluster writes, and that an exported manifest carries all the same.

use serde_json::{Map, Value};

/// Where they are, from the object's root.
const FIELDS: [&[&str]; 9] = [
    &["status"],
    &["metadata", "resourceVersion"],
    &["metadata", "uid"],
    &["metadata", "creationTimestamp"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "selfLink"],
];

/// Annotations that are not the manifest writer's: Knative writes the first two and refuses whoever else does, the third
/// is kubectl's copy of the whole object.
const ANNOTATIONS: [&str; 3] = [
    "serving.knative.dev/creator",
    "serving.knative.dev/lastModifier",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Returns those that an object carries with a value, such as `metadata.uid`: the empty ones that `kubectl create
/// --dry-run -o yaml` writes are nobody's mistake.
pub(super) fn carried(object: &Value) -> Vec<String> {
    let fields = FIELDS.iter().filter(|path| {
        let mut steps = path.iter();
        let found = steps.try_fold(object, |value, step| value.get(step));
        !found.is_none_or(is_empty)
    });
    let mut carried: Vec<String> = fields.map(|path| path.join(".")).collect();
    let annotations = object.pointer("/metadata/annotations");
    if annotations.is_some_and(|all| ANNOTATIONS.iter().any(|name| all.get(name).is_some())) {
        carried.push("metadata.annotations".to_owned());
    }
    carried
}

/// Takes them out of an object.
pub(crate) fn take_out(object: &mut Value) {
    for path in FIELDS {
        if let Some((last, above)) = path.split_last()
            && let Some(map) = map_at(object, above)
        {
            map.remove(*last);
        }
    }
    if let Some(annotations) = map_at(object, &["metadata", "annotations"]) {
        for name in ANNOTATIONS {
            annotations.remove(name);
        }
    }
}

fn map_at<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut steps = path.iter();
    let found = steps.try_fold(object, |value, step| value.get_mut(step));
    found?.as_object_mut()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}
