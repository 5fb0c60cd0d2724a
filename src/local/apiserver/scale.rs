//! `/scale`: a number of replicas, wherever the kind keeps it.

use serde_json::{Value, json};

use super::object;
use super::resource::Resource;
use super::status::{ApiError, Cause};

/// The object's `autoscaling/v1` Scale.
pub fn of(resource: &Resource, whole: &Value) -> Value {
    let Some(paths) = &resource.scale else {
        return Value::Null;
    };
    let number = |path: &str| object::at(whole, path).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &paths.selector {
        Some(path) => object::text_at(whole, path),
        None => selector_text(object::at(whole, "spec.selector")),
    };
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": object::name(whole),
            "namespace": object::namespace(whole),
            "uid": object::uid(whole),
            "resourceVersion": object::meta_str(whole, "resourceVersion"),
            "creationTimestamp": object::meta(whole, "creationTimestamp"),
        },
        "spec": {"replicas": number(&paths.spec)},
        "status": {"replicas": number(&paths.status), "selector": selector},
    })
}

/// The object with the Scale's wanted number.
pub fn put(resource: &Resource, whole: &Value, scale: &Value) -> Result<Value, ApiError> {
    let Some(paths) = &resource.scale else {
        return Err(ApiError::no_such_path());
    };
    let name = object::name(whole);
    let replicas = match object::at(scale, "spec.replicas") {
        None | Some(Value::Null) => 0,
        Some(given) => given
            .as_i64()
            .filter(|replicas| *replicas >= 0)
            .ok_or_else(|| {
                let cause =
                    Cause::invalid("spec.replicas", given, "must be greater than or equal to 0");
                ApiError::invalid(resource, name, vec![cause])
            })?,
    };
    let mut whole = whole.clone();
    let steps: Vec<&str> = paths
        .spec
        .split('.')
        .filter(|step| !step.is_empty())
        .collect();
    if let Some((last, parents)) = steps.split_last() {
        let mut map = object::as_map(&mut whole);
        for step in parents {
            map = object::map_in(map, step);
        }
        map.insert((*last).to_owned(), replicas.into());
    }
    // The Scale carries the object's own version: a stale one is a conflict as ever.
    let given = object::meta_str(scale, "resourceVersion");
    if !given.is_empty() {
        object::set_meta(&mut whole, "resourceVersion", given);
    }
    Ok(whole)
}

/// A label selector as text.
fn selector_text(selector: Option<&Value>) -> String {
    selector
        .and_then(|selector| selector.get("matchLabels"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect::<Vec<_>>()
        .join(",")
}
