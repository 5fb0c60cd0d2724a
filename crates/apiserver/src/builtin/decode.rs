//! Reading an object into one of Kubernetes' own kinds, which are Go structs on a cluster:
//! what does not fit is an error in the words of Go's JSON decoder, before anything else is
//! looked at, and amounts get their canonical form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::pointers::is_pointer;
use crate::api::quantity;
use crate::json::go_words;
use crate::schema::{Definitions, Schema};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

/// What does not fit a kind, in the words of Go's JSON decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl From<String> for DecodeError {
    fn from(words: String) -> Self {
        Self(words)
    }
}

/// Reads an object whose kind has this definition. Answers Go's words for what cannot be
/// read; amounts are rewritten in place.
pub fn decode(schema: &Schema, definition: &str, object: &mut Value) -> Result<(), DecodeError> {
    Ok(Walker::of(schema).read(definition, object)?)
}

/// Turns an applied object into one of that kind. It is data by then, and no text: what reads
/// itself does not know where it stands.
pub fn convert(schema: &Schema, definition: &str, object: &mut Value) -> Result<(), DecodeError> {
    let walker = Walker {
        is_text: false,
        ..Walker::of(schema)
    };
    Ok(walker.read(definition, object)?)
}

/// Reads metadata alone, for custom resources: they are Go maps, but for this.
pub fn decode_metadata(schema: &Schema, metadata: &mut Value) -> Result<(), DecodeError> {
    Ok(Walker::of(schema).read(&format!("{META}ObjectMeta"), metadata)?)
}

struct Walker<'d> {
    definitions: &'d Definitions,
    /// The JSON names of the fields down to here; lists and maps have none.
    path: Vec<String>,
    /// Whether it is read from text.
    is_text: bool,
    /// The first value of another type: Go's decoder reads on, and says so at the end.
    misfit: Option<String>,
}

impl<'d> Walker<'d> {
    fn of(schema: &'d Schema) -> Self {
        Self {
            definitions: schema.definitions(),
            path: Vec::new(),
            is_text: true,
            misfit: None,
        }
    }

    fn read(mut self, definition: &str, object: &mut Value) -> Result<(), String> {
        self.definition(definition, object, "")?;
        self.misfit.map_or(Ok(()), Err)
    }

