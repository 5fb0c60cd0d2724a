//! JSON text to a document with places. YAML parsers take most JSON, but not tabs and not
//! surrogate pairs, and they read `"a":1` in flow style with rules of their own.

use std::collections::HashSet;

use serde_json::Number;

use super::node::{At, Entry, Kind, Node};
use super::words::say;
use super::yaml::{Parsed, Wrong};

/// As deep as serde_json goes.
const MAX_DEPTH: usize = 128;

/// Parses one JSON text.
pub(super) fn parse(text: &str) -> Result<Parsed, Wrong> {
    let mut reader = Reader {
        rest: text,
        at: At { line: 1, column: 1 },
        wrong: Vec::new(),
    };
    let root = reader.value(0)?;
    reader.blanks();
    if !reader.rest.is_empty() {
        return Err(reader.fail("there is something after the end of the JSON value"));
    }
    Ok(Parsed {
        root,
        wrong: reader.wrong,
    })
}

struct Reader<'a> {
    rest: &'a str,
    at: At,
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn fail(&self, message: &'static str) -> Wrong {
        Wrong::new(self.at, say("this is not JSON: ").ours(message))
            .hint("check commas, quotes and brackets here and in the line above")
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn blanks(&mut self) {
        while self.rest.starts_with([' ', '\t', '\r', '\n']) {
            self.next();
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.starts_with(wanted);
        if found {
            self.next();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, Wrong> {
        if depth > MAX_DEPTH {
            return Err(self.fail("it is nested too deeply"));
        }
        self.blanks();
        let at = self.at;
        let kind = match self.rest.chars().next() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Kind::String(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.fail("it ends too early")),
        };
        Ok(Node::new(at, kind))
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Wrong> {
        self.next();
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        loop {
            self.blanks();
            if self.take('}') {
                return Ok(Kind::Map(entries));
            }
            if !entries.is_empty() || !keys.is_empty() {
                if !self.take(',') {
                    return Err(self.fail("a comma or } is missing"));
                }
                self.blanks();
            }
            let at = self.at;
            if !self.rest.starts_with('"') {
                return Err(self.fail("a field name in double quotes is missing"));
            }
            let key = self.string()?;
            self.blanks();
            if !self.take(':') {
                return Err(self.fail("a colon is missing"));
            }
            let value = self.value(depth + 1)?;
            if keys.insert(key.clone()) {
                entries.push(Entry { key, at, value });
            } else {
                let first = entries.iter().find(|entry| entry.key == key);
                let line = first.map_or(0, |first| first.at.line);
                self.wrong.push(
                    Wrong::new(at, say("it is already set in line ").ours(line))
                        .field(key)
                        .hint("keep one of the two"),
                );
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Wrong> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.blanks();
            if self.take(']') {
                return Ok(Kind::List(items));
            }
            if !items.is_empty() && !self.take(',') {
                return Err(self.fail("a comma or ] is missing"));
            }
            items.push(self.value(depth + 1)?);
        }
    }

    /// A string is cut out and decoded by serde_json, which knows every escape.
    fn string(&mut self) -> Result<String, Wrong> {
        let text = self.rest;
        let begin = self.at;
        self.next();
        let mut length = 1;
        while let Some(c) = self.next() {
            length += c.len_utf8();
            match c {
                '"' => {
                    let literal = text.get(..length).unwrap_or_default();
                    return serde_json::from_str(literal).map_err(|error| {
                        Wrong::new(begin, say("this is not a JSON string: ").quote(error))
                    });
                }
                '\\' => length += self.next().map_or(0, char::len_utf8),
                '\n' => break,
                _ => {}
            }
        }
        Err(Wrong::new(begin, "this is not JSON: the string has no end").hint("close the quotes"))
    }

    fn word(&mut self) -> Result<Kind, Wrong> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        let kind = match word {
            "null" => Kind::Null,
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            _ => match serde_json::from_str::<Number>(word) {
                Ok(number) => Kind::Number(number),
                Err(_) => return Err(self.fail("a value is missing, or a string has no quotes")),
            },
        };
        for _ in word.chars() {
            self.next();
        }
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_back(value in json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            prop_assert_eq!(parse(&text).unwrap().root.to_json(), value);
        }

        #[test]
        fn anything_is_read_or_refused(text: String) {
            let ours = parse(&text).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn a_missing_comma_is_shown_where_it_is_missing() {
        let wrong = parse("{\n\t\"a\": 1\n\t\"b\": 2}").unwrap_err();
        assert_eq!((wrong.at.line, wrong.at.column), (3, 2));
        assert!(wrong.message.text(true).contains("a comma or } is missing"));
    }
}
