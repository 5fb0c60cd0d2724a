//! A Configuration cuts a Revision for each generation of its template, and says which
//! one is the latest that is ready.

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::conditions::{Conditions, to_seconds};
use super::decision::{Decision, Note};
use super::kind::Kind;
use super::object::{
    Object, ObjectExt, controller_reference, key, new, routing_state, some_map, template_name, text,
};
use crate::child_name::child_name;

/// `Ready` stands alone here.
const DEPENDENTS: &[&str] = &[];

/// What is to be done for a Configuration. `revisions` are those labelled as its own;
/// `named` is the Revision that its template names, whoever it belongs to.
pub fn decide(
    configuration: &Object,
    revisions: &[&Object],
    named: Option<&Object>,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    let mut conditions = begin(configuration, now);
    let mut status = Status::of(configuration);
    let own_name = template_name(configuration);
    match latest_created(configuration, revisions, named) {
        Latest::Taken => {
            let name = own_name.unwrap_or("");
            conditions.fail(
                "Ready",
                "RevisionFailed",
                &format!(
                    "Revision creation failed with message: revisions.serving.knative.dev \
                     {name:?} already exists."
                ),
            );
        }
        Latest::None => {
            let revision = revision(configuration, now);
            status.created(&mut conditions, revision.name());
            decision.create(Kind::Revision, revision);
            // Nothing to learn from it yet, but an older one may have become ready.
            latest_ready(
                configuration,
                revisions,
                None,
                own_name,
                &mut status,
                &mut conditions,
                &mut decision,
            );
        }
        Latest::Some(latest) => {
            status.created(&mut conditions, latest.name());
            match latest.condition_status("Ready") {
                "True" if status.latest_ready.is_empty() => {
                    decision.notes.push(Note::normal(
                        "ConfigurationReady",
                        "Configuration becomes ready".to_owned(),
                    ));
                }
                "False" => failed(latest, &status, &mut conditions, &mut decision),
                _ => {}
            }
            latest_ready(
                configuration,
                revisions,
                Some(latest),
                own_name,
                &mut status,
                &mut conditions,
                &mut decision,
            );
        }
    }
    decision.status = Some(status.finish(configuration, &conditions));
    decision
}

/// The status after the API server refused the Revision.
pub fn creation_failed(
    configuration: &Object,
    message: &str,
    now: Timestamp,
) -> Map<String, Value> {
    let mut conditions = begin(configuration, now);
    conditions.fail(
        "Ready",
        "RevisionFailed",
        &format!("Revision creation failed with message: {message}."),
    );
    Status::of(configuration).finish(configuration, &conditions)
}

fn begin(configuration: &Object, now: Timestamp) -> Conditions {
    Conditions::begin(
        DEPENDENTS,
        configuration.status(),
        configuration.observed_generation() != configuration.generation(),
        now,
    )
}

fn failed(latest: &Object, status: &Status, conditions: &mut Conditions, decision: &mut Decision) {
    let message = latest
        .condition("Ready")
        .map_or("", |condition| text(condition, "message"));
    let before = (
        conditions.status("Ready").to_owned(),
        conditions.reason("Ready").1.to_owned(),
    );
    conditions.fail(
        "Ready",
        "RevisionFailed",
        &format!(
            "Revision {:?} failed with message: {message}.",
            latest.name()
        ),
    );
    let after = (
        conditions.status("Ready").to_owned(),
        conditions.reason("Ready").1.to_owned(),
    );
    if before != after {
        let note = if status.latest_ready == latest.name() {
            Note::warning(
                "LatestReadyFailed",
                format!("Latest ready revision {:?} has failed", latest.name()),
            )
        } else {
            Note::warning(
                "LatestCreatedFailed",
                format!("Latest created revision {:?} has failed", latest.name()),
            )
        };
        decision.notes.push(note);
    }
}

/// Moves the latest ready name forward, never back: the newest ready Revision between
/// the one that had the name and the latest created.
fn latest_ready(
    configuration: &Object,
    revisions: &[&Object],
    latest: Option<&Object>,
    own_name: Option<&str>,
    status: &mut Status,
    conditions: &mut Conditions,
    decision: &mut Decision,
) {
    let before = revisions
        .iter()
        .find(|revision| revision.name() == status.latest_ready);
    let floor = before
        .map(|revision| configuration_generation(revision).unwrap_or(configuration.generation()));
    let brought = own_name.and(latest).and_then(configuration_generation);
    let mut candidates: Vec<_> = revisions
        .iter()
        .filter(
            |revision| match (floor, configuration_generation(revision)) {
                (None, _) => true,
                (Some(floor), Some(generation)) => {
                    (floor..=configuration.generation()).contains(&generation)
                        || brought == Some(generation)
                }
                (Some(_), None) => false,
            },
        )
        .collect();
    candidates.sort_by_key(|revision| {
        let named = own_name == Some(revision.name());
        std::cmp::Reverse((named, configuration_generation(revision).unwrap_or(0)))
    });
    let Some(ready) = candidates.iter().find(|revision| revision.is_ready()) else {
        return;
    };
    if status.latest_ready != ready.name() {
        decision.notes.push(Note::normal(
            "LatestReadyUpdate",
            format!("LatestReadyRevisionName updated to {:?}", ready.name()),
        ));
    }
    status.latest_ready = ready.name().to_owned();
    if status.latest_ready == status.latest_created {
        conditions.ok("Ready");
    }
}

