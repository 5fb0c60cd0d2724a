//! What Go calls the values that it finds in JSON.

use serde_json::Value;

/// The sort of a value, as its decoder tells it.
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

/// The type of a value once it is read, as `%T` prints it.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value where another type was wanted; whole numbers that do not fit are told with their figures.
pub fn found(value: &Value, wanted: &str) -> String {
    match value {
        Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
        other => kind(other).to_owned(),
    }
}
