//! Reads a value into a Go type and writes it again.

use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

use super::types::{Form, GoStruct, GoType};
use crate::api::quantity;
use crate::apiserver::go_words;

/// Rewrites a value as a struct writes it.
pub fn round_trip(of: &'static GoStruct, value: &mut Value) -> Result<(), String> {
    let mut decoder = Decoder::default();
    decoder.value(&GoType::Struct(of), value, of.name)?;
    decoder.misfit.map_or(Ok(()), Err)
}

/// Go's decoder, on its way through a value.
#[derive(Default)]
struct Decoder {
    /// The names of the fields down to here; lists and maps have none.
    path: Vec<&'static str>,
    /// The first value of another type: the decoder reads on, and says so at the end.
    misfit: Option<String>,
}

impl Decoder {
    /// A value that stands in a field of the struct `within`. An error ends the reading.
    fn value(&mut self, of: &GoType, value: &mut Value, within: &str) -> Result<(), String> {
        if value.is_null() {
            *value = zero(of);
            return Ok(());
        }
        match of {
            GoType::Pointer(of) => return self.value(of, value, within),
            GoType::Struct(of) => match value {
                Value::Object(fields) => return self.fields(of, fields),
                other => self.note(other, &format!("v1.{}", of.name), within),
            },
            GoType::List(item) => match value {
                Value::Array(items) => {
                    for one in items {
                        self.value(item, one, within)?;
                    }
                }
                other => self.note(other, &of.name(), within),
            },
            GoType::Map(_, member) => match value {
                Value::Object(members) => {
                    for one in members.values_mut() {
                        self.value(member, one, within)?;
                    }
                }
                other => self.note(other, &of.name(), within),
            },
            GoType::Text(name) if !value.is_string() => self.note(value, name, within),
            GoType::Flag if !value.is_boolean() => self.note(value, "bool", within),
            GoType::Int32 if !fits::<i32>(value) => self.note(value, "int32", within),
            GoType::Int64 if !fits::<i64>(value) => self.note(value, "int64", within),
            GoType::Opaque(name) if !value.is_object() => self.note(value, name, within),
            GoType::Quantity => return amount(value),
            GoType::IntOrString if !value.is_string() && !fits::<i32>(value) => {
                return Err(self.words(value, "int32", within));
            }
            GoType::Time | GoType::Url => {
                let Value::String(text) = value else {
                    return Err(self.words(value, "string", within));
                };
                *text = match of {
                    GoType::Time => time(text)?,
                    _ => url(text)?,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn fields(
        &mut self,
        of: &'static GoStruct,
        fields: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for (name, mut value) in std::mem::take(fields) {
            let Some((way, field)) = of.find(&name) else {
                continue;
            };
            let depth = self.path.len();
            self.path.extend(way);
            self.path.push(field.name);
            self.value(&field.go_type, &mut value, of.name)?;
            self.path.truncate(depth);
            fields.insert(field.name.to_owned(), value);
        }
        for field in of.all_fields() {
            let value = fields
                .entry(field.name)
                .or_insert_with(|| zero(&field.go_type));
            if field.form == Form::Omitted && is_empty(&field.go_type, value) {
                fields.remove(field.name);
            }
        }
        Ok(())
    }

    fn note(&mut self, found: &Value, wanted: &str, within: &str) {
        if self.misfit.is_none() {
            self.misfit = Some(self.words(found, wanted, within));
        }
    }

    fn words(&self, found: &Value, wanted: &str, within: &str) -> String {
        let found = go_words::found(found, wanted);
        let path = self.path.join(".");
        format!(
            "json: cannot unmarshal {found} into Go struct field {within}.{path} of type {wanted}"
        )
    }
}

fn fits<N: TryFrom<i64>>(value: &Value) -> bool {
    let number = value.as_number().and_then(Number::as_i64);
    number.is_some_and(|number| N::try_from(number).is_ok())
}

/// What Go writes for a value that nobody gave.
pub fn zero(of: &GoType) -> Value {
    match of {
        GoType::Text(_) => json!(""),
        GoType::Flag => json!(false),
        GoType::Int32 | GoType::Int64 | GoType::IntOrString => json!(0),
        GoType::Quantity => json!("0"),
        GoType::Struct(of) => {
            let kept = of.all_fields().into_iter().filter(|field| {
                field.form == Form::Kept || !is_empty(&field.go_type, &zero(&field.go_type))
            });
            kept.map(|field| (field.name.to_owned(), zero(&field.go_type)))
                .collect()
        }
        GoType::Opaque(_) => json!({}),
        GoType::Time | GoType::Url | GoType::Pointer(_) | GoType::List(_) | GoType::Map(..) => {
            Value::Null
        }
    }
}

/// Whether Go leaves it out, where it may.
fn is_empty(of: &GoType, value: &Value) -> bool {
    match (of, value) {
        (_, Value::Null) => true,
        (GoType::Text(_), Value::String(text)) => text.is_empty(),
        (GoType::Flag, Value::Bool(value)) => !value,
        (GoType::Int32 | GoType::Int64, value) => value.as_i64() == Some(0),
        (GoType::List(_), Value::Array(items)) => items.is_empty(),
        (GoType::Map(..), Value::Object(members)) => members.is_empty(),
        _ => false,
    }
}

fn amount(value: &mut Value) -> Result<(), String> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    *value = quantity::read(&text)?.into();
    Ok(())
}

fn time(text: &str) -> Result<String, String> {
    match text.parse::<Timestamp>() {
        Ok(time) => Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        Err(_) => Err(format!(
            "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
        )),
    }
}

/// The escapes are checked; a URL has no place in a spec anyway.
fn url(text: &str) -> Result<String, String> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = rest.get(at..).unwrap_or_default();
        let escape = rest.get(1..3).unwrap_or_default();
        if escape.len() < 2 || !escape.chars().all(|digit| digit.is_ascii_hexdigit()) {
            let shown: String = rest.chars().take(3).collect();
            return Err(format!("parse {text:?}: invalid URL escape {shown:?}"));
        }
        rest = rest.get(3..).unwrap_or_default();
    }
    Ok(text.to_owned())
}
