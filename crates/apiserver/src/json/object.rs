//! Reading and writing the parts that every object has, on plain JSON.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The text at `metadata.KEY`, or nothing.
pub fn meta_str<'a>(object: &'a Value, key: &str) -> &'a str {
    meta(object, key)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The value at `metadata.KEY`.
pub fn meta<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(key)
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    meta_str(object, "name")
}

/// The object's namespace, empty for cluster-scoped ones.
pub fn namespace(object: &Value) -> &str {
    meta_str(object, "namespace")
}

/// The object's uid.
pub fn uid(object: &Value) -> &str {
    meta_str(object, "uid")
}

/// Whether deletion was asked for.
pub fn is_terminating(object: &Value) -> bool {
    !meta_str(object, "deletionTimestamp").is_empty()
}

/// The object's finalizers.
pub fn finalizers(object: &Value) -> Vec<&str> {
    strings(meta(object, "finalizers"))
}

/// The texts of a list of texts.
pub fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// `metadata`, made where it is missing.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// The map at `KEY`, made where it is missing or something else.
pub fn child_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    map_in(as_map(object), key)
}

/// The map at `KEY` of a map, made where it is missing or something else.
pub fn map_in<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    as_map(map.entry(key).or_insert(Value::Null))
}

/// The value as a map; anything else becomes an empty one.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object on the line above"),
    }
}

/// Sets a field of an object.
pub fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    as_map(object).insert(key.to_owned(), value.into());
}

/// Sets `metadata.KEY`.
pub fn set_meta(object: &mut Value, key: &str, value: impl Into<Value>) {
    metadata_mut(object).insert(key.to_owned(), value.into());
}

/// Removes `metadata.KEY`.
pub fn remove_meta(object: &mut Value, key: &str) {
    if let Some(map) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

/// Sets a field, or removes it where there is nothing to set.
pub fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    let map = as_map(object);
    match value {
        Some(value) => map.insert(field.to_owned(), value),
        None => map.remove(field),
    };
}

/// Sets a field unless something is there.
pub fn default_to(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    match map.get(key) {
        None | Some(Value::Null) => {
            map.insert(key.to_owned(), value.into());
        }
        Some(_) => {}
    }
}

/// A `metav1.Time`: whole seconds.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The value at a dotted path of plain field names, such as `spec.nodeName`.
pub fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .filter(|step| !step.is_empty())
        .try_fold(object, |value, step| value.get(step))
}

/// The text at a dotted path; numbers and booleans as text; nothing where there is nothing.
pub fn text_at(object: &Value, path: &str) -> String {
    match at(object, path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Numbers without a fraction as Go writes those of custom objects: `2.0` is `2`.
pub fn whole_numbers(value: &mut Value) {
    /// Floats are whole numbers exactly up to here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64()
                && float.fract() == 0.0
                && float.abs() <= EXACT
            {
                *value = (float as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
