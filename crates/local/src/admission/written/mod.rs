//! What Knative's webhook writes back of an object by reading it into its types: empty optional fields
//! and unknown ones go, required ones come, and amounts are written one way. That is where
//! `resources: {}` comes from. A zero stays where it says something else than nothing (`percent: 0`).
//!
//! It reads as Go does: names in any case, a `null` as if nothing were there, an item of a list that is
//! `null` as an empty one.

mod shapes;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::shapes::{Shape, field, is_empty, keeps_empty, required};
use crate::api::quantity;

/// Why an object cannot be read as its kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A value is of another sort than its field.
    #[error("{path} must be {wanted}, and is {found}")]
    Sort {
        /// The field.
        path: String,
        /// What belongs there.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// An amount that cannot be read.
    #[error("{path}: {why}")]
    Amount {
        /// The field.
        path: String,
        /// What is wrong with it.
        #[source]
        why: quantity::QuantityError,
    },
}

/// Writes metadata and spec of an object as the webhook does.
///
/// # Errors
/// The first value that does not fit its field.
pub fn write_back(kind: &str, object: &mut Value) -> Result<(), Misfit> {
    let Value::Object(whole) = object else {
        return Ok(());
    };
    let within = if kind == "Revision" { "spec" } else { kind };
    for (part, within) in [("metadata", "metadata"), ("spec", within)] {
        let mut value = whole.remove(part).unwrap_or_default();
        if value.is_null() {
            if part == "metadata" {
                continue;
            }
            value = json!({});
        }
        of_shape(Shape::Fields, within, part, &mut value)?;
        whole.insert(part.to_owned(), value);
    }
    Ok(())
}

fn fields(within: &str, path: &str, all: &mut Map<String, Value>) -> Result<(), Misfit> {
    let required = required(within);
    for (name, mut value) in std::mem::take(all) {
        let Some((name, shape)) = field(within, &name).filter(|_| !value.is_null()) else {
            continue;
        };
        let inside = match (within, name) {
            ("downwardAPI", "items") => "downwardAPI.items",
            _ => name,
        };
        of_shape(shape, inside, &format!("{path}.{name}"), &mut value)?;
        if !is_empty(shape, &value) || required.get(name).is_some() || keeps_empty(within, name) {
            all.insert(name.to_owned(), value);
        }
    }
    if let Value::Object(required) = required {
        for (name, zero) in required {
            all.entry(name).or_insert(zero);
        }
    }
    Ok(())
}

fn of_shape(shape: Shape, within: &str, path: &str, value: &mut Value) -> Result<(), Misfit> {
    let fits = match (shape, &mut *value) {
        (Shape::Text | Shape::NumberOrText, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => {
            true
        }
        (Shape::Number | Shape::NumberOrText, Value::Number(number)) => number
            .as_i64()
            .is_some_and(|number| i32::try_from(number).is_ok()),
        (Shape::LongNumber, Value::Number(number)) => number.is_i64(),
        (Shape::Time, Value::String(text)) => time(text),
        (Shape::Url, Value::String(text)) => is_url(text),
        (Shape::Amount, value) => return amount(path, value),
        (Shape::Fields, Value::Object(all)) => return fields(within, path, all),
        (Shape::TextByKey, Value::Object(all)) => return by_key(Shape::Text, path, all),
        (Shape::AmountByKey, Value::Object(all)) => return by_key(Shape::Amount, path, all),
        (Shape::Texts, Value::Array(all)) => return items(Shape::Text, within, path, all),
        (Shape::ListOfFields, Value::Array(all)) => {
            return items(Shape::Fields, within, path, all);
        }
        (Shape::Numbers, Value::Array(all)) => {
            return items(Shape::LongNumber, within, path, all);
        }
        (Shape::ListOfWholes, Value::Array(all)) => return items(Shape::Whole, within, path, all),
        (Shape::Whole, Value::Object(_)) => true,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Misfit::Sort {
        path: path.to_owned(),
        wanted: wanted(shape),
        found: found(value),
    })
}

fn items(shape: Shape, within: &str, path: &str, all: &mut [Value]) -> Result<(), Misfit> {
    for (index, item) in all.iter_mut().enumerate() {
        if item.is_null() {
            *item = empty(shape);
        }
        of_shape(shape, within, &format!("{path}[{index}]"), item)?;
    }
    Ok(())
}

fn by_key(shape: Shape, path: &str, all: &mut Map<String, Value>) -> Result<(), Misfit> {
    for (key, value) in all {
        if value.is_null() {
            *value = empty(shape);
        }
        of_shape(shape, "", &format!("{path}[{key}]"), value)?;
    }
    Ok(())
}

/// What a `null` in a list or by a key is read as.
fn empty(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!(""),
        Shape::Amount => json!("0"),
        Shape::LongNumber => json!(0),
        _ => json!({}),
    }
}

