//! What the agent tells to machines over HTTP: `/metrics`, `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::context::Context;
use crate::cluster::Connectivity;

/// OpenMetrics, which the counters' names follow.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The pages of an agent whose caches are filled.
pub fn router(context: Arc<Context>) -> Router {
    let metrics = context.clone();
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(&context)))
        .route("/metrics", get(async move || page(&metrics)))
}

/// Ready is who sees the cluster: one that waits for the Lease is ready to take over.
fn ready(context: &Context) -> impl IntoResponse + use<> {
    match &*context.cluster.reach().borrow() {
        Connectivity::Reached => (StatusCode::OK, "ok\n".to_owned()),
        Connectivity::Lost { since, error } => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the API server has not answered since {since}: {error}\n"),
        ),
    }
}

fn page(context: &Context) -> impl IntoResponse + use<> {
    match context.metrics.page() {
        Ok(page) => (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], page),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            error.to_string(),
        ),
    }
}
