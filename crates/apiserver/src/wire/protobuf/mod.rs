//! Protobuf bodies, which Go's typed clients send for Kubernetes' own kinds: `kubectl create
//! configmap`, `kubectl auth can-i`, controllers. They are read into the same JSON as all
//! other bodies; answers are JSON, which every such client takes too.
//!
//! `messages.txt` says how the messages are laid out, one a line:
//! `core.v1.EnvVar name=1:string value=2:string valueFrom=3:core.v1.EnvVarSource`. It is made
//! from the `protobuf` and `json` tags of Kubernetes' Go types by `tests/oracle/protobuf`.
//!
//! | form | says |
//! |---|---|
//! | `name=3:type` | the field `name` is number 3 |
//! | `name?=3:type` | a Go pointer: there when it is zero too |
//! | `^=3:type` | the fields of that message stand in this one |
//! | `[]type`, `{}type` | a list; a map from strings |

mod layout;
mod wire;

use serde_json::{Map, Value};

use layout::{Field, Kind, Message};
use wire::{Reader, Wire};

/// What an encoded object begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest no deeper in any kind; a body that does is nonsense.
const DEPTH: u8 = 64;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It is not what it says it is.
    #[error("{0}")]
    Malformed(&'static str),
    /// A kind whose layout is not known here.
    #[error("objects of {0} are not read from protobuf here")]
    Unknown(String),
}

