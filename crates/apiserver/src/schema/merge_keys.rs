//! Marks on definitions: how lists and maps merge, in the short form of a table.
//!
//! The form is described where the big table is, in `builtin/marks.rs`.

use serde_json::{Map, Value, json};

use super::Definitions;

/// The zero value that a list key has when an item leaves it out.
pub(super) const KEY_DEFAULT: &str = "x-sluice-key-default";
/// A Go struct, or a list that Go always writes: there even when nothing is in it.
pub(crate) const STRUCT: &str = "x-sluice-struct";

/// Puts every mark of the table on the definitions that are there.
pub(crate) fn mark(definitions: &mut Definitions, table: &str) {
    let mut name = String::new();
    for line in table.lines() {
        let mut words = line.split_whitespace();
        if !line.starts_with(' ') {
            let Some(first) = words.next() else { continue };
            name = full_name(first);
        }
        let Some(mut definition) = definitions.remove(&name) else {
            continue;
        };
        for word in words {
            if let Some((field, merge_keys)) = word.split_once('=') {
                for one in merge_keys.split(',') {
                    put(&mut definition, field, one, definitions);
                }
            }
        }
        definitions.insert(name.clone(), definition);
    }
}

fn full_name(short: &str) -> String {
    let group = match short.split_once('.') {
        Some(("meta", _)) => "io.k8s.apimachinery.pkg.apis",
        Some(("apiextensions", _)) => "io.k8s.apiextensions-apiserver.pkg.apis",
        _ => "io.k8s.api",
    };
    format!("{group}.{short}")
}

fn put(definition: &mut Value, field: &str, mark: &str, others: &mut Definitions) {
    let place = match field {
        "." => Some(definition),
        field => definition
            .get_mut("properties")
            .and_then(|properties| properties.get_mut(field)),
    };
    let Some(Value::Object(place)) = place else {
        return;
    };
    let mut words = mark.split(':');
    match (words.next().unwrap_or_default(), words.next(), words.next()) {
        ("map", Some(keys), _) => {
            let keys: Vec<&str> = keys.split('+').collect();
            if let Some(item) = place.get("items").and_then(referenced)
                && let Some(item) = others.get_mut(&item)
            {
                default_keys(item, &keys);
            }
            set(place, "x-kubernetes-list-type", "map");
            place.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
        }
        ("set", ..) => set(place, "x-kubernetes-list-type", "set"),
        ("atomic", ..) => set(place, "x-kubernetes-map-type", "atomic"),
        ("granular", ..) => set(place, "x-kubernetes-map-type", "granular"),
        ("struct", ..) => {
            place.insert(STRUCT.to_owned(), Value::Bool(true));
        }
        ("patch", Some(strategies), key) => {
            let strategies = strategies.replace('+', ",");
            set(place, "x-kubernetes-patch-strategy", &strategies);
            if let Some(key) = key {
                set(place, "x-kubernetes-patch-merge-key", key);
            }
        }
        _ => {}
    }
}

fn set(place: &mut Map<String, Value>, name: &str, value: &str) {
    place.insert(name.to_owned(), Value::from(value));
}

fn referenced(schema: &Value) -> Option<String> {
    let reference = schema.get("$ref")?.as_str()?;
    reference.rsplit('/').next().map(str::to_owned)
}

/// Keys that Go always writes have their zero value where an item leaves them out; a
/// port's protocol is TCP.
fn default_keys(item: &mut Value, keys: &[&str]) {
    let required: Vec<String> = item
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    for key in keys {
        let Some(Value::Object(property)) = item
            .get_mut("properties")
            .and_then(|properties| properties.get_mut(*key))
        else {
            continue;
        };
        let zero = match property.get("type").and_then(Value::as_str) {
            _ if *key == "protocol" => json!("TCP"),
            _ if !required.iter().any(|name| name == key) => continue,
            Some("integer" | "number") => json!(0),
            _ => json!(""),
        };
        property.insert(KEY_DEFAULT.to_owned(), zero);
    }
}

/// The definitions as Kubernetes publishes them: our own extensions become the
/// defaults that they stand for.
pub(super) fn published(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(zero) = object.remove(KEY_DEFAULT) {
                object.insert("default".to_owned(), zero);
            }
            if object.remove(STRUCT).is_some() && object.get("type") != Some(&json!("array")) {
                object.insert("default".to_owned(), Value::Object(Map::new()));
            }
            object.values_mut().for_each(published);
        }
        Value::Array(items) => items.iter_mut().for_each(published),
        _ => {}
    }
}