    /// A value of a named type, which stands in a field of the struct `within`.
    fn definition(&mut self, name: &str, value: &mut Value, within: &str) -> Result<(), String> {
        match name {
            QUANTITY => return amount(value),
            INT_OR_STRING => return self.int_or_string(value, within),
            _ if name.starts_with(META) && name.ends_with("Time") => {
                return self.time(value, within);
            }
            _ => {}
        }
        // A schema among schemas, where a list or a boolean may stand as well.
        let either = name.strip_suffix("OrArray").or(name.strip_suffix("OrBool"));
        if let Some(one) = either
            && value.is_object()
        {
            return self.definition(one, value, within);
        }
        let Some(schema) = self.definitions.get(name) else {
            return Ok(());
        };
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return self.schema(schema, value, within);
        };
        match value {
            Value::Null => Ok(()),
            Value::Object(fields) => {
                self.fields(properties, fields, short(name))?;
                let required = schema.get("required").and_then(Value::as_array);
                // A reference need not say a name, and one that is empty is none.
                let is_reference = short(name) == "LocalObjectReference";
                let is_required = |field: &str| {
                    !is_reference && required.is_some_and(|all| all.iter().any(|one| one == field))
                };
                // Of a status nobody has to give anything: what Go always writes is not known here.
                let may_be_zero = required.is_none() && is_reported(short(name));
                fields.retain(|field, value| {
                    properties.get(field).is_none_or(|property| {
                        (is_required(field) && !value.is_null())
                            || (may_be_zero && !value.is_null() && !value.is_array() && !value.is_object())
                            // An empty list of these says something.
                            || (field == "managedFields" && !value.is_null())
                            || !is_left_out(property, value)
                            || (!value.is_null() && is_pointer(name, field))
                    })
                });
                Ok(())
            }
            other => {
                self.note(other, &go_name(name), within);
                Ok(())
            }
        }
    }

    fn fields(
        &mut self,
        properties: &Map<String, Value>,
        fields: &mut Map<String, Value>,
        of: &str,
    ) -> Result<(), String> {
        for (name, value) in fields.iter_mut() {
            if let Some(property) = properties.get(name) {
                self.path.push(name.clone());
                self.schema(property, value, of)?;
                self.path.pop();
            }
        }
        Ok(())
    }

    fn schema(&mut self, schema: &Value, value: &mut Value, within: &str) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        if let Some(name) = reference(schema) {
            return self.definition(name, value, within);
        }
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        match (text("type"), &mut *value) {
            (Some("string"), Value::String(string)) => match text("format") {
                Some("byte") => {
                    if let Err(why) = base64(string) {
                        self.misfit.get_or_insert(why);
                    }
                    Ok(())
                }
                Some("date-time") => self.time(value, within),
                _ => Ok(()),
            },
            (Some("boolean"), Value::Bool(_)) | (Some("number"), Value::Number(_)) => Ok(()),
            (Some("integer"), Value::Number(number)) if is_whole(number) => Ok(()),
            // Bytes may be a list of numbers, too.
            (Some("string"), Value::Array(items)) if text("format") == Some("byte") => {
                let is_byte = |item: &&Value| item.is_number() || item.is_null();
                if let Some(other) = items.iter().find(|item| !is_byte(item)) {
                    self.note(other, "uint8", within);
                }
                let byte = |item: &Value| match item {
                    Value::Null => Some(0),
                    item => item.as_u64().and_then(|byte| u8::try_from(byte).ok()),
                };
                let bytes: Vec<u8> = items.iter().filter_map(byte).collect();
                *value = STANDARD.encode(bytes).into();
                Ok(())
            }
            (Some("array"), Value::Array(items)) => {
                if let Some(of) = schema.get("items") {
                    for item in items {
                        zero(of, item);
                        self.schema(of, item, within)?;
                    }
                }
                Ok(())
            }
            (Some("object"), Value::Object(entries)) => {
                if let Some(of) = schema.get("additionalProperties") {
                    for entry in entries.values_mut() {
                        zero(of, entry);
                        self.schema(of, entry, within)?;
                    }
                }
                Ok(())
            }
            (Some("string" | "boolean" | "number" | "integer" | "array"), other) => {
                self.note(other, &go_type(schema), within);
                Ok(())
            }
            (Some("object"), other) if schema.get("additionalProperties").is_some() => {
                self.note(other, &go_type(schema), within);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn time(&self, value: &Value, within: &str) -> Result<(), String> {
        const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
        match value {
            Value::Null => Ok(()),
            Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => Ok(()),
            Value::String(text) => Err(format!(
                "parsing time {text:?} as {LAYOUT:?}: cannot parse {text:?} as \"2006\""
            )),
            other => Err(self.words(other, "string", within)),
        }
    }

    fn int_or_string(&self, value: &Value, within: &str) -> Result<(), String> {
        match value {
            Value::Null | Value::String(_) => Ok(()),
            Value::Number(number) if is_whole(number) => Ok(()),
            other if !self.is_text => Err(format!(
                "json: cannot unmarshal {} into Go value of type int32",
                go_words::found(other, "int32")
            )),
            other => Err(self.words(other, "int32", within)),
        }
    }

    fn note(&mut self, found: &Value, wanted: &str, within: &str) {
        let is_uid = wanted == "string" && self.path.last().is_some_and(|name| name == "uid");
        let wanted = if is_uid { "types.UID" } else { wanted };
        if self.misfit.is_none() {
            self.misfit = Some(self.words(found, wanted, within));
        }
    }

    fn words(&self, found: &Value, wanted: &str, within: &str) -> String {
        let found = go_words::found(found, wanted);
        if self.path.is_empty() {
            return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
        }
        let path = self.path.join(".");
        format!(
            "json: cannot unmarshal {found} into Go struct field {within}.{path} of type {wanted}"
        )
    }
}

/// Whether a type is what controllers report. Numbers in a Deployment's are left out as anywhere.
fn is_reported(short: &str) -> bool {
    short != "DeploymentStatus"
        && [
            "Status",
            "Condition",
            "State",
            "Info",
            "Endpoint",
            "Image",
            "Attached",
        ]
        .iter()
        .any(|part| short.contains(part))
}

/// Whether Go leaves a field with this value out (`omitempty`), if it is no pointer.
fn is_left_out(schema: &Value, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value && reference(schema).is_none(),
        Value::Number(number) => number.as_f64() == Some(0.0) && reference(schema).is_none(),
        Value::String(text) => text.is_empty() && reference(schema).is_none(),
        Value::Array(items) => items.is_empty() && reference(schema).is_none(),
        // A map; a struct stays.
        Value::Object(members) => {
            members.is_empty() && schema.get("additionalProperties").is_some()
        }
    }
}

