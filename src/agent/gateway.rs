//! Where users' requests pass: the gateway's metrics page, and the address behind a service's URL.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::Mutex;

use crate::health::Gateway as Metrics;

/// The ConfigMap that names the gateway's metrics page, in Knative's namespace.
const CONFIG: (&str, &str) = ("knative-serving", "sluice-gateway");

/// How long an answer to "where are the metrics" is good.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The cluster's gateway, as far as evidence needs it.
pub struct Gateway {
    client: Client,
    found: Mutex<Option<Found>>,
}

struct Found {
    at: Instant,
    metrics: Result<Arc<Metrics>, String>,
}

impl Gateway {
    /// The gateway of the cluster behind `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            found: Mutex::new(None),
        }
    }

    /// Its counters, or why none can be had.
    pub async fn metrics(&self) -> Result<Arc<Metrics>, String> {
        // Held across the request on purpose: whoever comes meanwhile wants its answer.
        let mut found = self.found.lock().await;
        if let Some(found) = found
            .as_ref()
            .filter(|found| found.at.elapsed() < REMEMBERED)
        {
            return found.metrics.clone();
        }
        let url = self.metrics_url().await;
        let known = found.take().and_then(|found| found.metrics.ok());
        let metrics = match (url, known) {
            (Ok(url), Some(known)) if known.url() == url => Ok(known),
            (Ok(url), _) => Metrics::new(&url)
                .map(Arc::new)
                .map_err(|error| error.to_string()),
            // Counters that were found go on counting while the API server is away.
            (Err(_), Some(known)) => Ok(known),
            (Err(why), None) => Err(why),
        };
        *found = Some(Found {
            at: Instant::now(),
            metrics: metrics.clone(),
        });
        metrics
    }

    async fn metrics_url(&self) -> Result<String, String> {
        let (namespace, name) = CONFIG;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let missing = || {
            format!("no gateway metrics: ConfigMap {namespace}/{name} does not name a metricsURL")
        };
        let map = maps
            .get_opt(name)
            .await
            .map_err(|error| format!("no gateway metrics: {error}"))?;
        map.and_then(|map| map.data?.get("metricsURL").cloned())
            .ok_or_else(missing)
    }
}

/// The address to dial for a URL where its name need not resolve: `*.localhost` is this
/// machine (RFC 6761), which not every resolver knows.
pub fn address_of(url: &str) -> Option<SocketAddr> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host()?;
    let local = host == "localhost" || host.ends_with(".localhost");
    local.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, uri.port_u16().unwrap_or(80))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_localhost_are_dialled_at_this_machine() {
        let loopback = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(
            address_of("http://candidate-hello.default.localhost:8080"),
            loopback(8080)
        );
        assert_eq!(address_of("http://hello.default.localhost"), loopback(80));
        assert_eq!(address_of("http://hello.default.example.com"), None);
        assert_eq!(address_of("http://notlocalhost:8080"), None);
    }
}
