//! The difference of two templates in the form that Knative's refusals carry:
//! a path through its Go types, and the old and new value under it.

use std::fmt::Write as _;

use serde_json::Value;

use super::quantity;

/// Fields of a RevisionSpec that are its own; the others belong to the embedded PodSpec.
const REVISION_FIELDS: &[&str] = &[
    "containerConcurrency",
    "idleTimeoutSeconds",
    "responseStartTimeoutSeconds",
    "timeoutSeconds",
];

/// The difference of two revision specs; empty where they mean the same.
pub fn revision_spec(old: &Value, new: &Value) -> String {
    let mut diff = String::new();
    spec(&mut diff, "{v1.RevisionSpec}", old, new);
    diff
}

/// The difference of two templates; empty where they mean the same.
pub fn template(old: &Value, new: &Value) -> String {
    let mut diff = String::new();
    let part = |template: &'_ Value, key: &str| template.get(key).cloned().unwrap_or(Value::Null);
    walk(
        &mut diff,
        "{*v1.RevisionTemplateSpec}.ObjectMeta",
        &part(old, "metadata"),
        &part(new, "metadata"),
    );
    spec(
        &mut diff,
        "{*v1.RevisionTemplateSpec}.Spec",
        &part(old, "spec"),
        &part(new, "spec"),
    );
    diff
}

fn spec(diff: &mut String, path: &str, old: &Value, new: &Value) {
    each_field(old, new, |key, old, new| {
        let path = if REVISION_FIELDS.contains(&key) {
            format!("{path}.{}", go_name(key))
        } else {
            format!("{path}.PodSpec.{}", go_name(key))
        };
        walk(diff, &path, old, new);
    });
}

fn walk(diff: &mut String, path: &str, old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(_), Value::Object(_)) => {
            let keyed = ["Labels", "Annotations", "Limits", "Requests"]
                .iter()
                .any(|map| path.ends_with(map));
            each_field(old, new, |key, old, new| {
                let path = if keyed {
                    format!("{path}[{key:?}]")
                } else {
                    format!("{path}.{}", go_name(key))
                };
                walk(diff, &path, old, new);
            });
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let at = |list: &[Value]| list.get(index).cloned().unwrap_or(Value::Null);
                walk(diff, &format!("{path}[{index}]"), &at(a), &at(b));
            }
        }
        _ if equal(path, old, new) => {}
        _ => {
            // Writing to a String cannot fail.
            let _ = writeln!(diff, "{path}:");
            for (sign, value) in [('-', old), ('+', new)] {
                if !value.is_null() {
                    let _ = writeln!(diff, "\t{sign}: \"{}\"", plain(value));
                }
            }
        }
    }
}

fn equal(path: &str, old: &Value, new: &Value) -> bool {
    let amounts = path.contains(".Limits[") || path.contains(".Requests[");
    match (old.as_str(), new.as_str()) {
        (Some(old), Some(new)) if amounts => quantity::same_amount(old, new),
        _ => old == new,
    }
}

fn each_field(old: &Value, new: &Value, mut visit: impl FnMut(&str, &Value, &Value)) {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (old, new) = (fields(old), fields(new));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        visit(
            key,
            old.get(key).unwrap_or(&Value::Null),
            new.get(key).unwrap_or(&Value::Null),
        );
    }
}

/// The Go field behind a JSON key.
fn go_name(key: &str) -> String {
    match key {
        "httpGet" => "HTTPGet".to_owned(),
        "tcpSocket" => "TCPSocket".to_owned(),
        "grpc" => "GRPC".to_owned(),
        "hostIP" => "HostIP".to_owned(),
        _ => {
            let mut letters = key.chars();
            letters
                .next()
                .map(|first| first.to_uppercase().chain(letters).collect())
                .unwrap_or_default()
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_difference_reads_as_knative_writes_it() {
        let old = json!({"containers": [{"image": "a:1", "resources": {"limits": {"cpu": "1"}}}], "timeoutSeconds": 300});
        let new = json!({"containers": [{"image": "a:2", "resources": {"limits": {"cpu": "1000m"}}}], "timeoutSeconds": 60});
        expect![[r#"
            {v1.RevisionSpec}.PodSpec.Containers[0].Image:
            	-: "a:1"
            	+: "a:2"
            {v1.RevisionSpec}.TimeoutSeconds:
            	-: "300"
            	+: "60"
        "#]]
        .assert_eq(&revision_spec(&old, &new));
    }
}
