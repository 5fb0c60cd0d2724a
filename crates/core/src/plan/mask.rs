//! Secrets do not show, but that they changed does.

use std::collections::BTreeSet;

use serde_json::Value;

const SAME: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

/// Masks the secrets of both sides of a difference: a value that is on both sides is
/// `***`, others are `*** (before)` and `*** (after)`.
pub fn mask(before: Option<&mut Value>, after: Option<&mut Value>) {
    let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
    let (mut before, mut after) = (before, after);
    if let Some(before) = before.as_deref_mut() {
        visit(before, &mut |secret| {
            old.insert(secret.clone());
        });
    }
    if let Some(after) = after.as_deref_mut() {
        visit(after, &mut |secret| {
            new.insert(secret.clone());
        });
    }
    let both: BTreeSet<String> = old.intersection(&new).cloned().collect();
    // Where there is only one side, nothing changed and nothing needs telling apart.
    let alone = before.is_none() || after.is_none();
    for (side, changed) in [(before, BEFORE), (after, AFTER)] {
        if let Some(side) = side {
            visit(side, &mut |secret| {
                let word = if alone || both.contains(secret) {
                    SAME
                } else {
                    changed
                };
                *secret = word.to_owned();
            });
        }
    }
}

/// Calls back for each secret string of an object.
fn visit(object: &mut Value, found: &mut dyn FnMut(&mut String)) {
    let is_secret = object.get("kind").and_then(Value::as_str) == Some("Secret");
    if is_secret {
        for part in ["data", "stringData"] {
            let entries = object.get_mut(part).and_then(Value::as_object_mut);
            for (_, value) in entries.into_iter().flatten() {
                if let Value::String(text) = value {
                    found(text);
                }
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

fn looks(name: &str, value: &mut Value, found: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => {
            if !text.is_empty() && (is_secret_name(name) || is_secret_text(text)) {
                found(text);
            }
        }
        Value::Array(items) => {
            for item in items {
                looks(name, item, found);
            }
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
                        found(text);
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
