//! `/scale` of made-up kinds: their definitions say where the numbers are, and objects may have anything
//! there.
//!
//! Source: `k8s.io/apiextensions-apiserver/pkg/registry/customresource`.

use serde_json::{Value, json};

use crate::json::go_words;
use crate::json::{object, strict_json};
use crate::model::resource::{Origin, Resource, ScalePaths};
use crate::model::status::{ApiError, Cause};

/// What a patch meets where an object has no number of replicas, and must not leave.
pub(super) const NONE: i64 = i32::MIN as i64;

/// The paths of a made-up kind.
pub(super) fn paths(resource: &Resource) -> Option<&ScalePaths> {
    resource
        .scale
        .as_ref()
        .filter(|_| resource.origin == Origin::Custom)
}

/// The wanted and the seen number and the selector of an object, or what is there instead.
pub(super) fn read(
    paths: &ScalePaths,
    whole: &Value,
) -> Result<(Option<i64>, i64, String), String> {
    let wanted = number(whole, &paths.spec)?;
    let seen = number(whole, &paths.status)?.unwrap_or(0);
    let selector = match &paths.selector {
        Some(path) => text(whole, path)?.unwrap_or_default(),
        None => String::new(),
    };
    Ok((wanted, seen, selector))
}

/// What is wrong with the numbers of an object that is written.
pub fn faults(resource: &Resource, subresource: Option<&str>, whole: &Value) -> Vec<Cause> {
    let Some(paths) = paths(resource) else {
        return Vec::new();
    };
    let mut causes = Vec::new();
    if subresource != Some("status") {
        causes.extend(fault(whole, &paths.spec));
    }
    causes.extend(fault(whole, &paths.status));
    if let Some(path) = &paths.selector
        && let Err(why) = text(whole, path)
    {
        causes.push(Cause::invalid(path, &"".into(), &why));
    }
    causes
}

fn fault(whole: &Value, path: &str) -> Option<Cause> {
    let (value, why) = match number(whole, path) {
        Err(why) => (0, why),
        Ok(Some(value)) if value < 0 => (value, "should be a non-negative integer".to_owned()),
        Ok(Some(value)) if value > i32::MAX.into() => (
            value,
            format!("should be less than or equal to {}", i32::MAX),
        ),
        Ok(_) => return None,
    };
    Some(Cause::invalid(path, &value.into(), &why))
}

/// Writes the wanted number into an object.
pub(super) fn write(paths: &ScalePaths, whole: &mut Value, replicas: i64) -> Result<(), ApiError> {
    let steps: Vec<&str> = steps(&paths.spec).collect();
    let Some((last, parents)) = steps.split_last() else {
        return Ok(());
    };
    let mut at = whole;
    for (index, step) in parents.iter().enumerate() {
        let next = object::as_map(at)
            .entry((*step).to_owned())
            .or_insert_with(|| json!({}));
        if !next.is_object() {
            let path = path_of(parents.iter().take(index + 1).copied());
            return Err(ApiError::plain(
                500,
                format!("value cannot be set because {path} is not a map[string]interface{{}}"),
            ));
        }
        at = next;
    }
    object::set(at, last, replicas);
    Ok(())
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('.').unwrap_or(path).split('.')
}

fn path_of<'a>(steps: impl Iterator<Item = &'a str>) -> String {
    steps.map(|step| format!(".{step}")).collect()
}

fn number(whole: &Value, path: &str) -> Result<Option<i64>, String> {
    match at(whole, path)? {
        None => Ok(None),
        Some(found) => match found.as_i64() {
            Some(number) => Ok(Some(number)),
            None => Err(misfit(found, path_of(steps(path)), "int64")),
        },
    }
}

fn text(whole: &Value, path: &str) -> Result<Option<String>, String> {
    match at(whole, path)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(found) => Err(misfit(found, path_of(steps(path)), "string")),
    }
}

fn at<'a>(whole: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let mut value = whole;
    for (index, step) in steps(path).enumerate() {
        match value {
            Value::Null => return Ok(None),
            Value::Object(fields) => match fields.get(step) {
                Some(found) => value = found,
                None => return Ok(None),
            },
            other => {
                let so_far = path_of(steps(path).take(index + 1));
                return Err(misfit(other, so_far, "map[string]interface{}"));
            }
        }
    }
    Ok(Some(value))
}

fn misfit(found: &Value, path: String, wanted: &str) -> String {
    let mut shown = found.clone();
    object::whole_numbers(&mut shown);
    let kind = go_words::type_of(found);
    format!(
        "{path} accessor error: {} is of the type {kind}, expected {wanted}",
        strict_json::go_map(&shown)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_in_gos_words() {
        let whole = json!({"spec": {"replicas": {"a": 1}, "n": 2.0}, "status": "x"});
        assert_eq!(
            number(&whole, ".spec.replicas").unwrap_err(),
            ".spec.replicas accessor error: map[a:1] is of the type map[string]interface {}, expected int64"
        );
        assert_eq!(
            number(&whole, ".spec.n").unwrap_err(),
            ".spec.n accessor error: 2 is of the type float64, expected int64"
        );
        assert_eq!(
            number(&whole, ".status.replicas").unwrap_err(),
            ".status.replicas accessor error: x is of the type string, expected map[string]interface{}"
        );
        assert_eq!(number(&whole, ".spec.m"), Ok(None));
    }
}
