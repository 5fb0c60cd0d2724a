//! A way to a URL whose name need not resolve where the agent runs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Uri;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use tokio::net::TcpStream;

/// An address inside one cluster takes a connection at once; from outside, it never does.
const CONNECT: Duration = Duration::from_secs(1);

/// Why there is no way to a URL.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// The text is no URL.
    #[error("{url:?} is not a URL: {source}")]
    NotAUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The URL names no host.
    #[error("{url:?} has no host")]
    NoHost {
        /// The URL.
        url: String,
    },
    /// No address took a connection.
    #[error("no way to {authority} ({tried})", tried = list(tried))]
    Refused {
        /// Host and port, as the URL writes them.
        authority: String,
        /// Each address that was tried, and what came of it.
        tried: Vec<(String, ConnectError)>,
    },
}

/// Why an address took no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It was refused, or there is no such address.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It did not answer.
    #[error("no connection within {} s", CONNECT.as_secs())]
    Silent,
}

fn list(tried: &[(String, ConnectError)]) -> String {
    let all = tried.iter().map(|(place, why)| format!("{place}: {why}"));
    all.collect::<Vec<_>>().join("; ")
}

/// What is to be reached.
pub struct Target {
    authority: String,
    host: String,
    port: u16,
}

impl Target {
    /// Reads a URL.
    pub fn of(url: &str) -> Result<Self, NoWay> {
        let uri: Uri = url.parse().map_err(|source| NoWay::NotAUrl {
            url: url.to_owned(),
            source,
        })?;
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err(NoWay::NoHost {
                url: url.to_owned(),
            });
        };
        let usual = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        Ok(Self {
            authority: authority.to_string(),
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(usual),
        })
    }

    /// Host and port, as the URL writes them.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `*.localhost` is this machine (RFC 6761), which not every resolver knows.
    pub fn on_this_machine(&self) -> Option<SocketAddr> {
        let local = self.host == "localhost" || self.host.ends_with(".localhost");
        local.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    fn is_cluster_local(&self) -> bool {
        self.host.contains(".svc.")
    }

    /// The first that takes a connection: a balancer's address, or what the name resolves to.
    pub async fn reach(&self, balancers: &[IpAddr]) -> Result<SocketAddr, NoWay> {
        let mut tried = Vec::new();
        for ip in balancers {
            let address = SocketAddr::from((*ip, self.port));
            match connect(TcpStream::connect(address)).await {
                Ok(reached) => return Ok(reached),
                Err(why) => tried.push((address.to_string(), why)),
            }
        }
        match connect(TcpStream::connect((self.host.as_str(), self.port))).await {
            Ok(reached) => Ok(reached),
            Err(why) => {
                tried.push((self.host.clone(), why));
                Err(NoWay::Refused {
                    authority: self.authority.clone(),
                    tried,
                })
            }
        }
    }
}

async fn connect(
    connecting: impl Future<Output = std::io::Result<TcpStream>>,
) -> Result<SocketAddr, ConnectError> {
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Ok(stream.peer_addr()?),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ConnectError::Silent),
    }
}

/// The addresses at which the gateway takes requests for this Route: what the Route's Ingress
/// says, whichever networking layer wrote it.
pub async fn balancers(
    client: &Client,
    namespace: &str,
    route: &str,
    target: &Target,
) -> Vec<IpAddr> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "networking.internal.knative.dev",
        "v1alpha1",
        "Ingress",
    ));
    let ingresses: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let ingress = match ingresses.get(route).await {
        Ok(ingress) => ingress,
        Err(error) => {
            tracing::debug!(namespace, route, "its Ingress cannot be read: {error}");
            return Vec::new();
        }
    };
    let which = if target.is_cluster_local() {
        "privateLoadBalancer"
    } else {
        "publicLoadBalancer"
    };
    let mut addresses = Vec::new();
    for entry in entries(&ingress.data, which) {
        match entry {
            Balancer::Address(ip) => addresses.push(ip),
            Balancer::Service { namespace, name } => {
                let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
                match services.get(&name).await {
                    Ok(service) => addresses.extend(addresses_of(&service)),
                    Err(error) => {
                        tracing::debug!(namespace, name, "the gateway's Service: {error}");
                    }
                }
            }
        }
    }
    addresses
}