/// Reads an encoded object; `apiVersion` and `kind` come from its envelope.
pub fn decode(bytes: &[u8]) -> Result<Value, Broken> {
    let body = bytes.strip_prefix(MAGIC).ok_or(Broken::Malformed(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
    ))?;
    let mut api_version = String::new();
    let mut kind = String::new();
    let mut raw: &[u8] = &[];
    let mut envelope = Reader::new(body);
    while let Some((number, value)) = envelope.next()? {
        match (number, value) {
            (1, Wire::Bytes(bytes)) => {
                let mut meta = Reader::new(bytes);
                while let Some((number, value)) = meta.next()? {
                    match (number, value) {
                        (1, Wire::Bytes(text)) => api_version = string(text)?,
                        (2, Wire::Bytes(text)) => kind = string(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = layout::name(&api_version, &kind);
    let message = layout::find(&name)
        .ok_or_else(|| Broken::Unknown(format!("{api_version}, Kind={kind}")))?;
    let mut object = Map::new();
    read(message, raw, &mut object, DEPTH)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn string(bytes: &[u8]) -> Result<String, Broken> {
    String::from_utf8(bytes.to_owned()).map_err(|_| Broken::Malformed("a string is not UTF-8"))
}

fn read(
    message: &Message,
    bytes: &[u8],
    into: &mut Map<String, Value>,
    depth: u8,
) -> Result<(), Broken> {
    let depth = depth
        .checked_sub(1)
        .ok_or(Broken::Malformed("messages nest too deep"))?;
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        // Fields that are not known are skipped, as protobuf has it.
        let Some(field) = message.field(number) else {
            continue;
        };
        put(field, &value, into, depth)?;
    }
    Ok(())
}

fn put(
    field: &Field,
    wire: &Wire<'_>,
    into: &mut Map<String, Value>,
    depth: u8,
) -> Result<(), Broken> {
    match (&field.kind, wire) {
        (Kind::Message(inner), Wire::Bytes(bytes)) if field.name == layout::INLINE => {
            let inner = message_of(inner)?;
            read(inner, bytes, into, depth)
        }
        (Kind::List(item), Wire::Bytes(bytes)) if **item == Kind::Int => {
            // Numbers may come packed.
            let mut packed = Reader::new(bytes);
            while let Some(number) = packed.packed()? {
                list(into, field).push(signed(number).into());
            }
            Ok(())
        }
        (Kind::List(item), wire) => {
            let item = scalar(item, wire, depth)?;
            list(into, field).push(item);
            Ok(())
        }
        (Kind::Map(kind), Wire::Bytes(bytes)) => {
            let (key, value) = entry(kind, bytes, depth)?;
            let map = crate::json::object::map_in(into, field.name);
            map.insert(key, value);
            Ok(())
        }
        (kind, wire) => {
            let value = scalar(kind, wire, depth)?;
            // Go writes zeros too, where only pointers can tell them from nothing.
            if field.pointer || !is_zero(&value) {
                into.insert(field.name.to_owned(), value);
            }
            Ok(())
        }
    }
}

fn list<'a>(into: &'a mut Map<String, Value>, field: &Field) -> &'a mut Vec<Value> {
    let place = into
        .entry(field.name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    match place {
        Value::Array(items) => items,
        _ => unreachable!("made a list on the lines above"),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn message_of(name: &str) -> Result<&'static Message, Broken> {
    layout::find(name).ok_or_else(|| Broken::Unknown(name.to_owned()))
}

/// An entry of a map: a message of a key and a value.
fn entry(kind: &Kind, bytes: &[u8], depth: u8) -> Result<(String, Value), Broken> {
    let mut key = String::new();
    let mut value = match kind {
        Kind::List(_) => Value::Array(Vec::new()),
        Kind::Message(_) => Value::Object(Map::new()),
        _ => Value::from(""),
    };
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire, kind) {
            (1, Wire::Bytes(text), _) => key = string(text)?,
            // A map of lists holds messages of one list each.
            (2, Wire::Bytes(bytes), Kind::List(item)) => {
                let mut items = Vec::new();
                let mut inner = Reader::new(bytes);
                while let Some((_, wire)) = inner.next()? {
                    items.push(scalar(item, &wire, depth)?);
                }
                value = Value::Array(items);
            }
            (2, wire, kind) => value = scalar(kind, &wire, depth)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn scalar(kind: &Kind, wire: &Wire<'_>, depth: u8) -> Result<Value, Broken> {
    use base64::Engine as _;
    Ok(match (kind, wire) {
        (Kind::String, Wire::Bytes(bytes)) => string(bytes)?.into(),
        (Kind::Bool, Wire::Number(number)) => (*number != 0).into(),
        (Kind::Int, Wire::Number(number)) => signed(*number).into(),
        (Kind::Double, Wire::Fixed(bits)) => f64::from_bits(*bits).into(),
        (Kind::Bytes, Wire::Bytes(bytes)) => base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into(),
        (Kind::Quantity, Wire::Bytes(bytes)) => parts(bytes)?.1.into(),
        (Kind::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Kind::Time, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        (Kind::MicroTime, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        (Kind::Json, Wire::Bytes(bytes)) => {
            serde_json::from_str(&parts(bytes)?.1).unwrap_or(Value::Null)
        }
        (Kind::Message(name), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            read(message_of(name)?, bytes, &mut object, depth)?;
            Value::Object(object)
        }
        _ => {
            return Err(Broken::Malformed(
                "a field is of another type than it should",
            ));
        }
    })
}

/// The numbers and the text of a small message.
fn parts(bytes: &[u8]) -> Result<([i64; 4], String), Broken> {
    let mut numbers = [0; 4];
    let mut text = String::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match wire {
            Wire::Number(value) => {
                let place = usize::try_from(number)
                    .ok()
                    .and_then(|at| numbers.get_mut(at));
                if let Some(place) = place {
                    *place = signed(value);
                }
            }
            Wire::Bytes(bytes) => text = string(bytes)?,
            Wire::Fixed(_) => {}
        }
    }
    Ok((numbers, text))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Broken> {
    let ([_, is_text, number, _], text) = parts(bytes)?;
    Ok(if is_text == 1 {
        text.into()
    } else {
        number.into()
    })
}

fn time(bytes: &[u8], format: &str) -> Result<Value, Broken> {
    let ([_, seconds, nanos, _], _) = parts(bytes)?;
    if seconds == 0 && nanos == 0 {
        return Ok(Value::Null);
    }
    let nanos = i32::try_from(nanos).unwrap_or(0);
    let at = jiff::Timestamp::new(seconds, nanos)
        .map_err(|_| Broken::Malformed("a time is out of range"))?;
    Ok(at.strftime(format).to_string().into())
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "protobuf's negative numbers are varints of their two's complement"
)]
fn signed(number: u64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests;
