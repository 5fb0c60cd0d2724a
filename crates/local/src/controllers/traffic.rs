//! From the targets of a Route to the Revisions that are to answer.
//!
//! Every target must resolve to a Revision that is ready; one that does not leaves the
//! routing as it is (`pkg/reconciler/route/traffic` in Knative Serving).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::conditions::Conditions;
use super::kind::Kind;
use super::object::{Object, ObjectExt, integer, key, list, text};
use super::revision_children;

/// Looks up a Configuration or Revision in the Route's namespace.
pub type Lookup<'a> = dyn Fn(Kind, &str) -> Option<Arc<Object>> + 'a;

/// One target with the Revision that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The tag; empty for none.
    pub tag: String,
    /// The Configuration whose latest ready Revision it is; empty where a Revision is named.
    pub configuration: String,
    /// The Revision.
    pub revision: String,
    /// Whether the target follows the latest ready Revision.
    pub latest: bool,
    /// Share of the main host's requests.
    pub percent: i64,
    /// `http1` or `h2c`.
    pub protocol: &'static str,
}

/// All targets of a Route, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// As the status lists them: in order, equal ones merged.
    pub listed: Vec<Target>,
    /// What answers each tag; the empty tag is the main host.
    pub groups: BTreeMap<String, Vec<Target>>,
}

/// Why a target does not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// There is no such object.
    Missing(Kind, String),
    /// The Configuration has no ready Revision; `true` when it failed.
    UnreadyConfiguration(String, bool),
    /// The Revision is not ready; `true` when it failed.
    UnreadyRevision(String, bool),
    /// The Revision is of another Service, or of none.
    NotOwned {
        /// The Revision.
        revision: String,
        /// The Route's Service.
        expected: String,
        /// The Revision's Service; empty for none.
        actual: String,
    },
}

impl TargetError {
    /// Whether waiting will not help.
    fn is_failure(&self) -> bool {
        match self {
            Self::Missing(..) | Self::NotOwned { .. } => true,
            Self::UnreadyConfiguration(_, failed) | Self::UnreadyRevision(_, failed) => *failed,
        }
    }

    /// Says so in the Route's `AllTrafficAssigned`.
    pub fn mark(&self, conditions: &mut Conditions) {
        const KIND: &str = "AllTrafficAssigned";
        const MISSING: &str = "RevisionMissing";
        match self {
            Self::Missing(kind, name) => conditions.fail(
                KIND,
                &format!("{}Missing", kind.name()),
                &format!("{} {name:?} referenced in traffic not found.", kind.name()),
            ),
            Self::UnreadyConfiguration(name, false) => conditions.unknown(
                KIND,
                MISSING,
                &format!("Configuration {name:?} is waiting for a Revision to become ready."),
            ),
            Self::UnreadyConfiguration(name, true) => conditions.fail(
                KIND,
                MISSING,
                &format!("Configuration {name:?} does not have any ready Revision."),
            ),
            Self::UnreadyRevision(name, false) => conditions.unknown(
                KIND,
                MISSING,
                &format!("Revision {name:?} is not yet ready."),
            ),
            Self::UnreadyRevision(name, true) => conditions.fail(
                KIND,
                MISSING,
                &format!("Revision {name:?} failed to become ready."),
            ),
            Self::NotOwned {
                revision,
                expected,
                actual,
            } if actual.is_empty() => conditions.fail(
                KIND,
                "RevisionNotOwned",
                &format!("Revision {revision:?} does not belong to Service {expected:?}."),
            ),
            Self::NotOwned {
                revision,
                expected,
                actual,
            } => conditions.fail(
                KIND,
                "RevisionNotOwned",
                &format!(
                    "Revision {revision:?} belongs to Service {actual:?}, not Service {expected:?}."
                ),
            ),
        }
    }
}

