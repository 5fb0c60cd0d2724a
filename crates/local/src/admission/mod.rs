//! Does what Knative's webhook does to a serving object that is written: fills the defaults,
//! then refuses what would not work, in Knative's own words.
//!
//! Everything in here is a pure function of the request; the API server calls it
//! through its admission hook. The texts are part of the API: clients and people
//! search for them.

mod autoscaling;
mod changes;
mod container;
mod defaults;
mod field_error;
mod go_duration;
mod go_number;
mod image_reference;
mod metadata;
mod pod_spec;
mod probe;
mod traffic;
mod validation;
mod volumes;
mod webhook;
mod written;

#[cfg(test)]
mod stories;

pub use field_error::FieldErrors;
pub(crate) use go_duration::GoDuration;
pub use webhook::ServingWebhook;
pub use written::Misfit;

use serde_json::Value;

/// The name under which it is reported that an object cannot be read.
pub const MUTATION_WEBHOOK: &str = "webhook.serving.knative.dev";
/// The name under which a refusal by the checks is reported.
pub const VALIDATION_WEBHOOK: &str = "validation.webhook.serving.knative.dev";

/// The API group whose objects are reviewed here.
pub const GROUP: &str = "serving.knative.dev";
/// Its kinds.
pub const KINDS: &[&str] = &["Service", "Configuration", "Revision", "Route"];

/// Annotations that the checks and defaults know.
mod annotation {
    pub const CREATOR: &str = "serving.knative.dev/creator";
    pub const LAST_MODIFIER: &str = "serving.knative.dev/lastModifier";
}

/// What a client asks to have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The object is new.
    Create,
    /// The object is there already (update, patch or apply).
    Update,
}

/// A write to a serving object (not to its status), as the webhook sees it.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// `Service`, `Configuration`, `Revision` or `Route`.
    pub kind: &'a str,
    /// What is asked.
    pub operation: Operation,
    /// The object as it is stored, for an update.
    pub old: Option<&'a Value>,
    /// Who asks.
    pub username: &'a str,
}

/// What the checks say.
#[derive(Debug, Clone, Default)]
pub struct AdmissionResult {
    /// Why the object is refused; nothing where it is not.
    pub errors: FieldErrors,
    /// What the client is told in any case.
    pub warnings: Vec<String>,
}

/// Fills in the defaults (`mutation`).
///
/// # Errors
/// What cannot be read as the kind.
pub fn fill_defaults(review: &Review<'_>, object: &mut Value) -> Result<(), Misfit> {
    defaults::fill(review, object)
}

/// Checks an object with its defaults filled in.
pub fn validate(review: &Review<'_>, object: &Value) -> AdmissionResult {
    let (errors, warnings) = validation::check(review, object).partition();
    AdmissionResult { errors, warnings }
}

/// The text that goes to the client with an object that cannot be read.
pub fn unreadable(why: &Misfit) -> String {
    format!("mutation failed: cannot decode incoming new object: {why}")
}

/// The text that a refusal carries to the client, behind the API server's own prefix
/// (`admission webhook "..." denied the request: `).
pub fn refusal(errors: &FieldErrors) -> String {
    format!("validation failed: {errors}")
}

fn spec_of(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}

/// A text field; absent ones are empty, as they are to Go.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A list field; absent ones are empty.
fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The annotations (or labels) of `metadata`, those that are text.
fn text_map<'a>(metadata: &'a Value, key: &str) -> Vec<(&'a str, &'a str)> {
    metadata
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect()
}

/// Refuses fields that are set but not among the allowed ones.
fn only(object: &Value, allowed: &[&str]) -> FieldErrors {
    let Some(fields) = object.as_object() else {
        return FieldErrors::none();
    };
    let mut surplus: Vec<_> = fields
        .iter()
        .filter(|(key, value)| !value.is_null() && !allowed.contains(&key.as_str()))
        .map(|(key, _)| key.clone())
        .collect();
    if surplus.is_empty() {
        return FieldErrors::none();
    }
    surplus.sort();
    FieldErrors::disallowed(surplus)
}