/// A null in a list or a map is the zero value of what belongs there.
fn zero(schema: &Value, value: &mut Value) {
    if !value.is_null() {
        return;
    }
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    if text("type") == Some("string") && matches!(text("format"), None | Some("byte")) {
        *value = "".into();
    } else if reference(schema) == Some(QUANTITY) {
        *value = "0".into();
    } else if reference(schema).is_some_and(|name| !name.ends_with("JSON")) {
        *value = Value::Object(Map::new());
    }
}

fn reference(schema: &Value) -> Option<&str> {
    let target = schema
        .get("$ref")
        .or_else(|| schema.get("allOf")?.get(0)?.get("$ref"))?;
    target.as_str()?.rsplit('/').next()
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

/// `io.k8s.api.core.v1.EnvVar` is `EnvVar`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// `io.k8s.api.core.v1.EnvVar` is `v1.EnvVar` to Go.
fn go_name(name: &str) -> String {
    let mut parts = name.rsplit('.');
    match (parts.next(), parts.next()) {
        (Some(name), Some(package)) => format!("{package}.{name}"),
        _ => name.to_owned(),
    }
}

fn go_type(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return go_name(name);
    }
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let inner = |key: &str| schema.get(key).map(go_type).unwrap_or_default();
    match text("type") {
        Some("string") if text("format") == Some("byte") => "[]uint8".to_owned(),
        Some("string") => "string".to_owned(),
        Some("boolean") => "bool".to_owned(),
        Some("integer") => text("format").unwrap_or("int64").to_owned(),
        Some("number") => "float64".to_owned(),
        Some("array") => format!("[]{}", inner("items")),
        Some("object") => format!("map[string]{}", inner("additionalProperties")),
        _ => "interface {}".to_owned(),
    }
}

fn base64(text: &str) -> Result<(), String> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|byte| !is_digit(byte));
    let wrong = match end {
        None => (!bytes.len().is_multiple_of(4)).then_some(bytes.len() / 4 * 4),
        Some(at) => {
            let padding = bytes.get(at..).unwrap_or_default();
            let fits = matches!(padding, [b'='] | [b'=', b'=']) && bytes.len().is_multiple_of(4);
            (!fits).then_some(at)
        }
    };
    match wrong {
        None => Ok(()),
        Some(at) => Err(format!("illegal base64 data at input byte {at}")),
    }
}

