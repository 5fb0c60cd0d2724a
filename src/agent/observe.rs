//! What the caches say of one service, in the words that a decision is made from.

use serde_json::Value;

use super::index::condition;
use super::wakeups::Wakeups;
use crate::api::delivery::Expand;
use crate::api::object::{ObjectKey, TemplateHash};
use crate::api::rollout::RolloutStatus;
use crate::api::serving::{self, TrafficTarget, annotation};
use crate::cluster::Cluster;
use crate::plan::{LiveObject, Manager, ServiceIntent, Sight, template};
use crate::rollout::{ConfigurationFacts, Live, RouteFacts};

/// Reads a service's facts; costs no request.
pub fn read(cluster: &Cluster, wakeups: &Wakeups, intent: &ServiceIntent) -> Live {
    let get = |kind: &str| cluster.get(&intent.key(kind)).filter(|live| !live.deleting);
    let configuration = get("Configuration");
    let (written, route) = match intent.mode {
        Expand::Routes => (configuration.clone(), get("Route")),
        Expand::Service => {
            let service = get("Service");
            (service.clone(), service)
        }
    };
    let route = route.map(|route| route_facts(&route.value(), intent.mode));
    let others: Vec<String> = route
        .iter()
        .flat_map(|route| route.spec.iter().chain(&route.status))
        .chain(&intent.traffic)
        .filter_map(|target| target.revision_name.clone())
        .collect();
    let mut revisions = wakeups.revisions(&intent.namespace, &intent.name, &others);
    if let Some(name) = intent.revision_name()
        && let Some(revision) = revisions.iter_mut().find(|known| known.name == name)
    {
        let made = cluster.get(&revision_key(intent, &name));
        revision.made_from_git =
            made.and_then(|made| intent.makes_revision(written.as_deref(), &made.value()));
    }
    Live {
        watching_since: None,
        configuration: match (&configuration, &written) {
            (None, None) => None,
            // With `expand: Service` the child may follow a moment later.
            (configuration, written) => Some(configuration_facts(
                configuration.as_deref(),
                written.as_deref(),
                intent,
            )),
        },
        route,
        revisions,
        refused: None,
        accepted: false,
    }
}

/// Finds Git's template among those that a status remembers; see [`ServiceIntent::recognise`].
pub fn recognise(
    cluster: &Cluster,
    intent: &ServiceIntent,
    live: &Live,
    status: &mut RolloutStatus,
) -> bool {
    let has_git_s = |c: &&ConfigurationFacts| c.template_written && c.template_taken_up;
    let configuration = live.configuration.as_ref().filter(has_git_s);
    let sight = Sight {
        at_generation: configuration.map(|c| c.generation),
        made_from_git: &|name| {
            let revision = cluster.get(&revision_key(intent, name))?;
            template::made_from(&intent.template.value(), &revision.value())
        },
    };
    intent.recognise(status, sight)
}

fn revision_key(intent: &ServiceIntent, name: &str) -> ObjectKey {
    ObjectKey::namespaced(serving::GROUP, "Revision", &intent.namespace, name)
}

/// Whether an object asks for what we first applied, and nobody has changed that since.
fn is_our_first(written: &LiveObject) -> bool {
    written.applied_by(Manager::Objects.name())
        && written.delivery.is_some()
        && written.generation == Some(1)
}

fn configuration_facts(
    configuration: Option<&LiveObject>,
    written: Option<&LiveObject>,
    intent: &ServiceIntent,
) -> ConfigurationFacts {
    let template_written =
        written.is_some_and(|written| intent.template_changes(written).is_empty());
    let written_but_for_name = written.is_some_and(|written| intent.is_written_unnamed(written));
    let (child, parent) = (
        configuration.map(LiveObject::value),
        written.map(LiveObject::value),
    );
    let (child, parent) = (child.as_ref(), parent.as_ref());
    let number_in = |object: Option<&Value>, path: &str| {
        object
            .and_then(|object| object.pointer(path))
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let generation = |object| number_in(object, "/metadata/generation");
    let observed = |object| number_in(object, "/status/observedGeneration");
    let text = |path: &str| {
        child
            .and_then(|c| c.pointer(path))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let template = |object: Option<&Value>| object?.pointer("/spec/template").cloned();
    let attempt = template(parent)
        .as_ref()
        .and_then(|template| {
            template
                .get("metadata")?
                .get("annotations")?
                .get(annotation::ATTEMPT)?
                .as_str()
        })
        .and_then(|attempt| attempt.parse().ok())
        .unwrap_or_default();
    let written_observed = observed(parent) >= generation(parent);
    let template_taken_up = match (template(parent), template(child)) {
        (Some(parent), Some(child)) => {
            template_written && has_taken_up(&parent, &child, written_observed)
        }
        _ => false,
    };
    ConfigurationFacts {
        generation: generation(child),
        observed_generation: observed(child),
        latest_created: text("/status/latestCreatedRevisionName"),
        latest_ready: text("/status/latestReadyRevisionName"),
        template_written,
        written_but_for_name,
        begun_here: written.is_some_and(is_our_first),
        written_observed,
        template_taken_up,
        template_name: template(parent).and_then(|template| {
            template
                .pointer("/metadata/name")?
                .as_str()
                .map(str::to_owned)
        }),
        attempt,
        ready: child.and_then(|c| condition(c, "Ready")),
    }
}

/// Whether a Service's child has the template above it. The child goes through the webhook too,
/// and what is filled in there may be more: once Knative has looked at the Service, that is all
/// that can differ.
fn has_taken_up(parent: &Value, child: &Value, observed: bool) -> bool {
    let changed = template::changes(parent, child);
    changed.is_empty() || (observed && template::changes_beyond_defaults(parent, child).is_empty())
}

fn route_facts(route: &Value, mode: Expand) -> RouteFacts {
    let targets = |path: &str| -> Vec<TrafficTarget> {
        route
            .pointer(path)
            .and_then(|targets| serde_json::from_value(targets.clone()).ok())
            .unwrap_or_default()
    };
    let number = |path: &str| {
        route
            .pointer(path)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    RouteFacts {
        generation: number("/metadata/generation"),
        observed_generation: number("/status/observedGeneration"),
        spec: targets("/spec/traffic"),
        status: targets("/status/traffic"),
        ready: condition(
            route,
            match mode {
                Expand::Routes => "Ready",
                Expand::Service => "RoutesReady",
            },
        ),
        url: route
            .pointer("/status/url")
            .and_then(Value::as_str)
            .map(str::to_owned),
        rolled_back: route
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(annotation::ROLLED_BACK)?.as_str())
            .map(|hash| TemplateHash(hash.to_owned())),
        refused: None,
    }
}
