//! The address where the gateway tells about itself: `/metrics` (and
//! `/stats/prometheus`, the path that Kourier's Envoy has it under).

use std::sync::{Arc, atomic::Ordering};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{metrics, proxy::Proxy};

/// Serves until cancelled.
pub async fn serve(listener: TcpListener, proxy: Arc<Proxy>, cancel: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(page))
        .route("/stats/prometheus", get(page))
        .with_state(proxy);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "the gateway's metrics address failed");
    }
}

async fn page(State(proxy): State<Arc<Proxy>>) -> impl IntoResponse {
    let rows: Vec<_> = proxy
        .demand
        .all()
        .iter()
        .map(|backend| backend.row())
        .collect();
    let text = metrics::render(&rows, proxy.unrouted.load(Ordering::Relaxed));
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}