fn amount(value: &mut Value) -> Result<(), String> {
    let text = match &*value {
        Value::Null => return Ok(()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    *value = quantity::read(&text).map_err(|why| why.to_string())?.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(definition: &str, mut object: Value) -> Result<Value, String> {
        let (package, kind) = definition.rsplit_once('.').unwrap();
        let group = match package {
            "io.k8s.api.apps.v1" => "apps",
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1" => "apiextensions.k8s.io",
            _ => "",
        };
        let schema = super::super::schema(group, "v1", kind).unwrap();
        let read = decode(&schema, definition, &mut object);
        read.map(|()| object).map_err(|why| why.to_string())
    }

    /// The words were seen on a Kubernetes 1.34.
    #[test]
    fn what_does_not_fit_is_told_in_gos_words() {
        let deployment = "io.k8s.api.apps.v1.Deployment";
        let container =
            |container: Value| json!({"spec": {"template": {"spec": {"containers": container}}}});
        for (object, words) in [
            (
                json!({"spec": {"replicas": "two"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": {"replicas": 1.5}}),
                "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": []}),
                "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
            ),
            (
                json!({"spec": {"paused": "yes"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
            ),
            (
                container(json!([{"env": [{"name": "A", "value": 1}]}])),
                "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
            ),
            (
                container(json!({})),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                container(json!([{"resources": {"limits": {"cpu": "lots"}}}])),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({"metadata": {"creationTimestamp": "yesterday"}}),
                "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
            ),
        ] {
            assert_eq!(read(deployment, object).unwrap_err(), words);
        }
        assert_eq!(
            read("io.k8s.api.core.v1.Secret", json!({"data": {"a": "%%"}})).unwrap_err(),
            "illegal base64 data at input byte 0"
        );
        assert_eq!(
            read("io.k8s.api.core.v1.ConfigMap", json!({"data": []})).unwrap_err(),
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"
        );
    }

    #[test]
    fn what_go_always_writes_of_a_status_stays() {
        let pod = json!({"status": {"containerStatuses": [{"name": "c", "ready": false, "restartCount": 0, "started": false}]}});
        assert_eq!(read("io.k8s.api.core.v1.Pod", pod.clone()).unwrap(), pod);
    }

    #[test]
    fn what_a_schema_says_by_false_and_nothing_stays() {
        let name =
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
        let object = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {
            "default": false, "additionalProperties": false, "minimum": 0, "items": {"default": ""}}}}]}});
        let mut read = read(name, object.clone()).unwrap();
        let schema = "/spec/versions/0/schema";
        assert_eq!(read.pointer_mut(schema), object.clone().pointer_mut(schema));
    }

    /// Seen on a Kubernetes 1.34: its objects are Go structs, and what is empty is left out.
    #[test]
    fn what_is_empty_is_left_out_unless_it_is_a_pointer() {
        let map = json!({"data": {}, "immutable": false, "metadata": {
            "labels": {}, "finalizers": [], "managedFields": [], "generateName": ""}});
        assert_eq!(
            read("io.k8s.api.core.v1.ConfigMap", map).unwrap(),
            json!({"immutable": false, "metadata": {"managedFields": []}})
        );
        let pod = json!({"spec": {"hostNetwork": false, "terminationGracePeriodSeconds": 0, "nodeName": "",
            "securityContext": {}, "containers": [{"name": "", "args": [], "env": [{"name": "A", "value": ""}]}]}});
        assert_eq!(
            read("io.k8s.api.core.v1.Pod", pod).unwrap(),
            json!({"spec": {"terminationGracePeriodSeconds": 0, "securityContext": {},
                "containers": [{"name": "", "env": [{"name": "A"}]}]}})
        );
        let nulls = json!({"data": {"a": null}});
        assert_eq!(
            read("io.k8s.api.core.v1.ConfigMap", nulls).unwrap(),
            json!({"data": {"a": ""}})
        );
    }

    #[test]
    fn amounts_get_their_canonical_form_and_nulls_are_nothing() {
        let pod = json!({"metadata": null, "spec": {"containers": [{
            "name": "c", "image": null, "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": "http"}},
            "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": "1000m"}}}]}});
        let read = read("io.k8s.api.core.v1.Pod", pod).unwrap();
        assert_eq!(
            read["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}})
        );
    }
}
