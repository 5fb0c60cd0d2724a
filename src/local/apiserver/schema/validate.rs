//! Validation, worded as the API server words it: clients and people match on it.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};

use super::format;
use super::node::{Kind, ListType, TypeRef};
use super::rules::{Bound, Nested, Rules};

/// What sort of fault a [`FieldError`] is; the `reason` of a `Status` cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorReason {
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
    /// `FieldValueRequired`
    Required,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueForbidden`
    Forbidden,
}

impl FieldErrorReason {
    /// The reason as it stands in a `Status` cause.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Required => "FieldValueRequired",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
        }
    }
}

/// Go prints a nil path so; kubectl shows it as it comes.
const NOWHERE: &str = "<nil>";

/// One fault of an object. Displays as `spec.replicas: Invalid value: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// What sort of fault.
    pub reason: FieldErrorReason,
    /// The path of the field: `spec.template.spec.containers[0].image`.
    pub field: String,
    /// What is said of it: `Required value`, the message of a `Status` cause.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl FieldError {
    /// A missing field that must be there.
    #[must_use]
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self::new(FieldErrorReason::Required, field, message)
    }

    /// A value that is not acceptable, and why.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {}: {detail}", shown(value));
        Self::new(FieldErrorReason::Invalid, field, message)
    }

    /// A value outside a closed list.
    #[must_use]
    pub fn not_supported<'a>(
        field: impl Into<String>,
        value: &Value,
        supported: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let supported: Vec<String> = supported
            .into_iter()
            .map(|value| match value {
                Value::String(text) => format!("{text:?}"),
                other => format!("{:?}", other.to_string()),
            })
            .collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            supported.join(", ")
        );
        Self::new(FieldErrorReason::NotSupported, field, message)
    }

    /// A field that may not be set, or not changed, here.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let message = format!("Forbidden: {detail}");
        Self::new(FieldErrorReason::Forbidden, field, message)
    }

    fn new(reason: FieldErrorReason, field: impl Into<String>, message: String) -> Self {
        let mut field = field.into();
        if field.is_empty() {
            NOWHERE.clone_into(&mut field);
        }
        Self {
            reason,
            field,
            message,
        }
    }
}

/// A value as Go's field errors print it.
fn shown(value: &Value) -> String {
    value.to_string()
}

pub(super) fn validate(root: TypeRef<'_>, object: &Value) -> Vec<FieldError> {
    let mut walker = Walker::default();
    walker.typed(root, object);
    walker.errors
}

pub(super) fn validate_field(root: TypeRef<'_>, name: &str, value: &Value) -> Vec<FieldError> {
    let mut errors = validate(root.member(name), value);
    for error in &mut errors {
        error.field = match error.field.as_str() {
            NOWHERE => name.to_owned(),
            field => format!("{name}.{field}"),
        };
    }
    errors
}

#[derive(Default)]
struct Walker {
    path: String,
    errors: Vec<FieldError>,
}