#[derive(Debug, PartialEq)]
enum Balancer {
    Address(IpAddr),
    Service { namespace: String, name: String },
}

/// What an Ingress's status says about where it is served.
fn entries(ingress: &Value, which: &str) -> Vec<Balancer> {
    let pointer = format!("/status/{which}/ingress");
    let Some(entries) = ingress.pointer(&pointer).and_then(Value::as_array) else {
        return Vec::new();
    };
    let text = |entry: &Value, key| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut found = Vec::new();
    for entry in entries {
        // `NAME.NAMESPACE.svc.cluster.local`
        if let Some(domain) = text(entry, "domainInternal")
            && let Some((name, rest)) = domain.split_once('.')
            && let Some((namespace, _)) = rest.split_once(".svc")
        {
            found.push(Balancer::Service {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            });
        }
        if let Some(ip) = text(entry, "ip").and_then(|ip| ip.parse().ok()) {
            found.push(Balancer::Address(ip));
        }
    }
    found
}

/// From inside the cluster first, then as the world sees it.
fn addresses_of(service: &Service) -> Vec<IpAddr> {
    let inside = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.clone());
    let outside = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|ingress| ingress.ip.clone());
    // A headless Service's address is the word `None`, which is none.
    inside
        .into_iter()
        .chain(outside)
        .filter_map(|address| address.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn only_names_below_localhost_are_this_machine() {
        let here = |url| Target::of(url).unwrap().on_this_machine();
        let loopback = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(
            here("http://candidate-hello.default.localhost:8080"),
            loopback(8080)
        );
        assert_eq!(here("http://hello.default.localhost"), loopback(80));
        assert_eq!(here("https://hello.default.localhost"), loopback(443));
        assert_eq!(here("http://hello.default.example.com"), None);
        assert_eq!(here("http://notlocalhost:8080"), None);
    }

    #[test]
    fn an_ingress_says_where_it_is_served() {
        let ingress = json!({"status": {
            "publicLoadBalancer": {"ingress": [
                {"domainInternal": "kourier.kourier-system.svc.cluster.local"}, {"ip": "192.0.2.7"}]},
            "privateLoadBalancer": {"ingress": [
                {"domainInternal": "kourier-internal.kourier-system.svc.cluster.local"}]},
        }});
        let kourier = |name: &str| Balancer::Service {
            namespace: "kourier-system".into(),
            name: name.into(),
        };
        assert_eq!(
            entries(&ingress, "publicLoadBalancer"),
            [
                kourier("kourier"),
                Balancer::Address("192.0.2.7".parse().unwrap())
            ]
        );
        assert_eq!(
            entries(&ingress, "privateLoadBalancer"),
            [kourier("kourier-internal")]
        );
        assert_eq!(entries(&json!({}), "publicLoadBalancer"), []);
    }

    #[test]
    fn a_services_own_address_comes_before_the_worlds() {
        let service = |spec: Value| -> Service {
            serde_json::from_value(json!({"spec": spec,
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}))
            .unwrap()
        };
        let addresses = |spec| {
            let found = addresses_of(&service(spec));
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            addresses(json!({"clusterIP": "10.96.0.9"})),
            ["10.96.0.9", "192.0.2.7"]
        );
        assert_eq!(addresses(json!({"clusterIP": "None"})), ["192.0.2.7"]);
    }

    #[tokio::test]
    async fn the_first_address_that_takes_a_connection_is_the_way() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let target = Target::of(&format!("http://tag.example.invalid:{}", here.port())).unwrap();
        // 127.0.0.2 refuses: the listener is on 127.0.0.1 alone.
        let balancers = ["127.0.0.2".parse().unwrap(), here.ip()];
        assert_eq!(target.reach(&balancers).await.unwrap(), here);
        drop(listener);
        let why = target.reach(&balancers).await.unwrap_err().to_string();
        assert!(
            why.contains("no way to tag.example.invalid") && why.contains("127.0.0.2"),
            "{why}"
        );
    }
}
