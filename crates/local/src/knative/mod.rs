//! Holds Knative's kinds as they are handed to the embedded API server: names, columns, schemas and the webhook.

mod pod_spec;
pub mod schemas;

use std::sync::Arc;

use super::admission::ServingWebhook;
use super::apiserver::{Registration, ServedKind};

const READY: &str = ".status.conditions[?(@.type==\"Ready\")].status";
const REASON: &str = ".status.conditions[?(@.type==\"Ready\")].reason";

const KNATIVE: &[&str] = &["all", "knative", "serving"];

/// All of Knative that the API server is to know: the kinds and the webhook of `serving.knative.dev`.
#[must_use]
pub fn registration() -> Registration {
    Registration {
        kinds: kinds(),
        admission: vec![Arc::new(ServingWebhook)],
    }
}

/// Knative's kinds, in the order in which clients are told of them.
#[must_use]
pub fn kinds() -> Vec<ServedKind> {
    vec![
        service(),
        configuration(),
        revision(),
        route(),
        pod_autoscaler(),
        ingress(),
    ]
}

fn serving(kind: &'static str, plural: &'static str) -> ServedKind {
    ServedKind::new("serving.knative.dev", "v1", kind, plural, schemas::schema)
        .categories(KNATIVE)
        .with_webhook()
}

fn with_readiness(kind: ServedKind) -> ServedKind {
    kind.column("Ready", "string", READY)
        .column("Reason", "string", REASON)
}

fn with_latest(kind: ServedKind) -> ServedKind {
    kind.column(
        "LatestCreated",
        "string",
        ".status.latestCreatedRevisionName",
    )
    .column("LatestReady", "string", ".status.latestReadyRevisionName")
}

fn service() -> ServedKind {
    let service = serving("Service", "services")
        .short_names(&["kservice", "ksvc"])
        .column("URL", "string", ".status.url");
    with_readiness(with_latest(service))
}

fn configuration() -> ServedKind {
    let configuration = serving("Configuration", "configurations").short_names(&["config", "cfg"]);
    with_readiness(with_latest(configuration))
}

fn revision() -> ServedKind {
    let revision = serving("Revision", "revisions")
        .short_names(&["rev"])
        .column(
            "Config Name",
            "string",
            ".metadata.labels['serving\\.knative\\.dev/configuration']",
        )
        .column(
            "Generation",
            "string",
            ".metadata.labels['serving\\.knative\\.dev/configurationGeneration']",
        );
    with_readiness(revision)
        .column("Actual Replicas", "integer", ".status.actualReplicas")
        .column("Desired Replicas", "integer", ".status.desiredReplicas")
}

fn route() -> ServedKind {
    let route =
        serving("Route", "routes")
            .short_names(&["rt"])
            .column("URL", "string", ".status.url");
    with_readiness(route)
}

fn pod_autoscaler() -> ServedKind {
    let autoscaler = ServedKind::new(
        "autoscaling.internal.knative.dev",
        "v1alpha1",
        "PodAutoscaler",
        "podautoscalers",
        schemas::schema,
    )
    .short_names(&["kpa", "pa"])
    .categories(&["knative-internal", "autoscaling"])
    .column("DesiredScale", "integer", ".status.desiredScale")
    .column("ActualScale", "integer", ".status.actualScale");
    with_readiness(autoscaler)
}

fn ingress() -> ServedKind {
    let ingress = ServedKind::new(
        "networking.internal.knative.dev",
        "v1alpha1",
        "Ingress",
        "ingresses",
        schemas::schema,
    )
    .short_names(&["kingress", "king"])
    .categories(&["knative-internal", "networking"]);
    with_readiness(ingress)
}
