//! A JSON value that is kept as text.

use serde_json::Value;

/// A value that is kept for long and read seldom, as its text: a tree takes several times as
/// much, since each object in it has room for eleven fields. An agent keeps thousands.
///
/// Texts are equal where the values are: fields stand sorted in both.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The text of a value.
    pub fn of(value: &Value) -> Self {
        Self(value.to_string().into_boxed_str())
    }

    /// The value, parsed anew at each call; `Null` never happens for what [`Self::of`] made of
    /// anything else.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for JsonText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_comes_back_as_it_was_and_equal_values_are_equal_texts() {
        let value = json!({"b": [1, 2.5, "ü\n", null], "a": {"x": true}});
        let text = JsonText::of(&value);
        assert_eq!(text.value(), value);
        let other: Value =
            serde_json::from_str(r#"{"a":{"x":true},"b":[1,2.5,"ü\n",null]}"#).unwrap();
        assert_eq!(text, JsonText::of(&other));
        assert_ne!(text, JsonText::of(&json!({"a": 1})));
    }
}