impl Walker {
    fn typed(&mut self, typed: TypeRef<'_>, value: &Value) {
        let node = typed.node();
        if value.is_null() {
            if !node.nullable && node.kind != Kind::Any {
                self.wrong_type(node.kind, value);
            }
            return;
        }
        let fits = accepts(node.kind, value);
        if !fits {
            self.wrong_type(node.kind, value);
        }
        // What is of the wrong type is not among the allowed values either, and told so too.
        if let Some(rules) = &node.rules {
            self.rules(rules, value);
        }
        if !fits {
            return;
        }
        match value {
            Value::Object(object) => {
                for (name, member) in object {
                    let member_type = typed
                        .field(name)
                        .or_else(|| typed.additional().filter(|_| node.additional_declared));
                    if let Some(member_type) = member_type {
                        let length = self.enter(name);
                        self.typed(member_type, member);
                        self.path.truncate(length);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = self.enter_index(index);
                    self.typed(typed.item(), item);
                    self.path.truncate(length);
                }
                self.unique(&node.list, items);
            }
            _ => {}
        }
    }

    fn rules(&mut self, rules: &Rules, value: &Value) {
        self.junctors(rules, value);
        match value {
            Value::String(text) => self.string(rules, text, value),
            Value::Number(number) => self.number(rules, number, value),
            Value::Array(items) => self.list(rules, items.len()),
            Value::Object(object) => self.object(rules, object),
            _ => {}
        }
        self.allowed(rules, value);
    }

    /// A value of another type is none of those that may be, either.
    fn allowed(&mut self, rules: &Rules, value: &Value) {
        if !rules.allowed.is_empty() && !rules.allowed.iter().any(|one| one == value) {
            let error = FieldError::not_supported(self.path.clone(), value, &rules.allowed);
            self.errors.push(error);
        }
    }

    fn string(&mut self, rules: &Rules, text: &str, value: &Value) {
        let length = text.chars().count() as u64;
        if let Some(max) = rules.max_length
            && length > max
        {
            let unit = if max == 1 { "byte" } else { "bytes" };
            self.push(
                FieldErrorReason::TooLong,
                format!("Too long: may not be more than {max} {unit}"),
            );
        }
        if let Some(min) = rules.min_length
            && length < min
        {
            self.body(value, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = &rules.pattern
            && !pattern.regex.is_match(text)
        {
            self.body(value, &format!("should match '{}'", pattern.text));
        }
        if let Some(name) = &rules.format
            && !format::is_valid(name, text)
        {
            let detail = format!("must be of type {name}: {text:?}");
            self.body(value, &detail);
        }
    }

    fn number(&mut self, rules: &Rules, number: &Number, value: &Value) {
        if let Some(Bound { limit, exclusive }) = &rules.maximum {
            match (compare(number, limit), exclusive) {
                (Ordering::Greater, false) => {
                    self.body(value, &format!("should be less than or equal to {limit}"));
                }
                (Ordering::Greater | Ordering::Equal, true) => {
                    self.body(value, &format!("should be less than {limit}"));
                }
                _ => {}
            }
        }
        if let Some(Bound { limit, exclusive }) = &rules.minimum {
            match (compare(number, limit), exclusive) {
                (Ordering::Less, false) => {
                    self.body(
                        value,
                        &format!("should be greater than or equal to {limit}"),
                    );
                }
                (Ordering::Less | Ordering::Equal, true) => {
                    self.body(value, &format!("should be greater than {limit}"));
                }
                _ => {}
            }
        }
        if let Some(factor) = &rules.multiple_of
            && let (Some(number), Some(by)) = (number.as_f64(), factor.as_f64())
            && by != 0.0
            && (number / by).fract() != 0.0
        {
            self.body(value, &format!("should be a multiple of {factor}"));
        }
    }

    fn list(&mut self, rules: &Rules, length: usize) {
        let length = length as u64;
        if let Some(max) = rules.max_items
            && length > max
        {
            self.too_many(length, max);
        }
        if let Some(min) = rules.min_items
            && length < min
        {
            self.body(
                &Value::from(length),
                &format!("should have at least {min} items"),
            );
        }
    }

    fn object(&mut self, rules: &Rules, object: &Map<String, Value>) {
        for name in &rules.required {
            if !object.contains_key(name.as_ref()) {
                let length = self.enter(name);
                let error = FieldError::required(self.path.clone(), "");
                self.errors.push(error);
                self.path.truncate(length);
            }
        }
        let size = object.len() as u64;
        if let Some(max) = rules.max_properties
            && size > max
        {
            self.too_many(size, max);
        }
        if let Some(min) = rules.min_properties
            && size < min
        {
            self.body(
                &Value::from(size),
                &format!("should have at least {min} properties"),
            );
        }
    }

    fn junctors(&mut self, rules: &Rules, value: &Value) {
        if !rules.any_of.is_empty() {
            let failures: Vec<_> = rules
                .any_of
                .iter()
                .map(|one| self.tried(one, value))
                .collect();
            if !failures.iter().any(Vec::is_empty) {
                self.junctor("must validate at least one schema (anyOf)");
                self.errors.extend(best(failures));
            }
        }
        if !rules.one_of.is_empty() {
            let failures: Vec<_> = rules
                .one_of
                .iter()
                .map(|one| self.tried(one, value))
                .collect();
            match failures.iter().filter(|errors| errors.is_empty()).count() {
                1 => {}
                0 => {
                    self.junctor(
                        "must validate one and only one schema (oneOf). Found none valid",
                    );
                    self.errors.extend(best(failures));
                }
                valid => self.junctor(&format!(
                    "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
                )),
            }
        }
        if !rules.all_of.is_empty() {
            let failures: Vec<_> = rules
                .all_of
                .iter()
                .map(|one| self.tried(one, value))
                .collect();
            let valid = failures.iter().filter(|errors| errors.is_empty()).count();
            if valid < failures.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                self.errors.extend(failures.into_iter().flatten());
                self.junctor(&format!("must validate all the schemas (allOf){none}"));
            }
        }
        if let Some(not) = &rules.not
            && self.tried(not, value).is_empty()
        {
            self.junctor("must not validate the schema (not)");
        }
    }

    /// The faults of a value under a nested schema, kept apart from the walker's own.
    fn tried(&mut self, nested: &Nested, value: &Value) -> Vec<FieldError> {
        let before = std::mem::take(&mut self.errors);
        self.nested(nested, value);
        std::mem::replace(&mut self.errors, before)
    }

    fn nested(&mut self, nested: &Nested, value: &Value) {
        if let Some(kind) = nested.kind
            && !accepts(kind, value)
        {
            self.wrong_type(kind, value);
            return;
        }
        self.rules(&nested.rules, value);
        match value {
            Value::Object(object) => {
                for (name, member) in object {
                    let named = nested
                        .properties
                        .iter()
                        .find(|(known, _)| **known == **name);
                    let child = named
                        .map(|(_, child)| child)
                        .or(nested.additional.as_deref());
                    if let Some(child) = child {
                        let length = self.enter(name);
                        self.nested(child, member);
                        self.path.truncate(length);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(child) = &nested.items {
                    for (index, item) in items.iter().enumerate() {
                        let length = self.enter_index(index);
                        self.nested(child, item);
                        self.path.truncate(length);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sets and keyed lists hold each item once.
    fn unique(&mut self, list: &ListType, items: &[Value]) {
        let keys: Vec<Value> = match list {
            ListType::Atomic => return,
            ListType::Set => items.to_vec(),
            ListType::Map(names) => items
                .iter()
                .map(|item| {
                    let key = names.iter().filter_map(|name| {
                        let value = item.get(name.as_ref())?;
                        Some((name.to_string(), value.clone()))
                    });
                    Value::Object(key.collect())
                })
                .collect(),
        };
        for (index, key) in keys.iter().enumerate() {
            let earlier = keys.iter().take(index).filter(|one| *one == key);
            // A third one is not told of again.
            if earlier.count() == 1 {
                let length = self.enter_index(index);
                self.push(
                    FieldErrorReason::Duplicate,
                    format!("Duplicate value: {}", shown(key)),
                );
                self.path.truncate(length);
            }
        }
    }

    fn wrong_type(&mut self, kind: Kind, value: &Value) {
        let wanted = match kind {
            Kind::Any => "any",
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::IntOrString => "integer,string",
        };
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let within = self.within();
        self.push(
            FieldErrorReason::TypeInvalid,
            format!("Invalid value: {found:?}: {within} must be of type {wanted}: {found:?}"),
        );
    }

    fn too_many(&mut self, size: u64, max: u64) {
        let unit = if max == 1 { "item" } else { "items" };
        self.push(
            FieldErrorReason::TooMany,
            format!("Too many: {size}: must have at most {max} {unit}"),
        );
    }

    /// `PATH in body should ...`
    fn body(&mut self, value: &Value, what: &str) {
        let detail = format!("{} {what}", self.within());
        let error = FieldError::invalid(self.path.clone(), value, &detail);
        self.errors.push(error);
    }

    fn within(&self) -> String {
        if self.path.is_empty() {
            " in body".to_owned()
        } else {
            format!("{} in body", self.path)
        }
    }

    /// Junctors name the path in the text only: their field is Go's nil path.
    fn junctor(&mut self, what: &str) {
        let message = format!("Invalid value: \"\": {:?} {what}", self.path);
        let error = FieldError::new(FieldErrorReason::Invalid, "", message);
        self.errors.push(error);
    }

    fn push(&mut self, reason: FieldErrorReason, message: String) {
        let error = FieldError::new(reason, self.path.clone(), message);
        self.errors.push(error);
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }

    fn enter_index(&mut self, index: usize) -> usize {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        length
    }
}

fn accepts(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Any => true,
        Kind::Object => value.is_object(),
        Kind::Array => value.is_array(),
        Kind::String => value.is_string(),
        Kind::Integer => match value {
            Value::Number(number) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
            _ => false,
        },
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::IntOrString => value.is_number() || value.is_string(),
    }
}

/// Of several failed alternatives, the one that came closest says what to mend.
fn best(failures: Vec<Vec<FieldError>>) -> Vec<FieldError> {
    failures
        .into_iter()
        .min_by_key(Vec::len)
        .unwrap_or_default()
}

fn compare(left: &Number, right: &Number) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left
            .as_f64()
            .partial_cmp(&right.as_f64())
            .unwrap_or(Ordering::Equal),
    }
}
