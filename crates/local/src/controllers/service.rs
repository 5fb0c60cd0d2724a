//! A Service becomes a Configuration and a Route of the same name.

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::conditions::Conditions;
use super::decision::{Decision, Step};
use super::kind::Kind;
use super::object::{
    Object, ObjectExt, controller_reference, key, list, new, same_map, set, some_map,
    template_name, text, without,
};

const DEPENDENTS: &[&str] = &["ConfigurationsReady", "RoutesReady"];

/// What is there already for a Service.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen<'a> {
    /// The Configuration of its name.
    pub configuration: Option<&'a Object>,
    /// The Route of its name.
    pub route: Option<&'a Object>,
    /// The Revision that its template names, where it names one.
    pub named_revision: Option<&'a Object>,
}

/// What is to be done for a Service.
pub fn decide(service: &Object, seen: Seen<'_>, now: Timestamp) -> Decision {
    let mut pass = Pass {
        decision: Decision::default(),
        conditions: Conditions::begin(
            DEPENDENTS,
            service.status(),
            service.observed_generation() != service.generation(),
            now,
        ),
        status: fields(service.status()),
    };
    pass.run(service, seen);
    let Pass {
        mut decision,
        conditions,
        mut status,
    } = pass;
    status.insert("conditions".to_owned(), conditions.finish());
    status.insert("observedGeneration".to_owned(), json!(service.generation()));
    decision.status = Some(status);
    decision
}

struct Pass {
    decision: Decision,
    conditions: Conditions,
    status: Map<String, Value>,
}

impl Pass {
    fn run(&mut self, service: &Object, seen: Seen<'_>) {
        if self.configuration(service, seen) == Traffic::MayMove {
            self.route(service, seen);
        }
    }

    fn configuration(&mut self, service: &Object, seen: Seen<'_>) -> Traffic {
        let desired = configuration(service, seen.configuration);
        let child = self.child(service, Kind::Configuration, desired, seen.configuration);
        match child {
            Err(Refused) => {
                self.not_owned("ConfigurationsReady", Kind::Configuration, service);
                Traffic::Stays
            }
            // The Configuration has not seen its latest spec.
            Ok(None) => {
                self.conditions.unknown(
                    "ConfigurationsReady",
                    "OutOfDate",
                    "The Configuration is still working to reflect the latest desired \
                     specification.",
                );
                // With a revision name of the user's own, traffic waits for it.
                match template_name(service) {
                    Some(_) => Traffic::Stays,
                    None => Traffic::MayMove,
                }
            }
            Ok(Some(configuration)) => {
                self.copy(
                    configuration,
                    &["latestReadyRevisionName", "latestCreatedRevisionName"],
                );
                self.conditions
                    .propagate("ConfigurationsReady", configuration.condition("Ready"));
                if !name_is_taken(configuration, seen.named_revision) {
                    return Traffic::MayMove;
                }
                self.conditions.fail(
                    "RoutesReady",
                    "RevisionNameTaken",
                    &format!(
                        "The revision name {:?} is taken by a conflicting Revision, so \
                         traffic will not be migrated",
                        template_name(configuration).unwrap_or("")
                    ),
                );
                Traffic::Stays
            }
        }
    }

    fn route(&mut self, service: &Object, seen: Seen<'_>) {
        match self.child(service, Kind::Route, route(service), seen.route) {
            Err(Refused) => self.not_owned("RoutesReady", Kind::Route, service),
            Ok(None) => self.conditions.unknown(
                "RoutesReady",
                "OutOfDate",
                "The Route is still working to reflect the latest desired specification.",
            ),
            Ok(Some(route)) => {
                self.copy(route, &["url", "address", "traffic"]);
                self.conditions
                    .propagate("RoutesReady", route.condition("Ready"));
                let latest_ready = seen
                    .configuration
                    .map_or("", |c| text(c.status(), "latestReadyRevisionName"));
                if self.conditions.is_true("RoutesReady")
                    && !traffic_has_arrived(service.name(), route, latest_ready)
                {
                    self.conditions.unknown(
                        "RoutesReady",
                        "TrafficNotMigrated",
                        "Traffic is not yet migrated to the latest revision.",
                    );
                }
            }
        }
    }

    /// Says that the child of this name belongs to someone else.
    fn not_owned(&mut self, condition: &'static str, kind: Kind, service: &Object) {
        let (kind, name) = (kind.name(), service.name());
        self.conditions.fail(
            condition,
            "NotOwned",
            &format!("There is an existing {kind} {name:?} that we do not own."),
        );
        self.decision.problem = Some(format!(
            "service: {name:?} does not own {}: {name:?}",
            kind.to_lowercase()
        ));
    }

