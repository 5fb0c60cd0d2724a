//! The query of a request, and what writes may ask for in it.

use axum::extract::Query;
use http::Uri;
use serde_json::json;

use crate::model::status::{ApiError, Cause};
use crate::store::selector::Selector;

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

    /// A flag: whatever is said but `false` and `0` sets it.
    pub fn flag(&self, key: &str) -> bool {
        self.choice(key).unwrap_or_default()
    }

    /// A flag, if it is there.
    pub fn choice(&self, key: &str) -> Option<bool> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(!value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A whole number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        self.text(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "strconv.ParseInt: parsing {text:?}: invalid syntax"
                    ))
                })
            })
            .transpose()
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }
}

/// Reads the options of a list or watch in the order in which Kubernetes does, and holds them
/// against each other.
pub fn check_list_options(params: &Params, watches: bool) -> Result<(), ApiError> {
    for number in ["timeoutSeconds", "limit"] {
        params.number::<i64>(number)?;
    }
    Selector::check_syntax(params.text("labelSelector"), params.text("fieldSelector"))?;
    refuse(
        "ListOptions",
        if watches {
            watch_faults(params)
        } else {
            list_faults(params)
        },
    )
}

fn list_faults(params: &Params) -> Vec<Cause> {
    let mut causes = Vec::new();
    let forbidden = |why: &str| Cause::forbidden("resourceVersionMatch", why);
    if let Some(how) = params.text("resourceVersionMatch") {
        if params.text("resourceVersion").is_none() {
            causes.push(forbidden(
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if params.text("continue").is_some() {
            causes.push(forbidden(
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !matches!(how, "Exact" | "NotOlderThan") {
            causes.push(Cause::not_supported(
                "resourceVersionMatch",
                &how.into(),
                &["Exact", "NotOlderThan", ""],
            ));
        }
        if how == "Exact" && params.text("resourceVersion") == Some("0") {
            causes.push(forbidden(
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if params.has("sendInitialEvents") {
        causes.push(Cause::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    causes
}

fn watch_faults(params: &Params) -> Vec<Cause> {
    let mut causes = Vec::new();
    let forbidden = |why: &str| Cause::forbidden("resourceVersionMatch", why);
    let how = params.text("resourceVersionMatch");
    let streaming = params.has("sendInitialEvents");
    if streaming && how != Some("NotOlderThan") {
        causes.push(forbidden(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if let Some(how) = how {
        if !streaming {
            causes.push(forbidden(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if how != "NotOlderThan" {
            causes.push(Cause::not_supported(
                "resourceVersionMatch",
                &how.into(),
                &["NotOlderThan"],
            ));
        }
    }
    causes
}

/// What is wrong with `dryRun`, where it is given.
pub fn dry_run_fault(given: &[&str]) -> Option<Cause> {
    let given: Vec<&str> = given
        .iter()
        .copied()
        .filter(|one| !one.is_empty())
        .collect();
    given
        .iter()
        .any(|one| *one != "All")
        .then(|| Cause::not_supported("dryRun", &json!(given), &["All"]))
}

/// Options with something wrong in them are refused.
pub fn refuse(kind: &str, causes: Vec<Cause>) -> Result<(), ApiError> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid_options(kind, causes))
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

/// The longest name of a field manager.
const MANAGER_LIMIT: usize = 128;

/// What sort of write the options are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// A new object.
    Create,
    /// A replaced object.
    Update,
    /// A patch.
    Patch,
    /// An apply, whose manager has to be named.
    Apply,
}

impl WriteOptions {
    /// Reads the options from the query.
    pub fn of(params: &Params, write: Write) -> Result<Self, ApiError> {
        let mut causes = Vec::new();
        let manager = params.text("fieldManager");
        match write {
            Write::Apply if manager.is_none() => {
                causes.push(Cause::required(
                    "fieldManager",
                    "is required for apply patch",
                ));
            }
            Write::Patch if params.has("force") => {
                causes.push(Cause::forbidden(
                    "force",
                    "may not be specified for non-apply patch",
                ));
            }
            _ => {}
        }
        if let Some(manager) = manager {
            if manager.len() > MANAGER_LIMIT {
                causes.push(Cause::too_long("fieldManager", MANAGER_LIMIT));
            }
            if manager.chars().any(char::is_control) {
                causes.push(Cause::invalid(
                    "fieldManager",
                    &manager.into(),
                    "should only contain printable characters",
                ));
            }
        }
        let dry_run = params.text("dryRun");
        causes.extend(dry_run_fault(dry_run.as_slice()));
        let field_validation = match params.text("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                causes.push(Cause::not_supported(
                    "fieldValidation",
                    &other.into(),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        let kind = match write {
            Write::Create => "CreateOptions",
            Write::Update => "UpdateOptions",
            Write::Patch | Write::Apply => "PatchOptions",
        };
        refuse(kind, causes)?;
        Ok(Self {
            dry_run: dry_run.is_some(),
            field_manager: manager.map(str::to_owned),
            field_validation,
            force: params.flag("force") && params.text("force").is_some(),
        })
    }
}
