//! Secrets do not show, but that they changed does.

use std::collections::BTreeSet;

use serde_json::Value;

const SAME: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";
/// Where kubectl notes down what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Masks the secrets of both sides of a difference: a value that is on both sides is
/// `***`, others are `*** (before)` and `*** (after)`.
pub fn mask(before: Option<&mut Value>, after: Option<&mut Value>) {
    let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
    let (mut before, mut after) = (before, after);
    if let Some(before) = before.as_deref_mut() {
        visit(before, &mut |secret| {
            old.insert(text(secret));
        });
    }
    if let Some(after) = after.as_deref_mut() {
        visit(after, &mut |secret| {
            new.insert(text(secret));
        });
    }
    let both: BTreeSet<String> = old.intersection(&new).cloned().collect();
    // Where there is only one side, nothing changed and nothing needs telling apart.
    let alone = before.is_none() || after.is_none();
    for (side, changed) in [(before, BEFORE), (after, AFTER)] {
        if let Some(side) = side {
            visit(side, &mut |secret| {
                let word = if alone || both.contains(&text(secret)) {
                    SAME
                } else {
                    changed
                };
                *secret = word.into();
            });
        }
    }
}

/// The secrets of an object, as they stand in it.
pub fn secrets(object: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    visit(&mut object.clone(), &mut |secret| {
        all.insert(text(secret));
    });
    all
}

/// A value as a text of its own: a malformed Secret has numbers, lists and maps for values.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Calls back for each secret value of an object.
fn visit(object: &mut Value, found: &mut dyn FnMut(&mut Value)) {
    let is_secret = object.get("kind").and_then(Value::as_str) == Some("Secret");
    if is_secret {
        for part in ["data", "stringData"] {
            match object.get_mut(part) {
                Some(Value::Object(entries)) => {
                    let set = entries.values_mut().filter(|value| !value.is_null());
                    set.for_each(&mut *found);
                }
                None | Some(Value::Null) => {}
                Some(malformed) => found(malformed),
            }
        }
        let annotations = object.pointer_mut("/metadata/annotations");
        let annotations = annotations.and_then(Value::as_object_mut);
        for value in annotations.into_iter().flat_map(|all| all.values_mut()) {
            // Programs note down there what they applied, the secrets with it.
            if text(value).trim_start().starts_with('{') {
                found(value);
            }
        }
    }
    if let Some(fields) = object.as_object_mut() {
        for (name, value) in fields.iter_mut() {
            if !(is_secret && matches!(name.as_str(), "data" | "stringData")) {
                looks(name, value, found);
            }
        }
    }
}

fn looks(name: &str, value: &mut Value, found: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::String(text) => {
            let applied = name == LAST_APPLIED && text.contains("\"Secret\"");
            let secret = applied || is_secret_name(name) || is_secret_text(text);
            // What begins so was found already.
            if !text.is_empty() && !text.starts_with(SAME) && secret {
                found(value);
            }
        }
        Value::Array(items) => {
            for item in items {
                looks(name, item, found);
            }
        }
        // A Secret inside of another object, such as a template.
        Value::Object(fields) if fields.get("kind").and_then(Value::as_str) == Some("Secret") => {
            visit(value, found);
        }
        Value::Object(fields) => {
            // An environment variable: its name is in one field, its value in another.
            let named = fields
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(is_secret_name);
            for (field, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if named && field == "value" && !text.is_empty() => {
                        found(value);
                    }
                    _ => looks(field, value, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A field or variable that is called like a secret; `secretName` is not one.
fn is_secret_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "credential",
        "credentials",
    ]
    .iter()
    .any(|end| plain.ends_with(end))
}

/// A private key, or an address with a password in it.
fn is_secret_text(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
        || text
            .split_once("://")
            .and_then(|(_, rest)| rest.split(['/', '?', ' ']).next())
            .and_then(|authority| authority.rsplit_once('@'))
            .is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_secret_shows_that_it_changed_and_nothing_else() {
        let mut before = json!({"kind": "Secret", "data": {"a": "QQ==", "b": "Qg=="}});
        let mut after = json!({"kind": "Secret", "data": {"a": "QQ==", "b": "Qw=="}});
        mask(Some(&mut before), Some(&mut after));
        assert_eq!(before["data"], json!({"a": "***", "b": "*** (before)"}));
        assert_eq!(after["data"], json!({"a": "***", "b": "*** (after)"}));
        let mut new = json!({"kind": "Secret", "data": {"a": "QQ=="}});
        mask(None, Some(&mut new));
        assert_eq!(new["data"]["a"], "***");
    }

    #[test]
    fn a_secret_that_is_malformed_or_stands_inside_of_something_is_masked_all_the_same() {
        const MARK: &str = "918273645";
        let applied = format!("{{\"kind\":\"Secret\",\"data\":{{\"a\":\"{MARK}\"}}}}");
        let mark: Value = serde_json::from_str(MARK).unwrap();
        for object in [
            json!({"kind": "Secret", "stringData": {"a": mark, "b": [mark], "c": {"d": mark}}}),
            json!({"kind": "Secret", "data": [MARK]}),
            json!({"kind": "Secret", "stringData": MARK}),
            json!({"kind": "Secret", "metadata": {"annotations": {LAST_APPLIED: applied}}}),
            json!({"kind": "Secret", "metadata": {"annotations": {"kapp.k14s.io/original": applied}}}),
            json!({"kind": "Secret", "metadata": {"annotations": {"odd": {"a": MARK}}}}),
            json!({"kind": "List", "items": [{"kind": "Secret", "data": {"a": MARK}}]}),
            json!({"kind": "Template", "objects": [{"kind": "Secret", "stringData": {"a": mark}}]}),
            json!({"kind": "Other", "metadata": {"annotations": {LAST_APPLIED: applied}}}),
        ] {
            let mut masked = object.clone();
            mask(None, Some(&mut masked));
            assert!(!masked.to_string().contains(MARK), "{masked}");
            assert!(
                secrets(&object).iter().any(|secret| secret.contains(MARK)),
                "{object}"
            );
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_treated_as_one_and_references_are_not() {
        let mut object = json!({"kind": "Service", "spec": {
            "env": [
                {"name": "DB_PASSWORD", "value": "hunter2"},
                {"name": "GITHUB_TOKEN", "value": "ghp_x"},
                {"name": "TARGET", "value": "world"},
                {"name": "DB", "value": "postgres://app:hunter2@db/app"},
                {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}],
            "secretName": "tls", "automountServiceAccountToken": true,
            "data": {"id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\n..."}}});
        mask(None, Some(&mut object));
        assert_eq!(
            object["spec"],
            json!({"env": [
                {"name": "DB_PASSWORD", "value": "***"},
                {"name": "GITHUB_TOKEN", "value": "***"},
                {"name": "TARGET", "value": "world"},
                {"name": "DB", "value": "***"},
                {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}],
                "secretName": "tls", "automountServiceAccountToken": true,
                "data": {"id_rsa": "***"}})
        );
    }
}
