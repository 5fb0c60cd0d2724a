//! The route table: from host, path and headers to the revision that serves.
//!
//! A table is a value: built from Ingress objects, never changed, replaced as a
//! whole. Readers load a pointer; the only thing that moves in it is the counter of
//! each split. An Ingress that did not change keeps its very routes from table to
//! table, so that its splits stay exact when another Ingress changes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    backend::{Backend, RevisionKey},
    ingress::{IngressPath, IngressSpec},
    load_tracker::LoadTracker,
    split::Split,
};

/// The activator's headers in Knative, which strips them again before the instance;
/// here the gateway is the activator and they stay unsent.
const ACTIVATOR_HEADERS: [&str; 2] = ["knative-serving-namespace", "knative-serving-revision"];

/// Hosts to routes; a whole picture of all Ingresses at one time.
#[derive(Debug, Default)]
pub struct RouteTable {
    hosts: HashMap<Arc<str>, Arc<HostRoutes>>,
}

/// All routes of one Ingress, compiled once per generation.
#[derive(Debug)]
pub struct IngressRoutes {
    hosts: Vec<(Arc<str>, Arc<HostRoutes>)>,
}

/// The paths of one host, most specific first.
#[derive(Debug)]
struct HostRoutes {
    paths: Vec<PathRoute>,
}

#[derive(Debug)]
struct PathRoute {
    prefix: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    split: Split,
    targets: Vec<Arc<Target>>,
}

/// A revision as the destination of a route.
#[derive(Debug)]
pub struct Target {
    /// The revision.
    pub backend: Arc<Backend>,
    /// Headers that the Ingress adds for this destination.
    pub append: Vec<(HeaderName, HeaderValue)>,
    /// The `Host` that the instance is to see, if not the client's.
    pub rewrite_host: Option<HeaderValue>,
}

/// Why a request has no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No Ingress names the host.
    UnknownHost,
    /// The host is known, but no path or header rule matches.
    NoPath,
}

impl IngressRoutes {
    /// Compiles an Ingress's rules; backends are made for revisions not met before.
    pub fn compile(namespace: &str, spec: &IngressSpec, demand: &LoadTracker) -> IngressRoutes {
        let mut hosts = Vec::new();
        for rule in &spec.rules {
            let Some(http) = &rule.http else { continue };
            let mut paths: Vec<PathRoute> = http
                .paths
                .iter()
                .filter_map(|p| compile_path(namespace, p, demand))
                .collect();
            paths.sort_by_key(|path| {
                let length = path.prefix.as_ref().map_or(0, String::len);
                std::cmp::Reverse((length, path.headers.len()))
            });
            let routes = Arc::new(HostRoutes { paths });
            for host in &rule.hosts {
                let name: Arc<str> = Arc::from(host.to_ascii_lowercase());
                hosts.push((name, routes.clone()));
            }
        }
        IngressRoutes { hosts }
    }
}

