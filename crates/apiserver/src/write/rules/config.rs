//! ConfigMaps and Secrets: keys, sizes, what cannot change, what a type must hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{immutable, named};
use crate::json::object;
use crate::model::names;
use crate::model::status::Cause;

/// All values together.
const LIMIT: usize = 1024 * 1024;

pub(super) fn config_map(map: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = old.map_or(Vec::new(), |old| {
        immutable_data(map, old, &["data", "binaryData"])
    });
    let (data, binary) = (entries(map, "data"), entries(map, "binaryData"));
    let mut size = 0;
    for (key, value) in data.into_iter().flatten() {
        let field = format!("data[{key}]");
        causes.extend(named(&field, key, names::config_key(key)));
        if binary.is_some_and(|binary| binary.contains_key(key)) {
            let why = "duplicate of key present in binaryData";
            causes.push(Cause::invalid(field, &key.as_str().into(), why));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in binary.into_iter().flatten() {
        let field = format!("binaryData[{key}]");
        causes.extend(named(&field, key, names::config_key(key)));
        size += decoded(value);
    }
    if size > LIMIT {
        causes.push(Cause::too_long("[]", LIMIT));
    }
    causes
}

pub(super) fn secret(secret: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for (key, value) in entries(secret, "data").into_iter().flatten() {
        causes.extend(named(&format!("data[{key}]"), key, names::config_key(key)));
        size += decoded(value);
    }
    if size > LIMIT {
        causes.push(Cause::too_long("data", LIMIT));
    }
    causes.extend(required_by_type(secret));
    if let Some(old) = old {
        causes.extend(immutable("type", secret.get("type"), old.get("type")));
        causes.extend(immutable_data(secret, old, &["data"]));
    }
    causes
}

fn entries<'a>(object: &'a Value, field: &str) -> Option<&'a Map<String, Value>> {
    object.get(field)?.as_object()
}

fn decoded(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.len() / 4 * 3)
}

fn required_by_type(secret: &Value) -> Vec<Cause> {
    let data = entries(secret, "data");
    let has = |key: &str| data.is_some_and(|data| data.contains_key(key));
    let required = |key: &str| Cause::required(format!("data[{key}]"), "");
    match object::text_at(secret, "type").as_str() {
        "kubernetes.io/tls" => ["tls.crt", "tls.key"]
            .into_iter()
            .filter(|key| !has(key))
            .map(required)
            .collect(),
        "kubernetes.io/ssh-auth" if !has("ssh-privatekey") => vec![required("ssh-privatekey")],
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            vec![required("username"), required("password")]
        }
        "kubernetes.io/dockerconfigjson" => json_at(data, ".dockerconfigjson"),
        "kubernetes.io/dockercfg" => json_at(data, ".dockercfg"),
        _ => Vec::new(),
    }
}

/// Credentials of registries are JSON; nothing of them is ever quoted.
fn json_at(data: Option<&Map<String, Value>>, key: &str) -> Vec<Cause> {
    let field = format!("data[{key}]");
    let Some(value) = data.and_then(|data| data.get(key)).and_then(Value::as_str) else {
        return vec![Cause::required(field, "")];
    };
    let bytes = STANDARD.decode(value).unwrap_or_default();
    match crate::json::strict_json::parse(&bytes) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Cause::invalid(
            field,
            &"<secret contents redacted>".into(),
            &crate::json::strict_json::go_words(&error, &bytes),
        )],
    }
}

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The map that is there with nothing in it: texts always are, if there are none.
pub(super) fn empties(map: &Value) -> Vec<&'static str> {
    let is_empty = entries(map, "binaryData").is_some_and(Map::is_empty);
    is_empty.then_some("binaryData").into_iter().collect()
}

/// An empty map where there was none is a change to what may not change.
pub(super) fn emptied(empties: &[&'static str], old: &Value) -> Vec<Cause> {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let new = empties.iter().filter(|field| old.get(**field).is_none());
    new.map(|field| Cause::forbidden(*field, IMMUTABLE))
        .collect()
}

fn immutable_data(object: &Value, old: &Value, fields: &[&str]) -> Vec<Cause> {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let still = object.get("immutable") == Some(&Value::Bool(true));
    let changed = fields
        .iter()
        .filter(|field| object.get(**field) != old.get(**field));
    (!still)
        .then_some("immutable")
        .into_iter()
        .chain(changed.copied())
        .map(|field| Cause::forbidden(field, IMMUTABLE))
        .collect()
}
