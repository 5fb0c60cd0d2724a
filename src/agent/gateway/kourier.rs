//! Kourier's Envoys keep a Prometheus page each; its Services say where they are.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// What Kourier puts on everything of its own.
const LABEL: &str = "networking.knative.dev/ingress-provider=kourier";

/// Its control plane carries the label too, but serves no requests.
const CONTROL_PLANE_PORT: &str = "grpc-xds";

/// The stats listener of Kourier's bootstrap, the same since its first release.
const PORT: u16 = 9000;

/// The metrics pages of every Envoy that takes requests.
pub async fn pages(client: &Client) -> Result<Vec<String>, kube::Error> {
    let services: Api<Service> = Api::all(client.clone());
    let mut addresses = BTreeSet::new();
    for service in services.list(&ListParams::default().labels(LABEL)).await? {
        let Some(namespace) = service.namespace().filter(|_| takes_requests(&service)) else {
            continue;
        };
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace);
        let of_it = format!("kubernetes.io/service-name={}", service.name_any());
        for slice in slices.list(&ListParams::default().labels(&of_it)).await? {
            addresses.extend(serving(&slice).map(str::to_owned));
        }
    }
    Ok(addresses.iter().map(|address| page(address)).collect())
}

fn takes_requests(service: &Service) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    ports.is_some_and(|ports| {
        ports
            .iter()
            .all(|port| port.name.as_deref() != Some(CONTROL_PLANE_PORT))
    })
}

/// One that ends may still answer its last requests; one that is not ready yet has none.
fn serving(slice: &EndpointSlice) -> impl Iterator<Item = &str> {
    let endpoints = slice.endpoints.iter().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_none_or(|conditions| conditions.ready != Some(false))
    });
    endpoints.flat_map(|endpoint| endpoint.addresses.iter().map(String::as_str))
}

fn page(address: &str) -> String {
    if address.contains(':') {
        format!("http://[{address}]:{PORT}/stats/prometheus")
    } else {
        format!("http://{address}:{PORT}/stats/prometheus")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: Value) -> EndpointSlice {
        serde_json::from_value(json!({"addressType": "IPv4", "ports": [], "endpoints": endpoints}))
            .unwrap()
    }

    #[test]
    fn every_envoy_that_is_ready_has_a_page() {
        let slice = slice(json!([
            {"addresses": ["10.1.0.7"], "conditions": {"ready": true}},
            {"addresses": ["10.1.0.8"], "conditions": {"ready": false}},
            {"addresses": ["fd00::9"], "conditions": {}},
        ]));
        let pages: Vec<String> = serving(&slice).map(page).collect();
        assert_eq!(
            pages,
            [
                "http://10.1.0.7:9000/stats/prometheus",
                "http://[fd00::9]:9000/stats/prometheus"
            ]
        );
    }

    #[test]
    fn the_control_plane_takes_no_requests() {
        let service = |port: &str| -> Service {
            serde_json::from_value(json!({"spec": {"ports": [{"name": port, "port": 80}]}}))
                .unwrap()
        };
        assert!(takes_requests(&service("http2")));
        assert!(!takes_requests(&service("grpc-xds")));
    }
}