    /// Brings a child to what it should be: the child where its controller has seen
    /// its latest spec, nothing where that is still to come.
    fn child<'a>(
        &mut self,
        service: &Object,
        kind: Kind,
        desired: Object,
        existing: Option<&'a Object>,
    ) -> Result<Option<&'a Object>, Refused> {
        let Some(existing) = existing else {
            self.decision.create(kind, desired);
            return Ok(None);
        };
        if !existing.is_controlled_by(service) {
            return Err(Refused);
        }
        let same_spec = desired.spec() == existing.spec();
        let same_metadata = same_map(
            desired.metadata.labels.as_ref(),
            existing.metadata.labels.as_ref(),
        ) && same_map(
            desired.metadata.annotations.as_ref(),
            existing.metadata.annotations.as_ref(),
        );
        if !same_spec || !same_metadata {
            let mut updated = existing.clone();
            set(&mut updated, "spec", desired.spec().clone());
            updated.metadata.labels = desired.metadata.labels;
            updated.metadata.annotations = desired.metadata.annotations;
            self.decision.then(Step::Replace(kind, Box::new(updated)));
        }
        let seen = same_spec && existing.observed_generation() == existing.generation();
        Ok(seen.then_some(existing))
    }

    fn copy(&mut self, child: &Object, keys: &[&str]) {
        for key in keys {
            match child.status().get(*key) {
                Some(value) => self.status.insert((*key).to_owned(), value.clone()),
                None => self.status.remove(*key),
            };
        }
    }
}

/// The child belongs to someone else.
struct Refused;

/// Whether the Route may be brought to what the Service says.
#[derive(PartialEq)]
enum Traffic {
    MayMove,
    Stays,
}

fn fields(status: &Value) -> Map<String, Value> {
    status.as_object().cloned().unwrap_or_default()
}

/// The Configuration of a Service. Routes that other controllers have noted on it stay.
pub fn configuration(service: &Object, existing: Option<&Object>) -> Object {
    let mut labels = without(service.metadata.labels.as_ref(), |_| false);
    labels.insert(key::SERVICE.to_owned(), service.name().to_owned());
    labels.insert(key::SERVICE_UID.to_owned(), service.uid().to_owned());
    let mut annotations = without(service.metadata.annotations.as_ref(), |name| {
        name == key::LAST_APPLIED || key::ROLLOUT_DURATION.contains(&name)
    });
    let mut routes = existing.map(ObjectExt::routes).unwrap_or_default();
    routes.push(service.name().to_owned());
    routes.sort();
    routes.dedup();
    annotations.insert(key::ROUTES.to_owned(), routes.join(","));
    let mut spec = Map::new();
    if let Some(template) = service.spec().get("template") {
        spec.insert("template".to_owned(), template.clone());
    }
    child(service, Kind::Configuration, labels, annotations, spec)
}

/// The Route of a Service: a target without a revision means the Service's Configuration.
pub fn route(service: &Object) -> Object {
    let mut labels = without(service.metadata.labels.as_ref(), |_| false);
    labels.insert(key::SERVICE.to_owned(), service.name().to_owned());
    let annotations = without(service.metadata.annotations.as_ref(), |name| {
        name == key::LAST_APPLIED
    });
    let traffic: Vec<_> = list(service.spec(), "traffic")
        .iter()
        .cloned()
        .map(|mut target| {
            if text(&target, "revisionName").is_empty()
                && let Some(target) = target.as_object_mut()
            {
                target.insert("configurationName".to_owned(), json!(service.name()));
            }
            target
        })
        .collect();
    let mut spec = Map::new();
    spec.insert("traffic".to_owned(), Value::Array(traffic));
    child(service, Kind::Route, labels, annotations, spec)
}

fn child(
    service: &Object,
    kind: Kind,
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
    spec: Map<String, Value>,
) -> Object {
    let metadata = ObjectMeta {
        name: Some(service.name().to_owned()),
        namespace: Some(service.namespace().to_owned()),
        labels: some_map(labels),
        annotations: some_map(annotations),
        owner_references: Some(vec![controller_reference(Kind::Service, service)]),
        ..ObjectMeta::default()
    };
    let mut data = Map::new();
    data.insert("spec".to_owned(), Value::Object(spec));
    new(kind, metadata, data)
}

/// Whether the name that the template brings belongs to another Revision.
fn name_is_taken(configuration: &Object, named: Option<&Object>) -> bool {
    named.is_some_and(|revision| super::configuration::conflicts(configuration, revision))
}

/// Whether the Route's status carries what its spec asks for.
fn traffic_has_arrived(configuration: &str, route: &Object, latest_ready: &str) -> bool {
    let (want, got) = (
        list(route.spec(), "traffic"),
        list(route.status(), "traffic"),
    );
    want.len() == got.len()
        && want.iter().zip(got).all(|(want, got)| {
            let revision = if text(want, "configurationName") == configuration {
                latest_ready
            } else {
                text(want, "revisionName")
            };
            revision == text(got, "revisionName")
                && text(want, "tag") == text(got, "tag")
                && want.get("percent") == got.get("percent")
        })
}