/// Writes a time in whole seconds; whether it is one.
fn time(text: &mut String) -> bool {
    let Ok(time) = text.parse::<Timestamp>() else {
        return false;
    };
    *text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    true
}

/// Nothing but its escapes is looked at: a spec may not have one anyway.
fn is_url(text: &str) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let mut escapes = text.split('%').skip(1);
    escapes.all(|rest| rest.as_bytes().get(..2).is_some_and(is_hex))
}

fn amount(path: &str, value: &mut Value) -> Result<(), Misfit> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let read = quantity::read(&text).map_err(|why| Misfit::Amount {
        path: path.to_owned(),
        why,
    })?;
    *value = read.into();
    Ok(())
}

fn wanted(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "a text",
        Shape::Flag => "true or false",
        Shape::Url => "a URL with its escapes in hexadecimal",
        Shape::Time => "a time such as 2006-01-02T15:04:05Z",
        Shape::Number => "a whole number of 32 bits",
        Shape::LongNumber => "a whole number",
        Shape::NumberOrText => "a whole number of 32 bits or a text",
        Shape::Amount => "an amount",
        Shape::Texts | Shape::Numbers | Shape::ListOfFields | Shape::ListOfWholes => "a list",
        Shape::TextByKey | Shape::AmountByKey | Shape::Fields | Shape::Whole => "an object",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_i64() => "a whole number",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knative::schemas;

    fn service(container: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    }

    fn written(mut object: Value) -> Value {
        write_back("Service", &mut object).unwrap();
        object
    }

    #[test]
    fn empty_optional_fields_vanish_and_required_ones_appear() {
        let mut object = service(json!({
            "image": "a",
            "command": [],
            "stdin": false,
            "unheard": 1,
            "ENV": [{"name": "A", "value": ""}],
            "ports": [{}],
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 2}},
            "readinessProbe": {"tcpSocket": {}, "periodSeconds": 0, "timeoutSeconds": 0},
            "securityContext": {"seccompProfile": {}, "runAsNonRoot": false},
        }));
        object["spec"]["traffic"] = json!([{"tag": "", "revisionName": "a", "percent": 0}]);
        object["spec"]["template"]["metadata"] = json!({"labels": {}, "name": ""});
        object["spec"]["template"]["spec"]["timeoutSeconds"] = json!(0);
        object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        assert_eq!(
            written(object),
            json!({"spec": {
                "template": {
                    "metadata": {},
                    "spec": {
                        "timeoutSeconds": 0,
                        "containers": [{
                            "name": "",
                            "image": "a",
                            "env": [{"name": "A"}],
                            "ports": [{"containerPort": 0}],
                            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "2"}},
                            "readinessProbe": {"tcpSocket": {"port": 0}},
                            "securityContext": {"seccompProfile": {"type": ""}, "runAsNonRoot": false},
                        }],
                        "volumes": [{"name": "v", "emptyDir": {}}],
                    },
                },
                "traffic": [{"revisionName": "a", "percent": 0}],
            }})
        );
    }

    #[test]
    fn each_field_that_the_schemas_know_has_its_shape() {
        fn unknown(schema: &Value, all: &mut Vec<String>) {
            let fields = schema.get("properties").and_then(Value::as_object);
            for (name, below) in fields.into_iter().flatten() {
                if field("", name).is_none() {
                    all.push(name.clone());
                }
                unknown(below, all);
            }
            if let Some(item) = schema.get("items") {
                unknown(item, all);
            }
        }
        for kind in super::super::KINDS {
            let schema = schemas::schema("serving.knative.dev", "v1", kind).unwrap();
            let mut all = Vec::new();
            let schema = schema.to_openapi();
            let spec = schema.pointer("/properties/spec").unwrap();
            assert!(spec.pointer("/properties").is_some(), "{kind}: {spec}");
            unknown(spec, &mut all);
            assert_eq!(all, Vec::<String>::new(), "{kind}");
        }
    }

    #[test]
    fn nulls_are_read_as_if_nothing_were_there() {
        let object = json!({"spec": {"template": {
            "metadata": {"ANNOTATIONS": {"a": null}, "image": 5, "creationTimestamp": "2020-01-02T03:04:05+01:00"},
            "spec": {
                "imagePullSecrets": [null],
                "containers": [{"args": [null], "env": [null], "resources": {"limits": {"cpu": null}}}],
                "volumes": [{"image": {}}],
            },
        }}});
        assert_eq!(
            written(object),
            json!({"spec": {"template": {
                "metadata": {"annotations": {"a": ""}, "creationTimestamp": "2020-01-02T02:04:05Z"},
                "spec": {
                    "imagePullSecrets": [{}],
                    "containers": [{
                        "name": "",
                        "args": [""],
                        "env": [{"name": ""}],
                        "resources": {"limits": {"cpu": "0"}},
                    }],
                    "volumes": [{"name": "", "image": {}}],
                },
            }}})
        );
    }

    #[test]
    fn what_was_written_back_is_written_back_as_it_is() {
        for object in [
            json!({}),
            service(json!({"image": "a", "ports": [{"containerPort": 8080}]})),
        ] {
            let once = written(object);
            assert_eq!(written(once.clone()), once);
        }
        assert_eq!(
            written(json!({})),
            json!({"spec": {"template": {"metadata": {}, "spec": {"containers": null}}}})
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_field() {
        for (mut object, words) in [
            (
                service(json!({"image": 1})),
                "spec.template.spec.containers[0].image must be a text, and is a whole number",
            ),
            (
                json!({"spec": {"template": []}}),
                "spec.template must be an object, and is a list",
            ),
            (
                json!({"spec": "x"}),
                "spec must be an object, and is a text",
            ),
            (
                service(json!({"resources": {"limits": {"cpu": "x"}}})),
                "spec.template.spec.containers[0].resources.limits[cpu]: quantities must match the \
                 regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (
                service(json!({"ports": [{"containerPort": 4_294_967_296_i64}]})),
                "spec.template.spec.containers[0].ports[0].containerPort must be a whole number of 32 bits, and is \
                 a whole number",
            ),
            (
                json!({"spec": {"template": {"metadata": {"creationTimestamp": "x"}}}}),
                "spec.template.metadata.creationTimestamp must be a time such as 2006-01-02T15:04:05Z, and is a text",
            ),
            (
                json!({"spec": {"template": {"spec": {"tolerations": [null, "x"]}}}}),
                "spec.template.spec.tolerations[1] must be an object, and is a text",
            ),
            (
                json!({"spec": {"template": {"spec": {"securityContext": {"supplementalGroups": [null, 1.5]}}}}}),
                "spec.template.spec.securityContext.supplementalGroups[1] must be a whole number, and is a number",
            ),
            (
                json!({"spec": {"traffic": [{"url": "a%zz"}]}}),
                "spec.traffic[0].url must be a URL with its escapes in hexadecimal, and is a text",
            ),
            (
                json!({"spec": {"traffic": [{"percent": 1.5}]}}),
                "spec.traffic[0].percent must be a whole number, and is a number",
            ),
        ] {
            let told = write_back("Service", &mut object).unwrap_err();
            assert_eq!(told.to_string(), words);
        }
    }
}
