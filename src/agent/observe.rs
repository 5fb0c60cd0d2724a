//! What the caches say of one service, in the words that a decision is made from.

use serde_json::Value;

use super::index::condition;
use super::wakeups::Wakeups;
use crate::api::delivery::Expand;
use crate::api::object::TemplateHash;
use crate::api::serving::{TrafficTarget, annotation};
use crate::cluster::Cluster;
use crate::plan::{LiveObject, Manager, ServiceIntent, normalize};
use crate::rollout::{ConfigurationFacts, Live, RouteFacts};

/// Reads a service's facts; costs no request.
pub fn read(cluster: &Cluster, wakeups: &Wakeups, intent: &ServiceIntent) -> Live {
    let get = |kind: &str| {
        cluster
            .get(&intent.key(kind))
            .filter(|live| !live.deleting)
            .map(|live| live.value())
    };
    let configuration = get("Configuration");
    let (template, route) = match intent.mode {
        Expand::Routes => (configuration.clone(), get("Route")),
        Expand::Service => {
            let service = get("Service");
            (service.clone(), service)
        }
    };
    let route = route.as_ref().map(|route| route_facts(route, intent.mode));
    let others: Vec<String> = route
        .iter()
        .flat_map(|route| route.spec.iter().chain(&route.status))
        .chain(&intent.traffic)
        .filter_map(|target| target.revision_name.clone())
        .collect();
    Live {
        watching_since: None,
        configuration: match (&configuration, &template) {
            (None, None) => None,
            // With `expand: Service` the child may follow a moment later.
            (configuration, template) => Some(ConfigurationFacts {
                begun_here: cluster
                    .get(&intent.template_key())
                    .is_some_and(|written| is_our_first(&written)),
                ..configuration_facts(
                    configuration.as_ref(),
                    template.as_ref(),
                    &intent.template.value(),
                )
            }),
        },
        route,
        revisions: wakeups.revisions(&intent.namespace, &intent.name, &others),
        refused: None,
    }
}

/// Whether an object asks for what we first applied, and nobody has changed that since.
fn is_our_first(written: &LiveObject) -> bool {
    written.applied_by(Manager::Objects.name()) && written.generation == Some(1)
}

fn configuration_facts(
    configuration: Option<&Value>,
    written: Option<&Value>,
    wanted: &Value,
) -> ConfigurationFacts {
    let template = |object: Option<&Value>| {
        object
            .and_then(|object| object.pointer("/spec/template"))
            .cloned()
    };
    let holds = |object| {
        template(object).is_some_and(|template| normalize::template_matches(wanted, &template))
    };
    let number_in = |object: Option<&Value>, path: &str| {
        object
            .and_then(|object| object.pointer(path))
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let generation = |object| number_in(object, "/metadata/generation");
    let observed = |object| number_in(object, "/status/observedGeneration");
    let text = |path: &str| {
        configuration
            .and_then(|c| c.pointer(path))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let attempt = template(written)
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
    ConfigurationFacts {
        generation: generation(configuration),
        observed_generation: observed(configuration),
        latest_created: text("/status/latestCreatedRevisionName"),
        latest_ready: text("/status/latestReadyRevisionName"),
        template_written: holds(written),
        begun_here: false,
        written_observed: observed(written) >= generation(written),
        template_taken_up: holds(configuration),
        template_name: template(written).and_then(|template| {
            template
                .pointer("/metadata/name")?
                .as_str()
                .map(str::to_owned)
        }),
        attempt,
        ready: configuration.and_then(|c| condition(c, "Ready")),
    }
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
