//! A Route becomes an Ingress and placeholder Services, once all its targets resolve.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::conditions::Conditions;
use super::config::ControllersConfig;
use super::decision::{Decision, Step};
use super::domains::{Visibility, hostname};
use super::ingress;
use super::kind::Kind;
use super::object::{Object, ObjectExt, key, same_map, set, text};
use super::rollout::{self, Rollout};
use super::traffic::{self, Lookup, Resolved};
use crate::admission::GoDuration;

const DEPENDENTS: &[&str] = &[
    "AllTrafficAssigned",
    "IngressReady",
    "CertificateProvisioned",
];

/// What is there already for a Route.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Looks up objects of the Route's namespace.
    pub lookup: &'a Lookup<'a>,
    /// The Kubernetes Services labelled as the Route's.
    pub placeholders: &'a [Arc<Object>],
}

/// What is to be done for a Route.
pub fn decide(
    route: &Object,
    seen: Seen<'_>,
    config: &ControllersConfig,
    now: Timestamp,
) -> Decision {
    let new_generation = route.observed_generation() != route.generation();
    let mut conditions = Conditions::begin(DEPENDENTS, route.status(), new_generation, now);
    let mut status = route.status().as_object().cloned().unwrap_or_default();
    let mut decision = Decision::default();
    if new_generation {
        ingress_not_configured(&mut conditions);
    }
    let name = hostname(route.name(), "");
    let who = ingress::visibility(route);
    status.insert(
        "url".to_owned(),
        json!(config.url(&name, route.namespace(), who)),
    );
    match traffic::resolve(route, seen.lookup) {
        // The old traffic goes on, and so does what the status says of it.
        Err(error) => error.mark(&mut conditions),
        Ok(resolved) => {
            let rollout = rollout(route, &resolved, seen, config, now);
            let resolved = match rollout.is_under_way() {
                true => resolved.with_main(rollout.divide(&resolved.listed)),
                false => resolved,
            };
            status.insert(
                "traffic".to_owned(),
                traffic_status(route, &resolved, config),
            );
            conditions.ok("AllTrafficAssigned");
            status.insert(
                "address".to_owned(),
                json!({"url": config.url(&name, route.namespace(), Visibility::ClusterLocal)}),
            );
            let annotation = takes_time(route, config).then(|| rollout.write());
            program(
                route,
                &resolved,
                annotation,
                seen,
                config,
                &mut conditions,
                &mut decision,
            );
            if rollout.is_under_way() && conditions.is_true("IngressReady") {
                conditions.unknown(
                    "IngressReady",
                    "RolloutInProgress",
                    "A gradual rollout of the latest revision(s) is in progress.",
                );
            }
            if let Some(next) = rollout.next_step() {
                let wait = next.duration_since(now).try_into().unwrap_or_default();
                decision.again_within(wait);
            }
        }
    }
    decision.status = Some(finish(status, &conditions, route));
    decision
}

/// How far each target that follows a Configuration has come with its latest Revision.
fn rollout(
    route: &Object,
    resolved: &Resolved,
    seen: Seen<'_>,
    config: &ControllersConfig,
    now: Timestamp,
) -> Rollout {
    let existing = (seen.lookup)(Kind::Ingress, route.name());
    let ingress = existing.as_deref();
    let before = Rollout::read(ingress.and_then(|ingress| ingress.annotation(rollout::ANNOTATION)));
    let in_force = ingress.is_some_and(ObjectExt::is_ready);
    before.advance(&resolved.listed, duration(route, config), in_force, now)
}

/// The Route's own `rollout-duration`, or the cluster's.
fn duration(route: &Object, config: &ControllersConfig) -> Duration {
    key::ROLLOUT_DURATION
        .iter()
        .find_map(|key| route.annotation(key))
        .and_then(GoDuration::parse)
        .map_or(config.rollout_duration, |own| {
            Duration::from_secs(u64::try_from(own.seconds()).unwrap_or(0))
        })
}

fn takes_time(route: &Object, config: &ControllersConfig) -> bool {
    !duration(route, config).is_zero()
}

fn finish(
    mut status: Map<String, Value>,
    conditions: &Conditions,
    route: &Object,
) -> Map<String, Value> {
    status.insert("conditions".to_owned(), conditions.finish());
    status.insert("observedGeneration".to_owned(), json!(route.generation()));
    status
}

fn ingress_not_configured(conditions: &mut Conditions) {
    conditions.unknown(
        "IngressReady",
        "IngressNotConfigured",
        "Ingress has not yet been reconciled.",
    );
}