/// Resolves all targets of a Route. A definite failure is reported before one that may pass.
pub fn resolve(route: &Object, lookup: &Lookup<'_>) -> Result<Resolved, TargetError> {
    let mut resolved = Resolved::default();
    let mut error: Option<TargetError> = None;
    for target in list(route.spec(), "traffic") {
        match one(route, target, lookup) {
            Ok(Some(target)) => resolved.add(target),
            Ok(None) => {}
            Err(new) => {
                if error.is_none() || new.is_failure() {
                    error = Some(new);
                }
            }
        }
    }
    match error {
        Some(error) => Err(error),
        None => {
            resolved.consolidate();
            Ok(resolved)
        }
    }
}

fn one(route: &Object, target: &Value, lookup: &Lookup<'_>) -> Result<Option<Target>, TargetError> {
    let (named, configuration) = (
        text(target, "revisionName"),
        text(target, "configurationName"),
    );
    let missing = |kind: Kind, name: &str| TargetError::Missing(kind, name.to_owned());
    let revision = if !named.is_empty() {
        let revision =
            lookup(Kind::Revision, named).ok_or_else(|| missing(Kind::Revision, named))?;
        if let Some(expected) = route.label(key::SERVICE) {
            let actual = revision.label(key::SERVICE).unwrap_or("");
            if actual != expected {
                return Err(TargetError::NotOwned {
                    revision: named.to_owned(),
                    expected: expected.to_owned(),
                    actual: actual.to_owned(),
                });
            }
        }
        if revision.is_ready()
            && let Some(owner) = revision.label(key::CONFIGURATION)
            && lookup(Kind::Configuration, owner).is_none()
        {
            return Err(missing(Kind::Configuration, owner));
        }
        revision
    } else if !configuration.is_empty() {
        let found = lookup(Kind::Configuration, configuration)
            .ok_or_else(|| missing(Kind::Configuration, configuration))?;
        let latest = text(found.status(), "latestReadyRevisionName");
        if latest.is_empty() {
            let failed = found.condition_status("Ready") == "False";
            return Err(TargetError::UnreadyConfiguration(
                configuration.to_owned(),
                failed,
            ));
        }
        lookup(Kind::Revision, latest).ok_or_else(|| missing(Kind::Revision, latest))?
    } else {
        return Ok(None);
    };
    if !revision.is_ready() {
        let failed = revision.condition_status("Ready") == "False";
        return Err(TargetError::UnreadyRevision(
            revision.name().to_owned(),
            failed,
        ));
    }
    Ok(Some(Target {
        tag: text(target, "tag").to_owned(),
        configuration: if named.is_empty() {
            configuration.to_owned()
        } else {
            String::new()
        },
        revision: revision.name().to_owned(),
        latest: target
            .get("latestRevision")
            .and_then(Value::as_bool)
            .unwrap_or(named.is_empty()),
        percent: integer(target, "percent").unwrap_or(0),
        protocol: revision_children::protocol(&revision),
    }))
}

impl Resolved {
    fn add(&mut self, target: Target) {
        let same = self.listed.iter_mut().find(|other| {
            other.tag == target.tag
                && other.revision == target.revision
                && other.latest == target.latest
        });
        match same {
            Some(other) => other.percent += target.percent,
            None => self.listed.push(target.clone()),
        }
        if !target.tag.is_empty() {
            self.groups
                .entry(target.tag.clone())
                .or_default()
                .push(target.clone());
        }
        self.groups.entry(String::new()).or_default().push(target);
    }

    /// The same with other shares for the main host; those of the tags stay.
    pub fn with_main(&self, listed: Vec<Target>) -> Self {
        let mut groups = self.groups.clone();
        groups.insert(String::new(), listed.clone());
        let mut changed = Self { listed, groups };
        changed.consolidate();
        changed
    }

    /// Merges what goes to one Revision; a group of one Revision is all of its traffic.
    fn consolidate(&mut self) {
        for group in self.groups.values_mut() {
            let mut merged: Vec<Target> = Vec::new();
            for target in group.drain(..) {
                match merged.iter_mut().find(|t| t.revision == target.revision) {
                    Some(other) => other.percent += target.percent,
                    None => merged.push(target),
                }
            }
            if let [only] = merged.as_mut_slice() {
                only.percent = 100;
            }
            *group = merged;
        }
    }
}
