//! Value validations of a node: bounds, patterns, enums and the logic junctors.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Number, Value};

use super::node::Kind;

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub required: Vec<Arc<str>>,
    pub allowed: Vec<Value>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<Number>,
    pub min_length: Option<u64>,
    /// Below zero everything is too long.
    pub max_length: Option<i64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub pattern: Option<Pattern>,
    pub format: Option<Arc<str>>,
    pub all_of: Vec<Nested>,
    pub any_of: Vec<Nested>,
    pub one_of: Vec<Nested>,
    pub not: Option<Box<Nested>>,
}

/// A limit of a number, and whether the limit itself is out.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub limit: Number,
    pub exclusive: bool,
}

/// A compiled pattern that remembers how it was written.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub text: Arc<str>,
    pub regex: Regex,
}

/// A schema under `allOf`, `anyOf`, `oneOf` or `not`: it validates and nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nested {
    pub kind: Option<Kind>,
    pub rules: Rules,
    pub properties: Vec<(Arc<str>, Nested)>,
    pub additional: Option<Box<Nested>>,
    pub items: Option<Box<Nested>>,
}

impl Rules {
    /// Reads the value validations of a schema; `None` where it has none.
    pub(crate) fn parse(schema: &Value) -> Option<Self> {
        let count = |name: &str| schema.get(name).and_then(Value::as_u64);
        let number = |name: &str| match schema.get(name) {
            Some(Value::Number(number)) => Some(number.clone()),
            _ => None,
        };
        let is = |name: &str| schema.get(name) == Some(&Value::Bool(true));
        let nested = |name: &str| -> Vec<Nested> {
            schema
                .get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                // A reference under allOf is the type itself, not a validation.
                .filter(|one| one.get("$ref").is_none())
                .map(Nested::parse)
                .collect()
        };
        let rules = Self {
            required: schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(Arc::from)
                .collect(),
            allowed: schema
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            minimum: number("minimum").map(|limit| Bound {
                limit,
                exclusive: is("exclusiveMinimum"),
            }),
            maximum: number("maximum").map(|limit| Bound {
                limit,
                exclusive: is("exclusiveMaximum"),
            }),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: schema.get("maxLength").and_then(Value::as_i64),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            pattern: schema
                .get("pattern")
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .and_then(Pattern::parse),
            format: schema
                .get("format")
                .and_then(Value::as_str)
                .filter(|name| super::format::is_known(name))
                .map(Arc::from),
            all_of: nested("allOf"),
            any_of: nested("anyOf"),
            one_of: nested("oneOf"),
            not: schema
                .get("not")
                .filter(|not| not.is_object())
                .map(|not| Box::new(Nested::parse(not))),
        };
        (!rules.is_empty()).then_some(rules)
    }

    fn is_empty(&self) -> bool {
        self.required.is_empty()
            && self.allowed.is_empty()
            && self.minimum.is_none()
            && self.maximum.is_none()
            && self.multiple_of.is_none()
            && self.min_length.is_none()
            && self.max_length.is_none()
            && self.min_items.is_none()
            && self.max_items.is_none()
            && self.min_properties.is_none()
            && self.max_properties.is_none()
            && self.pattern.is_none()
            && self.format.is_none()
            && self.all_of.is_empty()
            && self.any_of.is_empty()
            && self.one_of.is_empty()
            && self.not.is_none()
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let regex = Regex::new(text).ok()?;
        Some(Self {
            text: Arc::from(text),
            regex,
        })
    }
}

/// Why a pattern is no regular expression, in Go's words for what is met most.
pub(super) fn unread_pattern(text: &str) -> Option<String> {
    let words = Regex::new(text).err()?.to_string();
    let go = |what: &str| format!("error parsing regexp: {what}: `{text}`");
    Some(if words.contains("unclosed group") {
        go("missing closing )")
    } else if words.contains("unopened group") {
        go("unexpected )")
    } else {
        words
    })
}

impl Nested {
    fn parse(schema: &Value) -> Self {
        let child = |name: &str| {
            let child = schema.get(name).filter(|child| child.is_object());
            child.map(|child| Box::new(Self::parse(child)))
        };
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, property)| (Arc::from(name.as_str()), Self::parse(property)))
            .collect();
        Self {
            kind: match schema.get("type").and_then(Value::as_str) {
                Some("object") => Some(Kind::Object),
                Some("array") => Some(Kind::Array),
                Some("string") => Some(Kind::String),
                Some("integer") => Some(Kind::Integer),
                Some("number") => Some(Kind::Number),
                Some("boolean") => Some(Kind::Boolean),
                _ => None,
            },
            rules: Rules::parse(schema).unwrap_or_default(),
            properties,
            additional: child("additionalProperties"),
            items: child("items"),
        }
    }
}