fn program(
    route: &Object,
    resolved: &Resolved,
    rollout: Option<String>,
    seen: Seen<'_>,
    config: &ControllersConfig,
    conditions: &mut Conditions,
    decision: &mut Decision,
) {
    let existing = (seen.lookup)(Kind::Ingress, route.name());
    if !placeholders(
        route,
        resolved,
        existing.as_deref(),
        seen,
        config,
        conditions,
        decision,
    ) {
        return;
    }
    conditions.ok_because(
        "CertificateProvisioned",
        "TLSNotEnabled",
        "external-domain-tls is not enabled",
    );
    let mut desired = ingress::ingress(route, resolved, config);
    if let Some(rollout) = rollout {
        let annotations = desired.metadata.annotations.get_or_insert_default();
        annotations.insert(rollout::ANNOTATION.to_owned(), rollout);
    }
    let Some(existing) = existing else {
        decision.create(Kind::Ingress, desired);
        ingress_not_configured(conditions);
        return;
    };
    let same_spec = existing.spec() == desired.spec();
    let same_metadata = same_map(
        existing.metadata.labels.as_ref(),
        desired.metadata.labels.as_ref(),
    ) && same_map(
        existing.metadata.annotations.as_ref(),
        desired.metadata.annotations.as_ref(),
    );
    if !same_spec || !same_metadata {
        let mut updated = (*existing).clone();
        set(&mut updated, "spec", desired.spec().clone());
        updated.metadata.labels = desired.metadata.labels;
        updated.metadata.annotations = desired.metadata.annotations;
        decision.then(Step::Replace(Kind::Ingress, Box::new(updated)));
    }
    if same_spec && existing.observed_generation() == existing.generation() {
        match existing.condition("Ready") {
            ready @ Some(_) => conditions.propagate("IngressReady", ready),
            None => ingress_not_configured(conditions),
        }
    } else {
        ingress_not_configured(conditions);
    }
}

/// Brings the placeholder Services to what they should be; whether the pass goes on.
fn placeholders(
    route: &Object,
    resolved: &Resolved,
    ingress: Option<&Object>,
    seen: Seen<'_>,
    config: &ControllersConfig,
    conditions: &mut Conditions,
    decision: &mut Decision,
) -> bool {
    let mut wanted = Vec::new();
    for tag in resolved.groups.keys() {
        let desired = ingress::placeholder(route, tag, ingress, config);
        wanted.push(desired.name().to_owned());
        let Some(existing) = (seen.lookup)(Kind::CoreService, desired.name()) else {
            decision.create(Kind::CoreService, desired);
            continue;
        };
        if !existing.is_controlled_by(route) {
            conditions.fail(
                "IngressReady",
                "NotOwned",
                &format!(
                    "There is an existing placeholder Service {:?} that we do not own.",
                    desired.name()
                ),
            );
            decision.problem = Some(format!(
                "route: {:?} does not own Service: {:?}",
                route.name(),
                desired.name()
            ));
            return false;
        }
        // The server fills in more than we ask for, so only what we decide is compared.
        let moved = text(existing.spec(), "externalName") != text(desired.spec(), "externalName");
        let relabelled = existing.label(key::VISIBILITY) != desired.label(key::VISIBILITY);
        if moved || relabelled {
            let mut updated = (*existing).clone();
            if let Some(spec) = updated.data.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert(
                    "externalName".to_owned(),
                    json!(text(desired.spec(), "externalName")),
                );
            }
            updated.metadata.labels = desired.metadata.labels;
            decision.then(Step::Replace(Kind::CoreService, Box::new(updated)));
        }
    }
    for orphan in seen.placeholders {
        if !wanted.iter().any(|name| name == orphan.name()) && orphan.is_controlled_by(route) {
            decision.then(Step::Delete(Kind::CoreService, orphan.name().to_owned()));
        }
    }
    true
}

fn traffic_status(route: &Object, resolved: &Resolved, config: &ControllersConfig) -> Value {
    let who = ingress::visibility(route);
    resolved
        .listed
        .iter()
        .map(|target| {
            let mut entry = json!({
                "revisionName": target.revision,
                "percent": target.percent,
                "latestRevision": target.latest,
            });
            if !target.tag.is_empty()
                && let Some(entry) = entry.as_object_mut()
            {
                let name = hostname(route.name(), &target.tag);
                entry.insert("tag".to_owned(), json!(target.tag));
                entry.insert(
                    "url".to_owned(),
                    json!(config.url(&name, route.namespace(), who)),
                );
            }
            entry
        })
        .collect()
}
