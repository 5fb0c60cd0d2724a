//! The query of a request, and what writes may ask for in it.

use axum::extract::Query;
use http::Uri;

use super::status::ApiError;

/// The query's pairs, in order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of a URI.
    pub fn of(uri: &Uri) -> Result<Self, ApiError> {
        Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map(|Query(pairs)| Self(pairs))
            .map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// The first value of a key, if it is there and not empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A flag; `key` alone, `key=true` and `key=1` set it.
    pub fn flag(&self, key: &str) -> bool {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .is_some_and(|(_, value)| !matches!(value.as_str(), "false" | "0" | "False" | "f"))
    }

    /// A whole number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        self.text(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "Invalid value for query parameter {key}: \"{text}\" is not a number"
                    ))
                })
            })
            .transpose()
    }
}

/// What happens to fields that the kind does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped in silence.
    Ignore,
    /// They are dropped, with a `Warning` header each.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// The options that all writes share.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Everything but the write.
    pub dry_run: bool,
    /// Who owns the fields that are set.
    pub field_manager: Option<String>,
    /// What happens to unknown fields.
    pub field_validation: FieldValidation,
    /// Apply takes fields over from others.
    pub force: bool,
}

impl WriteOptions {
    /// Reads the options from the query.
    pub fn of(params: &Params) -> Result<Self, ApiError> {
        let dry_run = match params.text("dryRun") {
            None => false,
            Some("All") => true,
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "dryRun: Unsupported value: \"{other}\": supported values: \"All\""
                )));
            }
        };
        let field_validation = match params.text("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
                )));
            }
        };
        Ok(Self {
            dry_run,
            field_manager: params.text("fieldManager").map(str::to_owned),
            field_validation,
            force: params.flag("force") && params.text("force").is_some(),
        })
    }
}
