//! A change of what a template names.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A commit that changed a ConfigMap or Secret which the template names. Every revision of the service reads it, the good
/// ones of before as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigChange {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// Its name, in the service's namespace.
    pub name: String,
    /// The commit.
    pub commit: String,
    /// The commit's first line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What changed, line by line; of a Secret only which keys.
    pub diff: Vec<String>,
    /// When it was applied.
    #[schemars(with = "String")]
    pub since: Timestamp,
}