fn compile_path(namespace: &str, path: &IngressPath, demand: &LoadTracker) -> Option<PathRoute> {
    // A single split without a percent takes everything.
    let weights: Vec<u16> = match path.splits.as_slice() {
        [only] if only.percent.is_none_or(|p| p == 0) => vec![100],
        splits => splits
            .iter()
            .map(|s| u16::try_from(s.percent.unwrap_or(0)).map_or(0, |p| p.min(100)))
            .collect(),
    };
    let split = Split::new(&weights, &mut rand::rng())?;
    let rewrite_host = path
        .rewrite_host
        .as_deref()
        .and_then(|h| HeaderValue::from_str(h).ok());
    let targets = path
        .splits
        .iter()
        .map(|split| {
            let namespace = split.service_namespace.as_deref().unwrap_or(namespace);
            let append = [&path.append_headers, &split.append_headers]
                .into_iter()
                .flatten()
                .filter(|(name, _)| {
                    !ACTIVATOR_HEADERS
                        .iter()
                        .any(|own| own.eq_ignore_ascii_case(name))
                })
                .filter_map(|(name, value)| header(name, value))
                .collect();
            let backend = demand.backend(&RevisionKey::new(namespace, &split.service_name));
            Arc::new(Target {
                backend,
                append,
                rewrite_host: rewrite_host.clone(),
            })
        })
        .collect();
    let headers = path
        .headers
        .iter()
        .filter_map(|(name, wanted)| header(name, &wanted.exact))
        .collect();
    Some(PathRoute {
        prefix: path.path.clone().filter(|p| p != "/"),
        headers,
        split,
        targets,
    })
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

impl RouteTable {
    /// One table of all Ingresses. Where two name the same host, the first in the
    /// order of their keys has it.
    pub fn build<'a, K: Ord + 'a>(ingresses: &'a BTreeMap<K, Arc<IngressRoutes>>) -> RouteTable {
        let mut hosts = HashMap::with_capacity(ingresses.len() * 4);
        for routes in ingresses.values() {
            for (host, routes) in &routes.hosts {
                hosts.entry(host.clone()).or_insert_with(|| routes.clone());
            }
        }
        RouteTable { hosts }
    }

    /// Where a request goes. Draws one turn of the split of its route.
    pub fn find(
        &self,
        host: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Arc<Target>, NoRoute> {
        let routes = self.hosts.get(host).ok_or(NoRoute::UnknownHost)?;
        let route = routes
            .paths
            .iter()
            .find(|route| route.matches(path, headers))
            .ok_or(NoRoute::NoPath)?;
        route
            .targets
            .get(route.split.pick())
            .cloned()
            .ok_or(NoRoute::NoPath)
    }

    /// How many hosts are known.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether no host is known.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl PathRoute {
    fn matches(&self, path: &str, headers: &HeaderMap) -> bool {
        self.prefix
            .as_ref()
            .is_none_or(|prefix| path.starts_with(prefix.as_str()))
            && self
                .headers
                .iter()
                .all(|(name, value)| headers.get(name) == Some(value))
    }
}

/// The host that routes are looked up by: without port and final dot, in lower case.
/// Allocates only where there is something to lower.
pub fn host_key(host: &str) -> Cow<'_, str> {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or(v6, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(demand: &LoadTracker, rules: serde_json::Value) -> RouteTable {
        let spec: IngressSpec = serde_json::from_value(json!({ "rules": rules })).unwrap();
        let routes = Arc::new(IngressRoutes::compile("default", &spec, demand));
        RouteTable::build(&BTreeMap::from([("default/hello", routes)]))
    }

    fn split(revision: &str, percent: u8) -> serde_json::Value {
        json!({
            "serviceName": revision, "serviceNamespace": "default", "servicePort": 80,
            "percent": percent,
            "appendHeaders": {
                "Knative-Serving-Revision": revision, "Knative-Serving-Namespace": "default",
                "X-Shade": "green",
            },
        })
    }

    fn found(table: &RouteTable, host: &str, path: &str, headers: &HeaderMap) -> String {
        match table.find(&host_key(host), path, headers) {
            Ok(target) => target.backend.key.name.clone(),
            Err(why) => format!("{why:?}"),
        }
    }

    #[test]
    fn a_routes_main_host_is_split_and_its_tags_are_not() {
        let table = table(
            &LoadTracker::default(),
            json!([
                {"hosts": ["hello.default", "hello.default.svc.cluster.local"],
                 "visibility": "ClusterLocal",
                 "http": {"paths": [{"splits": [split("hello-1", 95), split("hello-2", 5)]}]}},
                {"hosts": ["hello.default.localhost"], "visibility": "ExternalIP",
                 "http": {"paths": [{"splits": [split("hello-1", 95), split("hello-2", 5)]}]}},
                {"hosts": ["candidate-hello.default.localhost"],
                 "http": {"paths": [{"splits": [split("hello-2", 100)]}]}},
            ]),
        );
        let none = HeaderMap::new();
        let canaries = (0..100)
            .filter(|_| found(&table, "hello.default.localhost", "/", &none) == "hello-2")
            .count();
        assert_eq!(canaries, 5);
        let tag = "candidate-hello.default.localhost";
        assert!((0..10).all(|_| found(&table, tag, "/", &none) == "hello-2"));
        assert_eq!(
            found(&table, "other.default.localhost", "/", &none),
            "UnknownHost"
        );
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn hosts_are_compared_without_port_case_and_final_dot() {
        for host in [
            "hello.default.localhost:8080",
            "HELLO.Default.localhost",
            "hello.default.localhost.",
        ] {
            assert_eq!(host_key(host), "hello.default.localhost");
        }
        assert_eq!(host_key("[::1]:80"), "::1");
        assert!(matches!(host_key("plain:80"), Cow::Borrowed("plain")));
    }

    #[test]
    fn the_longest_path_and_the_most_headers_win() {
        let table = table(
            &LoadTracker::default(),
            json!([{"hosts": ["hello"], "http": {"paths": [
                {"splits": [split("root", 100)]},
                {"path": "/api", "splits": [split("api", 100)]},
                {"headers": {"Knative-Serving-Tag": {"exact": "blue"}}, "splits": [split("blue", 100)]},
            ]}}]),
        );
        let none = HeaderMap::new();
        let mut blue = HeaderMap::new();
        blue.insert("knative-serving-tag", HeaderValue::from_static("blue"));
        assert_eq!(found(&table, "hello", "/", &none), "root");
        assert_eq!(found(&table, "hello", "/api/v1", &none), "api");
        assert_eq!(found(&table, "hello", "/", &blue), "blue");
    }

    #[test]
    fn only_the_users_headers_are_appended() {
        let table = table(
            &LoadTracker::default(),
            json!([{"hosts": ["hello"], "http": {"paths": [{"splits": [split("hello-1", 100)]}]}}]),
        );
        let target = table.find("hello", "/", &HeaderMap::new()).unwrap();
        let names: Vec<_> = target
            .append
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["x-shade"]);
    }

    #[test]
    fn a_path_without_a_live_split_serves_nothing() {
        let demand = LoadTracker::default();
        let table = table(
            &demand,
            json!([{"hosts": ["hello"], "http": {"paths": [
                {"splits": [split("a", 0), split("b", 0)]},
            ]}}]),
        );
        assert_eq!(found(&table, "hello", "/", &HeaderMap::new()), "NoPath");
    }
}
