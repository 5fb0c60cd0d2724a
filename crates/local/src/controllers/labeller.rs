//! Notes on Revisions and Configurations which Routes name them, and so whether a
//! Revision is active or in reserve (Knative's labeler).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::conditions::to_seconds;
use super::decision::{Decision, Step};
use super::kind::Kind;
use super::object::{Object, ObjectExt, key, list, routing_state, text};
use super::traffic::Lookup;

/// Keeps a Route until its notes are gone from what it named.
pub const FINALIZER: &str = "routes.serving.knative.dev";

/// What is there already for a Route.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Looks up Configurations and Revisions of the Route's namespace.
    pub lookup: &'a Lookup<'a>,
    /// Those that carry the Route's name, of both kinds.
    pub noted: &'a [(Kind, Arc<Object>)],
}

/// What is to be done for a Route's marks.
pub fn decide(route: &Object, seen: Seen<'_>, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    let finalizers = route.metadata.finalizers.clone().unwrap_or_default();
    let ours = finalizers.iter().any(|name| name == FINALIZER);
    if route.is_terminating() {
        if ours {
            for (kind, object) in seen.noted {
                patch(&mut decision, *kind, object, route.name(), true, now);
            }
            let rest: Vec<_> = finalizers
                .iter()
                .filter(|name| *name != FINALIZER)
                .collect();
            decision.then(set_finalizers(route, json!(rest)));
        }
        return decision;
    }
    if !ours {
        let all: Vec<_> = finalizers
            .iter()
            .map(String::as_str)
            .chain([FINALIZER])
            .collect();
        decision.then(set_finalizers(route, json!(all)));
    }
    let (named, complete) = named(route, seen.lookup);
    if !complete {
        // A Revision has been seen before its Configuration: it is on its way.
        decision.again_within(Duration::from_secs(1));
    }
    // While traffic is on its way from one Revision to another, both count as named.
    if route.is_ready() || route.is_failed() {
        for (kind, object) in seen.noted {
            if !named.contains(&(*kind, object.name().to_owned())) {
                patch(&mut decision, *kind, object, route.name(), true, now);
            }
        }
    }
    for (kind, name) in &named {
        if let Some(object) = (seen.lookup)(*kind, name) {
            patch(&mut decision, *kind, &object, route.name(), false, now);
        }
    }
    decision
}

fn set_finalizers(route: &Object, finalizers: Value) -> Step {
    Step::Patch(
        Kind::Route,
        route.name().to_owned(),
        json!({"metadata": {
            "finalizers": finalizers,
            "resourceVersion": route.metadata.resource_version,
        }}),
    )
}

/// What the Route names now, in its spec and in its status; and whether all of it is there.
fn named(route: &Object, lookup: &Lookup<'_>) -> (BTreeSet<(Kind, String)>, bool) {
    let mut named = BTreeSet::new();
    let mut complete = true;
    let targets = list(route.status(), "traffic")
        .iter()
        .chain(list(route.spec(), "traffic"));
    for target in targets {
        let mut configuration = text(target, "configurationName").to_owned();
        let revision = text(target, "revisionName");
        if !revision.is_empty() {
            let Some(found) = lookup(Kind::Revision, revision) else {
                continue;
            };
            named.insert((Kind::Revision, revision.to_owned()));
            if let Some(owner) = found.controller()
                && owner.kind == Kind::Configuration.name()
            {
                configuration.clone_from(&owner.name);
            }
        }
        if configuration.is_empty() {
            continue;
        }
        let Some(found) = lookup(Kind::Configuration, &configuration) else {
            complete &= revision.is_empty();
            continue;
        };
        named.insert((Kind::Configuration, configuration));
        let latest = text(found.status(), "latestCreatedRevisionName");
        let follows = target.get("latestRevision").and_then(Value::as_bool) == Some(true);
        if follows && !latest.is_empty() {
            named.insert((Kind::Revision, latest.to_owned()));
        }
    }
    (named, complete)
}

fn patch(
    decision: &mut Decision,
    kind: Kind,
    object: &Object,
    route: &str,
    remove: bool,
    now: Timestamp,
) {
    let before = object.routes();
    let mut after = before.clone();
    after.retain(|name| name != route);
    if !remove {
        after.push(route.to_owned());
        after.sort();
    }
    let mut annotations = Map::new();
    if before != after {
        let value = if after.is_empty() {
            Value::Null
        } else {
            json!(after.join(","))
        };
        annotations.insert(key::ROUTES.to_owned(), value);
    }
    let mut metadata = Map::new();
    if kind == Kind::Revision {
        let state = if after.is_empty() {
            routing_state::RESERVE
        } else {
            routing_state::ACTIVE
        };
        if object.label(key::ROUTING_STATE) != Some(state) {
            annotations.insert(
                key::ROUTING_STATE_MODIFIED.to_owned(),
                json!(to_seconds(now)),
            );
            metadata.insert("labels".to_owned(), json!({key::ROUTING_STATE: state}));
        }
    }
    if annotations.is_empty() {
        return;
    }
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    decision.then(Step::Patch(
        kind,
        object.name().to_owned(),
        json!({ "metadata": metadata }),
    ));
}