enum Latest<'a> {
    None,
    Some(&'a Object),
    /// The name belongs to another Configuration's Revision, or to another template.
    Taken,
}

fn latest_created<'a>(
    configuration: &Object,
    revisions: &[&'a Object],
    named: Option<&'a Object>,
) -> Latest<'a> {
    if template_name(configuration).is_some() {
        return match named {
            None => Latest::None,
            Some(revision) if conflicts(configuration, revision) => Latest::Taken,
            Some(revision) => Latest::Some(revision),
        };
    }
    revisions
        .iter()
        .find(|revision| configuration_generation(revision) == Some(configuration.generation()))
        .map_or(Latest::None, |revision| Latest::Some(revision))
}

/// Whether a Revision under the name that the template brings is not this template's.
pub fn conflicts(configuration: &Object, revision: &Object) -> bool {
    if !revision.is_controlled_by(configuration) {
        return true;
    }
    let same_generation = configuration_generation(revision) == Some(configuration.generation());
    let template = configuration.spec().pointer("/template/spec");
    !same_generation && template.unwrap_or(&Value::Null) != revision.spec()
}

/// The generation of the Configuration that a Revision was cut for.
pub fn configuration_generation(revision: &Object) -> Option<i64> {
    revision.label(key::CONFIGURATION_GENERATION)?.parse().ok()
}

/// The Revision of a Configuration's present generation.
pub fn revision(configuration: &Object, now: Timestamp) -> Object {
    let template = configuration.spec().get("template").unwrap_or(&Value::Null);
    let mut metadata: ObjectMeta = template
        .get("metadata")
        .cloned()
        .and_then(|metadata| serde_json::from_value(metadata).ok())
        .unwrap_or_default();
    if metadata.name.as_deref().is_none_or(str::is_empty) {
        metadata.name = Some(child_name(
            configuration.name(),
            &format!("-{:05}", configuration.generation()),
        ));
    }
    metadata.namespace = Some(configuration.namespace().to_owned());
    let mut labels = metadata.labels.take().unwrap_or_default();
    let mut label = |key: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(key.to_owned(), value.to_owned());
        }
    };
    label(key::CONFIGURATION, configuration.name());
    label(
        key::CONFIGURATION_GENERATION,
        &configuration.generation().to_string(),
    );
    label(key::CONFIGURATION_UID, configuration.uid());
    label(
        key::SERVICE,
        configuration.label(key::SERVICE).unwrap_or(""),
    );
    label(
        key::SERVICE_UID,
        configuration.label(key::SERVICE_UID).unwrap_or(""),
    );
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    if let Some(modifier) = configuration.annotation(key::LAST_MODIFIER) {
        annotations.insert(key::CREATOR.to_owned(), modifier.to_owned());
    }
    let state = match configuration.annotation(key::ROUTES) {
        Some(routes) => {
            annotations.insert(key::ROUTES.to_owned(), routes.to_owned());
            routing_state::ACTIVE
        }
        None => routing_state::PENDING,
    };
    label(key::ROUTING_STATE, state);
    annotations.insert(key::ROUTING_STATE_MODIFIED.to_owned(), to_seconds(now));
    metadata.labels = some_map(labels);
    metadata.annotations = some_map(annotations);
    metadata.owner_references = Some(vec![controller_reference(
        Kind::Configuration,
        configuration,
    )]);
    let mut data = Map::new();
    data.insert(
        "spec".to_owned(),
        template.get("spec").cloned().unwrap_or_else(|| json!({})),
    );
    new(Kind::Revision, metadata, data)
}

/// The fields of the status besides the conditions.
struct Status {
    latest_ready: String,
    latest_created: String,
}

impl Status {
    fn of(configuration: &Object) -> Self {
        let name = |key: &str| text(configuration.status(), key).to_owned();
        Self {
            latest_ready: name("latestReadyRevisionName"),
            latest_created: name("latestCreatedRevisionName"),
        }
    }

    fn created(&mut self, conditions: &mut Conditions, name: &str) {
        name.clone_into(&mut self.latest_created);
        if self.latest_ready != name {
            conditions.unknown("Ready", "", "");
        }
    }

    fn finish(self, configuration: &Object, conditions: &Conditions) -> Map<String, Value> {
        let mut status = configuration
            .status()
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (key, name) in [
            ("latestReadyRevisionName", self.latest_ready),
            ("latestCreatedRevisionName", self.latest_created),
        ] {
            if !name.is_empty() {
                status.insert(key.to_owned(), Value::String(name));
            }
        }
        status.insert("conditions".to_owned(), conditions.finish());
        status.insert(
            "observedGeneration".to_owned(),
            json!(configuration.generation()),
        );
        status
    }
}
