//! One fault of an object, worded as the API server words it: clients and people match on it.

use std::fmt;

use serde_json::Value;

use crate::json::object;

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
pub(super) const NOWHERE: &str = "<nil>";

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

    pub(super) fn new(reason: FieldErrorReason, field: impl Into<String>, message: String) -> Self {
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

/// A value as Go's field errors print it: numbers without a fraction have none.
pub(super) fn shown(value: &Value) -> String {
    let mut value = value.clone();
    object::whole_numbers(&mut value);
    value.to_string()
}
