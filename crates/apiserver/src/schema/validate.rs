//! Holding values against types and rules, in the order and the words of Kubernetes
//! (`k8s.io/kube-openapi/pkg/validation/validate`).
//!
//! A change is not held against what it leaves as it was: the faults of a part that equals its older
//! self are let off ("ratcheting").

use serde_json::{Map, Number, Value};

use super::correlate::{self, Old};
use super::field_error::{FieldError, FieldErrorReason, NOWHERE};
use super::format;
use super::node::{Kind, TypeRef};
use super::numbers;
use super::rules::{Nested, Rules};

pub(super) fn validate(root: TypeRef<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut walker = Walker::default();
    // Metadata has no schema, so that no whole object is seen to be the same.
    walker.held(root, object, Old::of(old));
    walker.errors
}

pub(super) fn validate_field(
    root: TypeRef<'_>,
    name: &str,
    value: &Value,
    old: Option<&Value>,
) -> Vec<FieldError> {
    let mut walker = Walker::default();
    walker.typed(root.member(name), value, Old::of(old));
    let mut errors = walker.errors;
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
    fn typed(&mut self, typed: TypeRef<'_>, value: &Value, old: Old<'_>) {
        let before = self.errors.len();
        self.held(typed, value, old);
        if self.errors.len() > before
            && old
                .value
                .is_some_and(|old| correlate::same(typed, value, old))
        {
            self.errors.truncate(before);
        }
    }

    fn held(&mut self, typed: TypeRef<'_>, value: &Value, old: Old<'_>) {
        let node = typed.node();
        let format = node
            .rules
            .as_ref()
            .and_then(|rules| rules.format.as_deref());
        let fits = if value.is_null() {
            node.nullable || node.kind == Kind::Any
        } else {
            accepts(node.kind, format, value)
        };
        if !fits {
            self.wrong_type(node.kind, format, value);
        }
        if value.is_null() {
            // Null is none of the values that may be, whatever they are.
            if let Some(rules) = &node.rules {
                self.allowed(rules, value);
            }
            return;
        }
        // What is of the wrong type is not among the allowed values either, and told so too.
        if let Some(rules) = &node.rules {
            self.rules(rules, typed, value, old);
        }
        match value {
            Value::Object(object) => {
                let is_root = self.path.is_empty();
                for (name, member) in object {
                    let named = typed.field(name);
                    let declared = || typed.additional().filter(|_| node.additional_declared);
                    let is_named = named.is_some();
                    if let Some(member_type) = named.or_else(declared) {
                        let length = self.enter(name, is_named);
                        let old = old.member(typed, name, is_root);
                        self.typed(member_type, member, old);
                        self.path.truncate(length);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = self.enter_index(index);
                    self.typed(typed.item(), item, old.item(typed, item));
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, rules: &Rules, typed: TypeRef<'_>, value: &Value, old: Old<'_>) {
        self.junctors(rules, typed, value, old);
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
        if !rules.allowed.is_empty() && !rules.allowed.iter().any(|one| numbers::is_one(value, one))
        {
            self.add(FieldError::not_supported(
                self.path.clone(),
                value,
                &rules.allowed,
            ));
        }
    }

    fn string(&mut self, rules: &Rules, text: &str, value: &Value) {
        let length = text.chars().count();
        // The first of these that fails is told alone.
        if let Some(max) = rules.max_length
            && length as i64 > max
        {
            let why = match max {
                1 => "may not be more than 1 byte".to_owned(),
                0.. => format!("may not be more than {max} bytes"),
                _ => "value is too long".to_owned(),
            };
            self.push(FieldErrorReason::TooLong, format!("Too long: {why}"));
        } else if let Some(min) = rules.min_length
            && (length as u64) < min
        {
            self.body(value, &format!("should be at least {min} chars long"));
        } else if let Some(pattern) = &rules.pattern
            && !pattern.regex.is_match(text)
        {
            self.body(value, &format!("should match '{}'", pattern.text));
        }
        if let Some(name) = &rules.format
            && !format::is_valid(name, text)
        {
            self.of_another_type(name, text);
        }
    }

    fn number(&mut self, rules: &Rules, number: &Number, value: &Value) {
        match rules
            .multiple_of
            .as_ref()
            .map(|by| numbers::multiple(number, by))
        {
            None | Some(numbers::Multiple::Is) => {}
            Some(numbers::Multiple::IsNot(by)) => {
                self.body(value, &format!("should be a multiple of {by}"));
            }
            Some(numbers::Multiple::OfNothing(by)) => {
                let why = format!(
                    "factor MultipleOf declared for {} must be positive: {by}",
                    self.path
                );
                let value = Value::Number(by);
                self.add(FieldError::invalid(self.path.clone(), &value, &why));
            }
        }
        if let Some(bound) = &rules.minimum
            && let Some(limit) = numbers::below(number, bound)
        {
            let equal = if bound.exclusive { "" } else { " or equal to" };
            self.body(value, &format!("should be greater than{equal} {limit}"));
        }
        if let Some(bound) = &rules.maximum
            && let Some(limit) = numbers::above(number, bound)
        {
            let equal = if bound.exclusive { "" } else { " or equal to" };
            self.body(value, &format!("should be less than{equal} {limit}"));
        }
    }

    fn list(&mut self, rules: &Rules, length: usize) {
        let length = length as u64;
        if let Some(min) = rules.min_items
            && length < min
        {
            self.body(
                &Value::from(length),
                &format!("should have at least {min} items"),
            );
        }
        if let Some(max) = rules.max_items
            && length > max
        {
            self.too_many(length, max);
        }
    }

    fn object(&mut self, rules: &Rules, object: &Map<String, Value>) {
        let size = object.len() as u64;
        if let Some(min) = rules.min_properties
            && size < min
        {
            self.body(
                &Value::from(size),
                &format!("should have at least {min} properties"),
            );
        }
        if let Some(max) = rules.max_properties
            && size > max
        {
            self.too_many(size, max);
        }
        for name in &rules.required {
            if !object.contains_key(name.as_ref()) {
                let length = self.enter(name, true);
                self.add(FieldError::required(self.path.clone(), ""));
                self.path.truncate(length);
            }
        }
    }

    fn junctors(&mut self, rules: &Rules, typed: TypeRef<'_>, value: &Value, old: Old<'_>) {
        let mut tried = |some: &[Nested]| -> Vec<Vec<FieldError>> {
            some.iter()
                .map(|one| self.tried(one, typed, value, old))
                .collect()
        };
        let (any_of, one_of, all_of) = (
            tried(&rules.any_of),
            tried(&rules.one_of),
            tried(&rules.all_of),
        );
        if !any_of.is_empty() && !any_of.iter().any(Vec::is_empty) {
            self.junctor("must validate at least one schema (anyOf)");
            self.add_all(best(any_of));
        }
        match one_of.iter().filter(|errors| errors.is_empty()).count() {
            1 => {}
            0 if one_of.is_empty() => {}
            0 => {
                self.junctor("must validate one and only one schema (oneOf). Found none valid");
                self.add_all(best(one_of));
            }
            valid => self.junctor(&format!(
                "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            )),
        }
        let valid = all_of.iter().filter(|errors| errors.is_empty()).count();
        if valid < all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            all_of.into_iter().for_each(|errors| self.add_all(errors));
            self.junctor(&format!("must validate all the schemas (allOf){none}"));
        }
        if let Some(not) = &rules.not
            && self.tried(not, typed, value, old).is_empty()
        {
            self.junctor("must not validate the schema (not)");
        }
    }

    /// The faults of a value under a nested schema, kept apart from the walker's own.
    fn tried(
        &mut self,
        nested: &Nested,
        typed: TypeRef<'_>,
        value: &Value,
        old: Old<'_>,
    ) -> Vec<FieldError> {
        let before = std::mem::take(&mut self.errors);
        self.nested(nested, typed, value, old);
        std::mem::replace(&mut self.errors, before)
    }

    fn nested(&mut self, nested: &Nested, typed: TypeRef<'_>, value: &Value, old: Old<'_>) {
        let format = nested.rules.format.as_deref();
        if let Some(kind) = nested.kind
            && !accepts(kind, format, value)
        {
            self.wrong_type(kind, format, value);
            return;
        }
        self.rules(&nested.rules, typed, value, old);
        match value {
            Value::Object(object) => {
                let is_root = self.path.is_empty();
                for (name, member) in object {
                    let named = nested
                        .properties
                        .iter()
                        .find(|(known, _)| **known == **name);
                    let child = named
                        .map(|(_, child)| child)
                        .or(nested.additional.as_deref());
                    if let Some(child) = child {
                        let length = self.enter(name, named.is_some());
                        let old = old.member(typed, name, is_root);
                        self.nested(child, typed.member(name), member, old);
                        self.path.truncate(length);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(child) = &nested.items {
                    for (index, item) in items.iter().enumerate() {
                        let length = self.enter_index(index);
                        self.nested(child, typed.item(), item, old.item(typed, item));
                        self.path.truncate(length);
                    }
                }
            }
            _ => {}
        }
    }

    fn wrong_type(&mut self, kind: Kind, format: Option<&str>, value: &Value) {
        let wanted = match (format, kind) {
            // What has a format is asked for by that, unless it is null, a text or a list.
            (Some(format), _)
                if !matches!(value, Value::Null | Value::String(_) | Value::Array(_)) =>
            {
                let found = match value {
                    Value::Number(number) if number.is_f64() => "float64",
                    Value::Number(_) => "int64",
                    _ => "",
                };
                return self.of_another_type(format, found);
            }
            (_, Kind::Any) => "any",
            (_, Kind::Object) => "object",
            (_, Kind::Array) => "array",
            (_, Kind::String) => "string",
            (_, Kind::Integer) => "integer",
            (_, Kind::Number) => "number",
            (_, Kind::Boolean) => "boolean",
            (_, Kind::IntOrString) => "integer,string",
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
        self.of_another_type(wanted, found);
    }

    fn of_another_type(&mut self, wanted: &str, found: &str) {
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
        self.add(FieldError::invalid(self.path.clone(), value, &detail));
    }

    fn within(&self) -> String {
        format!("{} in body", self.path)
    }

    /// Junctors name the path in the text only: their field is Go's nil path.
    fn junctor(&mut self, what: &str) {
        let message = format!("Invalid value: \"\": {:?} {what}", self.path);
        self.add(FieldError::new(FieldErrorReason::Invalid, "", message));
    }

    fn push(&mut self, reason: FieldErrorReason, message: String) {
        self.add(FieldError::new(reason, self.path.clone(), message));
    }

    /// The same is not told twice. What stands in front of a path that begins nowhere is not part of it.
    fn add(&mut self, mut error: FieldError) {
        if let Some(rest) = error.field.strip_prefix('.') {
            error.field = rest.to_owned();
        }
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn add_all(&mut self, errors: Vec<FieldError>) {
        errors.into_iter().for_each(|error| self.add(error));
    }

    /// Goes into a field; those that are named begin a path without a dot.
    fn enter(&mut self, name: &str, is_named: bool) -> usize {
        let length = self.path.len();
        if length > 0 || !is_named {
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

fn accepts(kind: Kind, format: Option<&str>, value: &Value) -> bool {
    // Texts and lists that a format is said of are not asked for their type, but for numbers' sake.
    let is_unread = format.is_some() && (value.is_string() || value.is_array());
    match kind {
        Kind::Any => true,
        Kind::Object => is_unread || value.is_object(),
        Kind::Array => is_unread || value.is_array(),
        Kind::String => is_unread || value.is_string(),
        Kind::Boolean => is_unread || value.is_boolean(),
        Kind::Integer => numbers::is_whole(value),
        Kind::Number => value.is_number(),
        Kind::IntOrString => numbers::is_whole(value) || value.is_string(),
    }
}

/// Of several failed alternatives, the one that came closest says what to mend.
fn best(failures: Vec<Vec<FieldError>>) -> Vec<FieldError> {
    failures
        .into_iter()
        .min_by_key(Vec::len)
        .unwrap_or_default()
}
