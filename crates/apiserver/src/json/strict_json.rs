//! JSON as clients send it: which fields are there twice, and Go's words about what is none.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A body, read, and what is written in it twice.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// What it says.
    pub value: Value,
    /// The paths of fields that are there more than once; the last one counts.
    pub duplicates: Vec<String>,
}

impl From<Value> for Sent {
    fn from(value: Value) -> Self {
        Self {
            value,
            duplicates: Vec::new(),
        }
    }
}

/// Parses JSON and notes fields that are there more than once.
pub fn parse(bytes: &[u8]) -> Result<Sent, serde_json::Error> {
    let notes = RefCell::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Reader(&notes).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Sent {
        value,
        duplicates: notes.into_inner().duplicates,
    })
}

/// Reads any other form of the same data, and notes the same.
pub fn from<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sent, D::Error> {
    let notes = RefCell::default();
    let value = Reader(&notes).deserialize(deserializer)?;
    Ok(Sent {
        value,
        duplicates: notes.into_inner().duplicates,
    })
}

#[derive(Default)]
struct Notes {
    path: String,
    duplicates: Vec<String>,
}

#[derive(Clone, Copy)]
struct Reader<'n>(&'n RefCell<Notes>);

impl Reader<'_> {
    /// Goes into a member; the length to come back to.
    fn enter(self, step: fmt::Arguments<'_>) -> usize {
        use fmt::Write as _;
        let notes = &mut *self.0.borrow_mut();
        let length = notes.path.len();
        let _ = notes.path.write_fmt(step);
        length
    }

    fn leave(self, length: usize) {
        self.0.borrow_mut().path.truncate(length);
    }

    fn note(self) {
        let notes = &mut *self.0.borrow_mut();
        notes.duplicates.push(notes.path.clone());
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let length = self.enter(format_args!("[{}]", list.len()));
            let item = items.next_element_seed(self)?;
            self.leave(length);
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let dot = if self.0.borrow().path.is_empty() {
                ""
            } else {
                "."
            };
            let length = self.enter(format_args!("{dot}{name}"));
            if map.contains_key(&name) {
                self.note();
            }
            let value = members.next_value_seed(self)?;
            self.leave(length);
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// What Go's decoder says of the same text.
pub fn go_words(error: &serde_json::Error, bytes: &[u8]) -> String {
    if error.is_eof() || bytes.is_empty() {
        return "unexpected end of JSON input".to_owned();
    }
    let line = bytes
        .split(|byte| *byte == b'\n')
        .nth(error.line().saturating_sub(1));
    let found = line.and_then(|line| line.get(error.column().saturating_sub(1)));
    match found.map(|byte| char::from(*byte)) {
        Some('\'') => "invalid character '\\'' looking for beginning of value".to_owned(),
        Some(c) => format!("invalid character {c:?} looking for beginning of value"),
        None => error.to_string(),
    }
}

/// A value as Go prints a map of anything: `map[spec:map[replicas:two]]`.
pub fn go_map(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_map).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let members: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{name}:{}", go_map(value)))
                .collect();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_of_two_counts_and_both_are_noted() {
        let text = br#"{"a": 1, "b": [{"c": null, "c": true}], "a": {"d": "x", "d": 1.5}}"#;
        let sent = parse(text).unwrap();
        assert_eq!(sent.value, json!({"a": {"d": 1.5}, "b": [{"c": true}]}));
        assert_eq!(sent.duplicates, ["b[0].c", "a", "a.d"]);
        let plain = parse(br#"{"a": [1, -2, "x"]}"#).unwrap();
        assert!(plain.duplicates.is_empty());
    }

    #[test]
    fn what_is_no_json_is_told_in_gos_words() {
        for (text, words) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            (
                "{\"a\": x}",
                "invalid character 'x' looking for beginning of value",
            ),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(go_words(&error, text.as_bytes()), words, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err(), "and no stack overflows");
        assert_eq!(
            go_map(&json!({"a": {"b": ["x", 1]}})),
            "map[a:map[b:[x 1]]]"
        );
    }
}
