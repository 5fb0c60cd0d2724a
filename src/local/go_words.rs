//! What Go's JSON decoder calls the values that it finds.

use serde_json::Value;

/// The sort of a value.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value where another type was wanted; whole numbers that do not fit are told with their figures.
pub fn found(value: &Value, wanted: &str) -> String {
    match value {
        Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
        other => kind(other).to_owned(),
    }
}
